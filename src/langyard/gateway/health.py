"""Liveness, which never touches the database, and readiness, which names each dependency."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from langyard import __version__
from langyard.gateway.wire import answer_json


def routes() -> APIRouter:
    """The router."""
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health(request: Request) -> Response:
        """Whether this process answers at all."""
        return answer_json({"status": "healthy", "timestamp": dt.datetime.now(dt.UTC), "version": __version__})

    return router
