"""Runs what users wrote for `auth` away from the gateway's loop, which a function of theirs that blocks would stop.

Coroutines share a loop in a thread of its own, so that a client or a pool they keep stays on one loop; plain functions
go to the threads the composition root hands in.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from langyard.model.errors import Unavailable

PATIENCE_S = 30.0
Threads = Callable[[Callable[[], Any]], Awaitable[Any]]


class Loop:
    """Started with the first call. May be called from any loop."""

    def __init__(self, threads: Threads, *, patience_s: float = PATIENCE_S) -> None:
        self._threads = threads
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(self, function: Callable[..., Any], /, **arguments: Any) -> Any:
        """What the function returns or raises. Raises `Unavailable` when that takes longer than the patience."""
        limit = asyncio.timeout(self._patience_s)
        try:
            async with limit:
                if _is_async(function):
                    outcome = await asyncio.wrap_future(
                        asyncio.run_coroutine_threadsafe(_settled(function, arguments), self._running())
                    )
                else:
                    outcome = await self._threads(lambda: _called(function, arguments))
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unavailable("Authentication does not answer at the moment.", code="auth_unavailable") from None
        found, failure = outcome
        if failure is not None:
            raise failure
        return found

    def close(self) -> None:
        """End the loop; what still runs on it is left behind."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="langyard auth", daemon=True).start()
            return self._loop


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


async def _settled(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, Exception | None]:
    """Result and failure as values: a future of another loop refuses some exceptions, and takes one for its own end."""
    try:
        return await function(**arguments), None
    except asyncio.CancelledError:
        return None, RuntimeError("it cancelled itself")
    except Exception as failure:  # user code: whatever it raises is the caller's to read
        return None, failure


def _called(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, Exception | None]:
    try:
        found = function(**arguments)
        return (asyncio.run(_awaited(found)) if inspect.isawaitable(found) else found), None
    except Exception as failure:  # user code: whatever it raises is the caller's to read
        return None, failure


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found
