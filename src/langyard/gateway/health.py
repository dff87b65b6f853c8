"""Liveness, which never touches the database, and readiness, which names each dependency."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from langyard import __version__
from langyard.gateway.parts import Parts
from langyard.gateway.wire import answer_json
from langyard.model.errors import LangyardError

# A readiness answer within two seconds, whatever the database does, and at most one probe a second.
_WAIT_S = 1.5
_FRESH_S = 1.0


class HealthAnswer(BaseModel):
    """The process answers."""

    status: Literal["healthy"]
    timestamp: dt.datetime
    version: str


class Dependency(BaseModel):
    """Something the server needs."""

    status: Literal["healthy", "unhealthy"]
    latency_ms: float | None = Field(description="Of the last probe that was answered.")


class ReadyAnswer(BaseModel):
    """Whether requests can be served."""

    status: Literal["ready", "degraded", "unready"] = Field(
        description="`degraded`: all requests are served, more slowly, without a dependency that is not needed."
    )
    dependencies: dict[str, Dependency]
    draining: bool = Field(description="Whether the server is shutting down.")


class Probe:
    """One question to the database at a time, its answer shared by all who ask. A probe that hangs hangs alone."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._running: asyncio.Task[float | None] | None = None
        self._latency_ms: float | None = None
        self._at = float("-inf")

    async def latency_ms(self) -> float | None:
        """Milliseconds of one round trip, at most a second old; None when there is no answer in time."""
        if time.monotonic() - self._at < _FRESH_S:
            return self._latency_ms
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._running}, timeout=_WAIT_S)
        self._latency_ms = self._running.result() if done else None
        self._at = time.monotonic()
        return self._latency_ms

    async def _ask(self) -> float | None:
        began = time.perf_counter()
        try:
            await self._parts.database.probe(_WAIT_S)
        except LangyardError:
            return None
        return round((time.perf_counter() - began) * 1000, 3)


def routes(parts: Parts) -> APIRouter:
    """The router."""
    router = APIRouter(tags=["health"])
    probe = Probe(parts)

    @router.head("/health", include_in_schema=False)
    @router.get("/health", responses={200: {"model": HealthAnswer}})
    async def health(request: Request) -> Response:
        """Whether this process answers at all. It asks nobody else."""
        return answer_json({"status": "healthy", "timestamp": dt.datetime.now(dt.UTC), "version": __version__})

    @router.head("/health/ready", include_in_schema=False)
    @router.get(
        "/health/ready",
        responses={200: {"model": ReadyAnswer}, 503: {"model": ReadyAnswer, "description": "Not now."}},
    )
    async def ready(request: Request) -> Response:
        """Whether requests can be served now, and what is missing if not."""
        latency_ms = await probe.latency_ms()
        healthy = latency_ms is not None
        serving = healthy and not parts.draining
        lesser = parts.lesser
        body: dict[str, Any] = {
            "status": ("degraded" if None in lesser.values() else "ready") if serving else "unready",
            "dependencies": {name: _dependency(found) for name, found in {"postgresql": latency_ms, **lesser}.items()},
            "draining": parts.draining,
        }
        return answer_json(body, 200 if serving else 503)

    return router


def _dependency(latency_ms: float | None) -> dict[str, Any]:
    return {"status": "healthy" if latency_ms is not None else "unhealthy", "latency_ms": latency_ms}
