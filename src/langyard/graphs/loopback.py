"""The way of user code back to the server of its own process: `get_client()` without a URL, without a socket.

`prepare` is called before graphs are loaded, `serve` by the gateway once it is open. The SDK's own transport gathers an
answer before it gives it out, which no stream survives, and is bound to the application as the client is made, which is
too early for a client made while a module is imported. So the SDK is given this one, in the place it asks for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, cast

import httpx
from langgraph_sdk._async import client as sdk
from langgraph_sdk.client import configure_loopback_transports

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
_END = object()
# How long a request has to notice that its client has left, and to do what is to be done then.
_LEAVE_S = 1.0
_serving: list[tuple[App, asyncio.AbstractEventLoop]] = []


def prepare() -> None:
    """Have clients that are made without a URL from now on come to the server of this process."""
    if hasattr(sdk, "get_asgi_transport"):
        sdk.get_asgi_transport = lambda: Loopback


def serve(app: App) -> Callable[[], None]:
    """Answer such clients with `app`, an ASGI application of the running loop; what is returned ends that."""
    entry = (app, asyncio.get_running_loop())
    _serving.append(entry)
    # For clients that were made before `prepare`: theirs gather, but they answer.
    configure_loopback_transports(_called)

    def end() -> None:
        if entry in _serving:
            _serving.remove(entry)

    return end


async def _called(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Any]) -> None:
    """The application, on its own loop, whichever loop calls."""
    if not _serving:
        raise httpx.ConnectError("No API is served in this process; give get_client() a url.")
    app, loop = _serving[-1]
    here = asyncio.get_running_loop()
    if loop is here:
        await app(scope, receive, send)
        return

    async def received() -> Message:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(receive()), here))

    async def sent(message: Message) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(send(message)), here))

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(app(scope, received, sent)), loop))


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


class Loopback(httpx.ASGITransport):
    """Gives an answer out as it comes. `app` is what the SDK sets, and what is served is looked up at each request."""

    def __init__(self, app: Any = None, root_path: str = "", **more: Any) -> None:
        super().__init__(cast(Any, app), root_path=root_path, **more)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises `httpx.ConnectError` where nothing is served."""
        answer = _Answer(await request.aread(), _scope(request, self.root_path))
        status, headers = await answer.begin()
        return httpx.Response(status, headers=headers, stream=answer)


class _Answer(httpx.AsyncByteStream):
    """One request under way, and the body of its answer. Closed, it is a client that has left."""

    def __init__(self, body: bytes, scope: Message) -> None:
        self._body: bytes | None = body
        self._scope = scope
        self._left = asyncio.Event()
        # Few at a time: who sends waits for who reads.
        self._parts: asyncio.Queue[Any] = asyncio.Queue(16)
        self._work: asyncio.Task[None] | None = None

    async def begin(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers."""
        self._work = asyncio.create_task(self._run())
        try:
            first = await self._parts.get()
        except BaseException:  # cancelled: nobody will read, and nobody has what could be closed
            await self.aclose()
            raise
        if first is _END:
            await self._work  # raises what it raised
            raise httpx.RemoteProtocolError("The server of this process gave no answer.")
        return first["status"], list(first.get("headers", []))

    async def _run(self) -> None:
        try:
            await _called(self._scope, self._receive, self._send)
        finally:
            await self._parts.put(_END)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._left.is_set():
            return
        if message["type"] == "http.response.start":
            await self._parts.put(message)
        elif message["type"] == "http.response.body" and message.get("body"):
            await self._parts.put(message["body"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not _END:
            yield part
        assert self._work is not None
        await self._work

    async def aclose(self) -> None:
        """Leave, as one who hangs up: the request is told, and only one that does not listen is cancelled."""
        self._left.set()
        if self._work is None or self._work.done():
            return
        while not self._parts.empty():
            self._parts.get_nowait()
        try:
            await asyncio.wait({self._work}, timeout=_LEAVE_S)
        finally:
            self._work.cancel()
        with suppress(asyncio.CancelledError, Exception):  # nobody is left to be told
            await self._work


def _scope(request: httpx.Request, root_path: str) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 0),
        "root_path": root_path,
    }
