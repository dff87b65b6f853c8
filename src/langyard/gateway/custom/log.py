"""A line for each request with the headers that `http.logging_headers` of langgraph.json names. Pure ASGI."""

from __future__ import annotations

import logging
import time

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langyard.gateway.access.headers import HeaderRule

log = logging.getLogger("langyard.requests")


class AccessLog:
    """Around everything, so that what is refused is logged too. Only there where headers are to be logged."""

    def __init__(self, app: ASGIApp, *, rule: HeaderRule) -> None:
        self._app = app
        self._rule = rule

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, then tell."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            facts = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "duration": round(time.perf_counter() - began, 6),
                "headers": self._rule.passed(HTTPConnection(scope).headers),
            }
            log.info("request", extra=facts)
