"""The routes that tell of the server itself (contract A.1): alive, which version, what it can."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from langyard import __version__
from langyard.gateway.agent.reading import flag
from langyard.gateway.openapi import problems
from langyard.gateway.parts import Parts
from langyard.gateway.wire import answer_json

_PROBE_S = 3.0


class OkAnswer(BaseModel):
    """It answers."""

    ok: bool
    services: dict[str, str]


class InfoAnswer(BaseModel):
    """What is served, and what it can do."""

    version: str
    langgraph_py_version: str
    flags: dict[str, bool]
    host: dict[str, str | None]


def routes(parts: Parts) -> APIRouter:
    """The router that says whether all is well; `parts` need not be open yet."""
    router = APIRouter(tags=["server"])

    @router.get("/ok", responses={200: {"model": OkAnswer}, **problems(503)})
    @router.get("/", responses={200: {"model": OkAnswer}, **problems(503)})
    async def ok(request: Request) -> Response:
        """Whether the server answers; with `?check_db=1` whether its database does."""
        services: dict[str, str] = {}
        if flag(request, "check_db"):
            await parts.database.probe(_PROBE_S)
            services["postgres"] = "healthy"
        return answer_json({"ok": True, "services": services})

    return router


def about() -> APIRouter:
    """The router that says what this is."""
    router = APIRouter(tags=["server"])
    info: dict[str, Any] = {
        "version": __version__,
        "langgraph_py_version": version("langgraph"),
        "flags": {
            "assistants": True,
            "crons": True,
            "langsmith": False,
            "langsmith_tracing_replicas": False,
            "langsmith_tracing_session_on_runs": False,
        },
        "host": dict.fromkeys(("project_id", "host_revision_id", "revision_id", "tenant_id")) | {"kind": "self-hosted"},
    }

    @router.get("/info", responses={200: {"model": InfoAnswer}})
    async def get_info() -> Response:
        """Versions and abilities, for clients that look before they ask."""
        return answer_json(info)

    return router
