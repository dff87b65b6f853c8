"""`/docs`: a page that shows `/openapi.json` and sends requests, whole in one file. It asks nobody but this server."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


def routes() -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)
    page = files("langyard.gateway").joinpath("docs.html").read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        """The page."""
        return HTMLResponse(page, headers=headers)

    return router
