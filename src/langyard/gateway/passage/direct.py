"""The routes that start runs, past what FastAPI does for every route: they take nothing but the request and its path.

FastAPI tries one route after another and opens two exit stacks before it finds that there is nothing to solve. `create`
puts one `Direct` before all routers; the routes themselves stay where they are, for the document and other methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NoReturn

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette._utils import get_route_path
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound, compile_path, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

HOT = {
    "/workflow/execute",
    "/workflow/stream",
    "/runs/wait",
    "/runs/stream",
    "/threads/{thread_id}/runs/wait",
    "/threads/{thread_id}/runs/stream",
}
_METHOD = "POST"


class Direct(BaseRoute):
    """Answers POSTs to the busiest routes of these routers, which are included under `prefix`."""

    def __init__(self, routers: Iterable[APIRouter], prefix: str) -> None:
        found = [
            (f"{prefix}{route.path}", route)
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute) and route.path in HOT and _METHOD in (route.methods or ())
        ]
        self._fixed = {path: (route, _app(route)) for path, route in found if "{" not in path}
        self._open = [(_pattern(path), route, _app(route)) for path, route in found if "{" in path]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Full for a POST to one of the routes, else none: whatever is wrong with a request, the router says it."""
        if scope["type"] != "http" or scope["method"] != _METHOD:
            return Match.NONE, {}
        path, values = get_route_path(scope), {}
        known = self._fixed.get(path)
        if known is None:
            for pattern, route, app in self._open:
                if (found := pattern.match(path)) is not None:
                    known, values = (route, app), found.groupdict()
                    break
            else:
                return Match.NONE, {}
        route, app = known
        return Match.FULL, {"endpoint": route.endpoint, "route": route, "path_params": values, "langyard.direct": app}

    def url_path_for(self, name: str, /, **path_params: Any) -> NoReturn:
        """The routes themselves know where they are."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the endpoint that was found."""
        await scope["langyard.direct"](scope, receive, send)


def _app(route: APIRoute) -> ASGIApp:
    endpoint = route.endpoint

    async def call(request: Request) -> Response:
        answer: Response = await endpoint(request, **request.path_params)
        return answer

    return request_response(call)


def _pattern(path: str) -> re.Pattern[str]:
    pattern: re.Pattern[str] = compile_path(path)[0]
    return pattern
