"""The way in for user code of this very process (contract E), which is not asked who it is. Not reachable from outside.

What marks such a call is an object in the scope that no request can put there; the root path `/noauth`, which the SDK
sets, opens nothing.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from langyard.gateway.access.authenticating import TOKEN, WITHIN


class Within:
    """The application for calls from within. Their paths know of no mount prefix."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, marked."""
        path: str = scope["path"]
        if self._prefix and not path.startswith(f"{self._prefix}/"):
            path = self._prefix + path
        marked = {**scope, WITHIN: TOKEN, "root_path": "", "path": path, "raw_path": path.encode()}
        await self._app(marked, receive, send)
