"""Threads for synchronous nodes, never in the way of the process's end. Set by the worker as its loop's executor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Call(Future[Any]):
    """A call that tells when nobody waits for it any more, though it goes on in its thread."""

    def __init__(self, function: Callable[[], Any], left_behind: Callable[[_Call], None]) -> None:
        super().__init__()
        self.function = function
        self.over = self.left = False
        self._left_behind = left_behind

    def cancel(self) -> bool:
        if super().cancel():
            return True
        self._left_behind(self)
        return False


class NodeThreads(ThreadPoolExecutor):
    """A ThreadPoolExecutor, as asyncio demands, with daemon threads: a node that never returns is left behind.

    Up to `limit` nodes run that somebody waits for; the thread of one that is left behind is replaced.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(1)
        self._limit = limit
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._started = 0
        # Threads that wait; below zero when more calls wait than there are threads.
        self._free = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call it in a thread, as soon as one is free."""
        call = _Call(lambda: fn(*args, **kwargs), self._replace)
        with self._guard:
            # A call is promised the thread it found free.
            if self._free > 0 or self._started == self._limit:
                self._free -= 1
            else:
                self._start()
        self._calls.put(call)
        return call

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let idle threads go; those that are busy are not waited for, whatever is asked."""
        for _ in range(self._started):
            self._calls.put(None)

    def _start(self) -> None:
        threading.Thread(target=self._work, name=f"langyard node {self._started}", daemon=True).start()
        self._started += 1

    def _replace(self, call: _Call) -> None:
        """Nodes that hang must not use up the threads of all others: for one that is left behind there is one more."""
        with self._guard:
            if call.over or call.left:
                return
            call.left = True
            self._limit += 1
            if self._free < 0:
                self._free += 1
                self._start()

    def _ended(self, call: _Call) -> bool:
        """Whether this thread, whose call is over, is still wanted."""
        with self._guard:
            call.over = True
            self._limit -= call.left
            if self._started > self._limit:
                self._started -= 1
                return False
            self._free += 1  # before the caller knows, so that its next call finds this thread
            return True

    def _work(self) -> None:
        wanted = True
        while wanted and (call := self._calls.get()) is not None:
            outcome: Any = None
            failure: BaseException | None = None
            if called := call.set_running_or_notify_cancel():
                try:
                    outcome = call.function()
                except BaseException as error:  # user code: whoever waits for it decides
                    failure = error
            wanted = self._ended(call)
            if failure is not None:
                call.set_exception(failure)
            elif called:
                call.set_result(outcome)
            del call, outcome, failure  # a waiting thread holds on to nobody's results
