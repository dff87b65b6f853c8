"""Whose pages may call: `http.cors` of langgraph.json over the settings over what lets every page do everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from langyard.gateway.errors import of_family
from langyard.gateway.parts import Parts
from langyard.model.errors import ConfigurationError, Forbidden

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})

_EXPOSED = (
    "Content-Location",
    "Idempotent-Replayed",
    "Location",
    "Retry-After",
    "X-Pagination-Next",
    "X-Pagination-Total",
)


def cors(parts: Parts) -> Middleware | None:
    """None where nobody's pages may. Raises ConfigurationError where anybody's may with somebody's cookies."""
    settings, section = parts.settings.gateway, parts.http.cors
    origins, credentials, regex = settings.cors_origins, settings.cors_credentials, None
    methods: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = ("*",)
    exposed: tuple[str, ...] = _EXPOSED
    age = 600
    if section is not None:
        regex = section.allow_origin_regex
        if section.allow_credentials is not None:
            credentials = section.allow_credentials
        if section.allow_origins is not None:
            origins = section.allow_origins
        elif not origins and regex is None and not credentials:
            origins = ("*",)
        methods = section.allow_methods or methods
        headers = section.allow_headers or headers
        known = {name.lower() for name in _EXPOSED}
        exposed = (*_EXPOSED, *(name for name in section.expose_headers if name.lower() not in known))
        age = section.max_age
    if not origins and regex is None:
        return None
    if credentials and "*" in origins:
        raise ConfigurationError(
            "Credentials are allowed to every origin (*): every web page a signed-in user opens could then act with "
            "that user's rights; name the origins, or leave credentials off."
        )
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=list(methods),
        allow_headers=list(headers),
        allow_credentials=credentials,
        allow_origin_regex=regex,
        expose_headers=exposed,
        max_age=age,
    )


class Origins:
    """Refuses what a page of another origin may not ask for. Pure ASGI, around the routes.

    A browser sends some requests, and opens every WebSocket, before it asks whether the page may, and with the cookies
    of whoever looks at the page; only answers are kept from it. What comes from no page has no `Origin`.
    """

    def __init__(self, app: ASGIApp, *, allowed: Middleware | None) -> None:
        self._app = app
        options: Mapping[str, Any] = allowed.kwargs if allowed is not None else {}
        self._cors = CORSMiddleware(app, **options) if allowed is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, perhaps without cookies; or refuse."""
        socket = scope["type"] == "websocket"
        if socket or (scope["type"] == "http" and scope["method"] not in _HARMLESS):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and not _is_ours(origin, headers):
                if self._cors is None or not self._cors.is_allowed_origin(origin):
                    await _refuse(origin, scope, receive, send)
                    return
                if socket and not self._cors.allow_credentials:
                    # Of other requests the browser leaves them out by itself.
                    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        await self._app(scope, receive, send)


def _is_ours(origin: str, headers: Headers) -> bool:
    """Whether the page came from here; a proxy may have changed the host, but not what the browser says of it."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    return origin.partition("://")[2].lower() == headers.get("host", "").lower()


async def _refuse(origin: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # Before it is accepted: the handshake is answered with 403.
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    said = f"Pages of {origin[:200]} may not call this server; LANGYARD_CORS_ORIGINS, or http.cors, says whose may."
    await of_family(Forbidden(said, code="origin_not_allowed"))(scope, receive, send)
