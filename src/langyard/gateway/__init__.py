"""HTTP. `create` makes the application of a process that is still closed, `probes` that of one which only works;
`cli` and tests serve it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from langyard import __version__
from langyard.gateway import docs, errors, health, openapi, vitals
from langyard.gateway.access.authenticating import Authenticating
from langyard.gateway.access.headers import HeaderRule
from langyard.gateway.agent import assistants, crons, items, meta
from langyard.gateway.agent.protocol import routes as protocol
from langyard.gateway.agent.runs import making as runs
from langyard.gateway.agent.runs.once import Once
from langyard.gateway.agent.threads import states, streams, threads
from langyard.gateway.courtesies import Head
from langyard.gateway.idempotency import Idempotency
from langyard.gateway.metering import Meter
from langyard.gateway.parts import Parts
from langyard.gateway.wire import Limits
from langyard.gateway.workflow import sessions, workflows
from langyard.gateway.workflow.turns import Turns
from langyard.model.errors import LangyardError

__all__ = ["Parts", "create", "probes"]

_EXPOSED = (
    "Content-Location",
    "Idempotent-Replayed",
    "Location",
    "Retry-After",
    "X-Pagination-Next",
    "X-Pagination-Total",
)


def create(parts: Parts) -> FastAPI:
    """The application; it opens `parts` when it starts and closes them when it stops."""
    settings = parts.settings.gateway
    limits = Limits(settings.max_body_bytes, settings.max_json_depth)
    idempotency = Idempotency(parts, retention_s=settings.idempotency_retention_seconds)
    turns = Turns(parts, idempotency, settings.heartbeat_seconds)

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        await parts.open()
        sweeping = asyncio.create_task(idempotency.sweep(), name="langyard idempotency sweep")
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await parts.close()

    prefix = settings.mount_prefix
    api = FastAPI(
        title="Langyard",
        version=__version__,
        description="Runs LangGraph workflows durably, in sessions.",
        lifespan=lifespan,
        middleware=_middleware(parts, limits),
        openapi_url=f"{prefix}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            LangyardError: errors.on_known,
            RequestValidationError: errors.on_invalid,
            HTTPException: errors.on_http,
        },
    )
    for router in (
        workflows.routes(parts, turns, limits),
        sessions.routes(parts, limits),
        assistants.routes(parts, limits),
        threads.routes(parts, limits),
        states.routes(parts, limits),
        streams.routes(parts),
        protocol.routes(parts, limits),
        runs.routes(Once(parts, limits, idempotency)),
        items.routes(parts, limits),
        crons.routes(parts, limits),
        meta.routes(parts),
        health.routes(parts),
        vitals.routes(parts),
        docs.routes(),
    ):
        api.include_router(router, prefix=prefix)
    forwarded = parts.http.configurable_headers
    api.state.guarded = parts.gate is not None
    api.state.forwarded = HeaderRule(forwarded) if forwarded is not None else None
    openapi.install(api)
    return api


def probes(parts: Parts) -> FastAPI:
    """Health and metrics alone, for a process without a gateway; it opens and closes `parts` as `create` does."""

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
        middleware=[Middleware(errors.Guard), Middleware(Head)],
        openapi_url=None,
        exception_handlers={LangyardError: errors.on_known, HTTPException: errors.on_http},
    )
    for router in (health.routes(parts), vitals.routes(parts)):
        api.include_router(router, prefix=parts.settings.gateway.mount_prefix)
    return api


def _middleware(parts: Parts, limits: Limits) -> list[Middleware]:
    """From the outside in. Errors get their CORS headers too: a page must be able to read why it was refused."""
    settings = parts.settings.gateway
    found = [Middleware(errors.Guard), Middleware(Meter, metrics=parts.metrics), Middleware(Head)]
    if parts.gate is not None:
        found.append(
            Middleware(Authenticating, gate=parts.gate, parts=parts, limits=limits, prefix=settings.mount_prefix)
        )
    if settings.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_credentials=settings.cors_credentials,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
        found.insert(0, cors)
    return found
