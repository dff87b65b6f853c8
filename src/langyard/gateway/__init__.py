"""HTTP. `create` makes the application of an opened or still closed process; `cli` and tests serve it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from langyard import __version__
from langyard.gateway import errors, health, workflows
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits
from langyard.model.errors import LangyardError

__all__ = ["Parts", "create"]


def create(parts: Parts) -> FastAPI:
    """The application; it opens `parts` when it starts and closes them when it stops."""
    settings = parts.settings.gateway
    limits = Limits(settings.max_body_bytes, settings.max_json_depth)

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        await parts.open()
        try:
            yield
        finally:
            await parts.close()

    api = FastAPI(
        title="Langyard",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            LangyardError: errors.on_known,
            HTTPException: errors.on_http,
            Exception: errors.on_unexpected,
        },
    )
    for router in (workflows.routes(parts, limits), health.routes()):
        api.include_router(router, prefix=settings.mount_prefix)
    return api
