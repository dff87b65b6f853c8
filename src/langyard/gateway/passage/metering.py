"""Counts every request by the route that took it, from its arrival to the start of its answer. Pure ASGI."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langyard.telemetry.metrics import Metrics

# What no route took: a label for each path would let any client make as many series as it likes.
_NO_ROUTE = "none"


class Meter:
    """Around all routes, within what answers faults, so that a fault is counted as the 500 that it becomes."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on and count."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, took = 0, 0.0

        async def watched(message: Message) -> None:
            nonlocal status, took
            if message["type"] == "http.response.start":
                status, took = message["status"], time.perf_counter() - began
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:  # whatever it is, it becomes a 500 further out; it is counted and goes on
            status, took = status or 500, took or time.perf_counter() - began
            raise
        finally:
            if status:  # else the client has left before there was an answer
                self._count(scope, status, took)

    def _count(self, scope: Scope, status: int, took: float) -> None:
        metrics, method = self._metrics, scope["method"]
        endpoint = getattr(scope.get("route"), "path", None) or _NO_ROUTE
        metrics.count("langgraph_requests_total", endpoint, method)
        metrics.observe("langgraph_request_duration_seconds", took, endpoint)
        metrics.count("lg_api_http_requests_total", method, endpoint, str(status))
        metrics.observe("lg_api_http_requests_latency_seconds", took, method, endpoint)
        if status >= 500:
            metrics.count("langgraph_errors_total", f"http_{status}")
