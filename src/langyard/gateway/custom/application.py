"""`http.app` of langgraph.json: the project's own application, its middleware around every route (contract A.13).

Its routes go before ours, but for those that monitors and documentation need. It runs on the gateway's loop: its
middleware has our answers pass through it, and its lifespan opens what its routes use. What blocks there blocks all;
routes that are plain functions get a thread from Starlette. `create` puts it in place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from langyard.gateway.errors import Guard
from langyard.model.errors import ConfigurationError

OURS = frozenset({"/ok", "/metrics", "/docs", "/openapi.json"})


class OwnApp:
    """The project's application, beside ours, which is known once it is made. Raises ConfigurationError."""

    def __init__(self, app: object, prefix: str, *, authenticated: bool) -> None:
        if not isinstance(app, Starlette):
            raise ConfigurationError(f"`http.app` is a {type(app).__name__}, not a FastAPI or Starlette application.")
        self.app = app
        self.prefix = prefix
        self.ours: FastAPI | None = None
        self._authenticated = authenticated
        self._state: Mapping[str, Any] = {}

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Its lifespan, within ours: what it opens may already call us."""
        async with self.app.router.lifespan_context(self.app) as state:
            self._state = state or {}
            yield

    def has(self, scope: Scope) -> bool:
        """Whether one of its routes is to answer."""
        path: str = scope["path"]
        if path in OURS or (path.startswith(self.prefix) and path[len(self.prefix) :] in OURS):
            return False
        if not path.startswith(self.prefix):
            return False
        theirs = _match(self.app.routes, self.at(scope))
        if theirs is Match.FULL:
            return True
        # It knows the path but not the method: it is the one to say so only if we know nothing of the path.
        return theirs is Match.PARTIAL and self.ours is not None and _match(self.ours.routes, scope) is Match.NONE

    def spared(self, scope: Scope) -> bool | None:
        """For `Authenticating`: whether this is a route of its own that is open to all; None: it is none."""
        return not self._authenticated if self.has(scope) else None

    def at(self, scope: Scope) -> Scope:
        """The scope as its routes see it, which know of no mount prefix."""
        return {**scope, "root_path": scope.get("root_path", "") + self.prefix}

    def around(self, app: ASGIApp, guard: Callable[[ASGIApp], ASGIApp] | None) -> ASGIApp:
        """The application with ours where its router ends; `guard` comes between its middleware and the routes."""
        router = self.app.router
        known = getattr(router.middleware_stack, "theirs", router.middleware_stack)
        turn = _Turn(self, known, Guard(app))
        innermost = guard(turn) if guard is not None else turn
        router.middleware_stack = _Inner(known, innermost)
        return _Entered(self, self._state_of)

    def _state_of(self) -> Mapping[str, Any]:
        return self._state


class _Inner:
    """What the application takes for its router. `theirs` is what that was."""

    def __init__(self, theirs: ASGIApp, app: ASGIApp) -> None:
        self.theirs = theirs
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Entered:
    """The way into the application, with what its lifespan yielded."""

    def __init__(self, own: OwnApp, state: Callable[[], Mapping[str, Any]]) -> None:
        self._own = own
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if state := self._state():
            scope["state"] = {**scope.get("state", {}), **state}
        await self._own.app(scope, receive, send)


class _Turn:
    """The parting of the ways, behind its middleware."""

    def __init__(self, own: OwnApp, theirs: ASGIApp, ours: ASGIApp) -> None:
        self._own = own
        self._theirs = theirs
        self._ours = ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._own.has(scope):
            scope["root_path"] = self._own.at(scope)["root_path"]
            await self._theirs(scope, receive, send)
            return
        # In place: what was put into the scope on the way here holds on to it.
        scope["app"] = self._own.ours
        scope.pop("router", None)
        await self._ours(scope, receive, send)


class Around:
    """The middleware of our application that has the project's own around what is within."""

    def __init__(self, app: ASGIApp, *, own: OwnApp, guard: Callable[[ASGIApp], ASGIApp] | None) -> None:
        self._ours = app
        self._app = own.around(app, guard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Into the project's application, but for the lifespan, which ours has in hand."""
        await (self._ours if scope["type"] == "lifespan" else self._app)(scope, receive, send)


def _match(routes: Sequence[BaseRoute], scope: Scope) -> Match:
    best = Match.NONE
    for route in routes:
        found, _ = route.matches(scope)
        if found is Match.FULL:
            return found
        best = max(best, found, key=lambda match: match.value)
    return best
