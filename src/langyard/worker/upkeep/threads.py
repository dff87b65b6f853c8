"""Threads for synchronous nodes, never in the way of the process's end. Set by the worker as its loop's executor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class NodeThreads(ThreadPoolExecutor):
    """A ThreadPoolExecutor, as asyncio demands, with daemon threads: a node that never returns is left behind."""

    def __init__(self, limit: int) -> None:
        super().__init__(1)
        self._limit = limit
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._started = 0
        self._free = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call it in a thread, as soon as one is free."""
        done: Future[T] = Future()
        with self._guard:
            # A call is promised the thread it found free; below zero when more calls wait than there are threads.
            if self._free > 0 or self._started == self._limit:
                self._free -= 1
            else:
                threading.Thread(target=self._work, name=f"langyard node {self._started}", daemon=True).start()
                self._started += 1
        self._calls.put((done, lambda: fn(*args, **kwargs)))
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let idle threads go; those that are busy are not waited for, whatever is asked."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            done, function = call
            if done.set_running_or_notify_cancel():
                try:
                    outcome, failure = function(), None
                except BaseException as error:  # user code: whoever waits for it decides
                    outcome, failure = None, error
            else:
                outcome = failure = None
                done = Future()
            with self._guard:
                self._free += 1  # before the caller knows, so that its next call finds this thread
            if failure is not None:
                done.set_exception(failure)
            else:
                done.set_result(outcome)
            del call, done, function, outcome, failure  # a waiting thread holds on to nobody's results
