"""What the Agent Server does on every path: HEAD answers as GET without a body, a trailing slash is led to the path."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Serves HEAD by the route of GET. Pure ASGI, around the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; of the answer to HEAD only what comes before the body."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        done = False

        async def bodiless(message: Message) -> None:
            nonlocal done
            if message["type"] == "http.response.start":
                await send(message)
            elif message["type"] == "http.response.body" and not done:
                done = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        read = {**scope, "method": "GET"}
        try:
            await self._app(read, receive, bodiless)
        finally:
            if "route" in read:
                scope["route"] = read["route"]  # by which it is counted


def slashless(request: Request) -> Response | None:
    """The way to the same path without its trailing slash, when something is there."""
    path: str = request.scope["path"]
    bare = path.rstrip("/")
    if not bare or bare == path:
        return None
    there = {**request.scope, "path": bare, "raw_path": bare.encode(), "path_params": {}}
    if all(route.matches(there)[0] is Match.NONE for route in request.app.router.routes):
        return None
    query = request.scope.get("query_string", b"").decode("latin-1")
    # A path alone: behind a proxy only the client knows the scheme and the host.
    return RedirectResponse("/" + bare.lstrip("/") + (f"?{query}" if query else ""), 307)
