"""The one table that turns errors into HTTP: a family into its status, anything else into 500 with an incident id."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from langyard import serde
from langyard.conversations import Outcome
from langyard.model import errors

log = logging.getLogger(__name__)

STATUS: Mapping[type[errors.LangyardError], int] = {
    errors.Invalid: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Limited: 429,
    errors.Unavailable: 503,
}

# How a workflow failed. Its end is not an exception but the answer to the request.
FAILURE: Mapping[str, int] = {
    "workflow_failed": 500,
    "recursion_limit_reached": 500,
    "workflow_timeout": 504,
    "workflow_cancelled": 409,
}

# What the framework finds out by itself.
ROUTING: Mapping[int, str] = {404: "route_not_found", 405: "method_not_allowed"}


class UnsupportedMedia(errors.Invalid):
    """The body is declared to be something else than JSON: 415, the one status no family has."""

    code = "unsupported_media_type"


def error(
    status: int, code: str, detail: str, more: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The one form of every error: `{"detail": sentence, "code": stable}`."""
    body = serde.dumps({"detail": detail, "code": code, **(more or {})})
    return Response(body, status, dict(headers or {}), "application/json")


def of_family(found: errors.LangyardError) -> Response:
    """The answer to an error raised on purpose."""
    if isinstance(found, UnsupportedMedia):
        return error(415, found.code, found.detail)
    status = next((STATUS[kind] for kind in type(found).__mro__ if kind in STATUS), None)
    if status is None:
        return unexpected(found)
    headers: dict[str, str] = {}
    if isinstance(found, errors.Limited | errors.Unavailable):
        headers["Retry-After"] = str(math.ceil(found.retry_after))
    if isinstance(found, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return error(status, found.code, found.detail, headers=headers)


def of_failure(outcome: Outcome) -> Response:
    """The answer when the workflow itself came to no result; the incident is the run."""
    assert outcome.failure is not None
    incident = {"incident_id": str(outcome.run_id), "session_id": outcome.session_id, "run_id": str(outcome.run_id)}
    return error(FAILURE[outcome.failure.code], outcome.failure.code, outcome.failure.detail, incident)


def unexpected(found: BaseException, path: str = "") -> Response:
    """The answer to a fault of ours: nothing of its text, and an id under which the log has all of it."""
    incident = str(uuid4())
    log.error("incident %s", incident, exc_info=found, extra={"incident_id": incident, "path": path})
    detail = f"The server failed; its log tells why: incident {incident}."
    return error(500, "internal_error", detail, {"incident_id": incident})


async def on_known(request: Request, found: Exception) -> Response:
    """Starlette's hook for our own family."""
    assert isinstance(found, errors.LangyardError)
    return of_family(found)


async def on_http(request: Request, found: Exception) -> Response:
    """Starlette's hook for what routing finds: no such path, no such method."""
    assert isinstance(found, HTTPException)
    code = ROUTING.get(found.status_code, "http_error")
    path, method = request.scope["path"], request.scope["method"]
    if found.status_code == 404:
        return error(404, code, f"There is nothing at {path[:200]}; /docs lists what there is.")
    if found.status_code == 405:
        return error(405, code, f"{path[:200]} does not take {method}.", headers=found.headers)
    return error(found.status_code, code, str(found.detail), headers=found.headers)


async def on_unexpected(request: Request, found: Exception) -> Response:
    """Starlette's hook for everything else."""
    return unexpected(found, request.scope["path"])
