"""HTTP. `create` makes the application of a process that is still closed, `probes` that of one which only works;
`cli` and tests serve it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from langyard import __version__
from langyard.gateway import docs, errors, health, openapi, vitals
from langyard.gateway.access.authenticating import OPEN, Authenticating
from langyard.gateway.access.headers import HeaderRule
from langyard.gateway.agent import assistants, crons, items, meta
from langyard.gateway.agent.protocol import routes as protocol
from langyard.gateway.agent.runs import making as runs
from langyard.gateway.agent.runs.once import Once
from langyard.gateway.agent.threads import states, streams, threads
from langyard.gateway.custom.application import Around, OwnApp
from langyard.gateway.custom.cors import Origins, cors
from langyard.gateway.custom.document import completed
from langyard.gateway.custom.log import AccessLog
from langyard.gateway.custom.within import Within
from langyard.gateway.idempotency import Idempotency
from langyard.gateway.parts import Parts
from langyard.gateway.passage.courtesies import Head
from langyard.gateway.passage.direct import Direct
from langyard.gateway.passage.metering import Meter
from langyard.gateway.protocols import mcp
from langyard.gateway.protocols.a2a import routes as a2a
from langyard.gateway.wire import Limits
from langyard.gateway.workflow import sessions, workflows
from langyard.gateway.workflow.turns import Turns
from langyard.graphs import loopback
from langyard.model.errors import LangyardError
from langyard.model.stopping import stop

__all__ = ["Parts", "create", "probes"]


def create(parts: Parts) -> FastAPI:
    """The application; it opens `parts` when it starts and closes them when it stops."""
    settings = parts.settings.gateway
    limits = Limits(settings.max_body_bytes, settings.max_json_depth)
    idempotency = Idempotency(parts, retention_s=settings.idempotency_retention_seconds)
    turns = Turns(parts, idempotency, settings.heartbeat_seconds)

    own = _own(parts)

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        await parts.open()
        sweeping = asyncio.create_task(idempotency.sweep(), name="langyard idempotency sweep")
        unserve = loopback.serve(Within(api, prefix))
        try:
            async with own.lifespan() if own is not None else nullcontext():
                yield
        finally:
            unserve()
            await stop([sweeping])
            await parts.close()

    prefix = settings.mount_prefix
    api = FastAPI(
        title="Langyard",
        version=__version__,
        description="Runs LangGraph workflows durably, in sessions.",
        lifespan=lifespan,
        middleware=_middleware(parts, limits, own),
        openapi_url=f"{prefix}/openapi.json" if "meta" not in parts.http.disabled else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            LangyardError: errors.on_known,
            RequestValidationError: errors.on_invalid,
            HTTPException: errors.on_http,
        },
    )
    routers = list(_routers(parts, turns, limits, idempotency))
    api.router.routes.append(Direct(routers, prefix))
    for router in routers:
        api.include_router(router, prefix=prefix)
    if prefix:
        for root in (meta.routes(parts), vitals.routes(parts)):
            api.include_router(root, include_in_schema=False)
    if own is not None:
        own.ours = api
    forwarded = parts.http.configurable_headers
    api.state.guarded = parts.gate is not None
    api.state.forwarded = HeaderRule(forwarded) if forwarded is not None else None
    opened = OPEN | {f"{prefix}{path}" for path in OPEN}
    openapi.install(api, lambda made: completed(made, parts, own, opened))
    return api


def probes(parts: Parts) -> FastAPI:
    """Health and metrics alone, for a process without a gateway; it opens and closes `parts` as `create` does."""

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        await parts.open()
        # A graph that is executed here finds the API here, though nobody else does.
        unserve = loopback.serve(Within(create(parts), parts.settings.gateway.mount_prefix))
        try:
            yield
        finally:
            unserve()
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


def _own(parts: Parts) -> OwnApp | None:
    if parts.custom is None:
        return None
    prefix = parts.settings.gateway.mount_prefix
    return OwnApp(parts.custom, prefix, authenticated=parts.http.enable_custom_route_auth and parts.gate is not None)


def _routers(parts: Parts, turns: Turns, limits: Limits, idempotency: Idempotency) -> Iterator[APIRouter]:
    """Every router, but for those of features that `http` of langgraph.json switches off."""
    by_feature: tuple[tuple[str, Callable[[], APIRouter]], ...] = (
        ("", lambda: workflows.routes(parts, turns, limits)),
        ("", lambda: sessions.routes(parts, limits)),
        ("assistants", lambda: assistants.routes(parts, limits)),
        ("threads", lambda: threads.routes(parts, limits)),
        ("threads", lambda: states.routes(parts, limits)),
        ("threads", lambda: streams.routes(parts)),
        ("event_streaming runs", lambda: protocol.routes(parts, limits)),
        ("runs", lambda: runs.routes(Once(parts, limits, idempotency))),
        ("store", lambda: items.routes(parts, limits)),
        ("runs", lambda: crons.routes(parts, limits)),
        ("mcp", lambda: mcp.routes(parts, limits)),
        ("a2a", lambda: a2a.routes(parts, limits)),
        ("", lambda: meta.routes(parts)),
        ("meta", meta.about),
        ("", lambda: health.routes(parts)),
        ("meta" if parts.settings.gateway.mount_prefix else "", lambda: vitals.routes(parts)),
        ("meta", docs.routes),
    )
    for features, make in by_feature:
        if parts.http.disabled.isdisjoint(features.split()):
            yield make()


def _middleware(parts: Parts, limits: Limits, own: OwnApp | None) -> list[Middleware]:
    """From the outside in. Errors get their CORS headers too: a page must be able to read why it was refused."""
    found = [Middleware(errors.Guard), Middleware(Meter, metrics=parts.metrics), Middleware(Head)]
    allowed = cors(parts)
    if allowed is not None or own is None:  # else the project's application may have its own way with origins
        found.append(Middleware(Origins, allowed=allowed))
    if allowed is not None:
        found.insert(0, allowed)
    if (logged := parts.http.logging_headers) is not None:
        found.insert(0, Middleware(AccessLog, rule=HeaderRule(logged)))
    prefix = parts.settings.gateway.mount_prefix
    guard: Callable[[ASGIApp], ASGIApp] | None = None
    if parts.gate is not None:
        spared = own.spared if own is not None else None
        guard = partial(Authenticating, gate=parts.gate, parts=parts, limits=limits, prefix=prefix, spared=spared)
        if own is None or parts.http.middleware_order == "auth_first":
            found.append(Middleware(guard))
            guard = None
    if own is not None:
        found.append(Middleware(Around, own=own, guard=guard))
    return found
