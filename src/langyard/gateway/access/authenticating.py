"""Lets in whom the project's `authenticate` knows, and nobody else, before a route is even looked for. Pure ASGI.

Put in place by `create`, only where the project has `auth`. Open to all are the paths that monitors and documentation
need; what comes through `loopback`, from within this process, is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import orjson
from starlette._utils import get_route_path
from starlette.authentication import AuthCredentials
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langyard.auth import Gate
from langyard.gateway import errors
from langyard.gateway.access.access import SCOPE, Access, GuardedAccess
from langyard.gateway.wire import Limits, read
from langyard.model.errors import Forbidden, LangyardError
from langyard.model.principal import ASKING
from langyard.postgres.database import Database

OPEN = frozenset({"/", "/ok", "/info", "/metrics", "/docs", "/openapi.json", "/health", "/health/ready"})
WITHIN = "langyard.within"
"""The scope's key, and `TOKEN` its value, of calls from within this process: nothing of a request can set either."""
TOKEN = object()
Spared = Callable[[Scope], bool | None]


class Holding(Protocol):
    """Who has the database, once it is open."""

    database: Database


class Authenticating:
    """Around the routes. `spared` says of a custom route whether it is open to all; None of every other."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        gate: Gate,
        parts: Holding,
        limits: Limits,
        prefix: str,
        spared: Spared | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._parts = parts
        self._limits = limits
        self._spared = spared
        self._prefix = prefix
        self._open = OPEN | {f"{prefix}{path}" for path in OPEN} | {prefix}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, then pass on; or refuse."""
        if scope["type"] not in ("http", "websocket") or SCOPE in scope:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if scope.get(WITHIN) is TOKEN:
            scope[SCOPE] = Access(connection)
        elif not self._is_open(scope):
            receive = _Replay(receive) if self._gate.wants & {"body", "request"} else receive
            try:
                await self._let_in(connection, scope, receive)
            except ClientDisconnect:
                return
            except LangyardError as refusal:
                await self._refuse(refusal, scope, receive, send)
                return
            except Exception as failure:  # user code: whatever it is, nobody is let in by it
                await self._refuse(failure, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        """Whoever asks here is nobody: a route among these that asks for `Access` refuses."""
        spared = self._spared(scope) if self._spared is not None else None
        return scope["type"] == "http" and scope["path"] in self._open if spared is None else spared

    async def _let_in(self, connection: HTTPConnection, scope: Scope, receive: Receive) -> None:
        arguments = {name: await self._given(name, connection, scope, receive) for name in self._gate.wants}
        principal = await self._gate.authenticate(arguments, _headers(scope))
        scope[SCOPE] = GuardedAccess(connection, self._gate, self._parts.database, principal)
        scope["user"] = principal.user
        # Of the request's own task, and of what it starts.
        ASKING.set(principal.user)
        scope["auth"] = AuthCredentials(list(principal.permissions))

    async def _refuse(self, refusal: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        answer = errors.of_any(refusal, scope["path"])
        if scope["type"] == "websocket":
            # Before it is accepted: the handshake is answered with 403.
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        await answer(scope, receive, send)

    async def _given(self, name: str, connection: HTTPConnection, scope: Scope, receive: Receive) -> Any:
        if name == "path_params":
            return _path_params(connection.app.router.routes, {**scope, "root_path": self._prefix})
        if name in _GIVEN:
            return _GIVEN[name](connection, scope)
        if scope["type"] == "websocket":
            raise Forbidden("A WebSocket has no request and no body to authenticate by.")
        assert isinstance(receive, _Replay)
        data = await receive.whole(Request(scope, receive), self._limits)
        if name == "body":
            try:
                return orjson.loads(data) if data.strip() else None
            except orjson.JSONDecodeError:
                return None
        return Request(scope, _once(data))


class _Replay:
    """`receive` whose body can be read once more by whoever comes after."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._data: bytes | None = None
        self._told = False

    async def whole(self, request: Request, limits: Limits) -> bytes:
        if self._data is None:
            self._data = await read(Request(request.scope, self._receive), limits)
        return self._data

    async def __call__(self) -> Message:
        if self._data is None or self._told:
            return await self._receive()
        self._told = True
        return {"type": "http.request", "body": self._data, "more_body": False}


def _once(data: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    return receive


def _path_params(routes: Iterable[Any], scope: Scope) -> dict[str, Any]:
    """What the path will mean, routes not having been asked yet. An included router says so of no route of its own."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            if params := _path_params(included.routes, scope):
                return params
            continue
        match, found = route.matches(scope)
        if match is Match.FULL:
            return dict(found.get("path_params", {}))
    return {}


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """By name. Of those that come twice the first, as everywhere: else one could be asked and another be remembered."""
    return dict(reversed(scope["headers"]))


_Given = Callable[[HTTPConnection, Scope], Any]
_GIVEN: dict[str, _Given] = {
    "user": lambda connection, scope: scope.get("user"),
    "path": lambda connection, scope: get_route_path(scope),
    "method": lambda connection, scope: scope.get("method", "GET"),
    "scopes": lambda connection, scope: [],
    "query_params": lambda connection, scope: dict(connection.query_params),
    "headers": lambda connection, scope: _headers(scope),
    "authorization": lambda connection, scope: connection.headers.get("authorization"),
    "scope": lambda connection, scope: dict(scope),
}
