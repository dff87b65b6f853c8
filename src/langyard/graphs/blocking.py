"""Threads for user code that blocks: bounded in number for the whole process, and never in the way of its end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

LIMIT = 128


class ThreadPool:
    """A ThreadPoolExecutor with daemon threads: a function that never returns must not hold up the process's end."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._free = 0

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """What `call` returns or raises, called in a thread with a copy of this task's context.

        Cancelled before a thread was free, it is never called; after that it runs to its end unseen.
        """
        done: Future[Any] = Future()
        context = contextvars.copy_context()
        with self._lock:
            # Counted here and not by the threads themselves: a call is promised the thread it found free.
            # Below zero when more calls wait than there are threads.
            if self._free > 0 or self._started == self._limit:
                self._free -= 1
            else:
                threading.Thread(target=self._work, name=f"langyard-agent-{self._started}", daemon=True).start()
                self._started += 1
        self._calls.put((done, lambda: context.run(call, *args)))
        failed, outcome = await asyncio.wrap_future(done)
        if failed:
            raise outcome
        return outcome

    def _work(self) -> None:
        while True:
            done, call = self._calls.get()
            outcome: tuple[bool, Any] | None = None
            if done.set_running_or_notify_cancel():
                # The exception travels as a value: a future refuses StopIteration and would never be done.
                try:
                    outcome = (False, call())
                except BaseException as failure:  # user code: the waiting task decides
                    outcome = (True, failure)
            with self._lock:
                self._free += 1  # before the caller knows, so that its next call finds this thread
            if outcome is not None:
                done.set_result(outcome)
            del done, call, outcome  # a waiting thread holds on to nobody's results


pool = ThreadPool()
