"""The one table that turns errors into HTTP: a family into its status, anything else into 500 with an incident id.

Every route raises; `create` puts the hooks in place.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from uuid import uuid4

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langyard import serde
from langyard.auth import Refused
from langyard.conversations import Outcome
from langyard.gateway.passage.courtesies import slashless
from langyard.model import errors

log = logging.getLogger(__name__)

STATUS: Mapping[type[errors.LangyardError], int] = {
    errors.BadRequest: 400,
    errors.Invalid: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.GraphFailed: 424,
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

_UNKNOWN = 500
# What the framework finds out by itself.
ROUTING: Mapping[int, str] = {404: "route_not_found", 405: "method_not_allowed"}


_COMPLAINTS: Mapping[str, str] = {
    "missing": "is missing",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
}


class UnsupportedMedia(errors.Invalid):
    """The body is declared to be something else than JSON: 415, the one status no family has."""

    code = "unsupported_media_type"


def error(
    status: int, code: str, detail: str, more: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The one form of every error: `{"detail": sentence, "code": stable}`."""
    body = serde.dumps({"detail": detail, "code": code, **(more or {})})
    return Response(body, status, dict(headers or {}), "application/json")


def status_of(found: errors.LangyardError) -> int:
    """The status of an error's family, or its own; 500 if it has none."""
    if isinstance(found, Refused):
        return found.status
    return next((STATUS[kind] for kind in type(found).__mro__ if kind in STATUS), _UNKNOWN)


def of_family(found: errors.LangyardError) -> Response:
    """The answer to an error raised on purpose."""
    if isinstance(found, UnsupportedMedia):
        return error(415, found.code, found.detail)
    if isinstance(found, Refused):
        return error(found.status, found.code, found.detail, headers=found.headers)
    status = status_of(found)
    if status == _UNKNOWN:
        return unexpected(found)
    headers: dict[str, str] = {}
    if isinstance(found, errors.Limited | errors.Unavailable):
        headers["Retry-After"] = str(math.ceil(found.retry_after))
    if isinstance(found, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return error(status, found.code, found.detail, headers=headers)


def failure_body(outcome: Outcome) -> bytes:
    """The answer when the workflow itself came to no result; the incident is the run."""
    assert outcome.failure is not None
    run_id = str(outcome.run_id)
    incident = {"incident_id": run_id, "session_id": outcome.session_id, "run_id": run_id}
    return serde.dumps({"detail": outcome.failure.detail, "code": outcome.failure.code, **incident})


def of_any(found: BaseException, path: str = "") -> Response:
    """The answer to whatever was raised."""
    return of_family(found) if isinstance(found, errors.LangyardError) else unexpected(found, path)


def unexpected(found: BaseException, path: str = "") -> Response:
    """The answer to a fault of ours: nothing of its text, and an id under which the log has all of it."""
    incident = str(uuid4())
    log.error("incident %s", incident, exc_info=found, extra={"incident_id": incident, "path": path})
    detail = f"The server failed; its log tells why: incident {incident}."
    return error(500, "internal_error", detail, {"incident_id": incident})


async def on_known(request: Request, found: Exception) -> Response:
    """Starlette's hook for our own family."""
    return of_any(found, request.scope["path"])


async def on_invalid(request: Request, found: Exception) -> Response:
    """FastAPI's hook for parameters of path and query: its list becomes one sentence."""
    assert isinstance(found, RequestValidationError)
    first = found.errors()[0]
    place, name = first["loc"][0], first["loc"][-1]
    return of_family(errors.Invalid(f"The {place} parameter {name} {complaint(first['type'], first['msg'])}."))


async def on_http(request: Request, found: Exception) -> Response:
    """Starlette's hook for what routing finds: no such path, no such method."""
    assert isinstance(found, HTTPException)
    if found.status_code == 404 and (led := slashless(request)) is not None:
        return led
    code = ROUTING.get(found.status_code, "http_error")
    path, method = request.scope["path"][:200], request.scope["method"]
    detail = {
        404: f"There is nothing at {path}; /docs lists what there is.",
        405: f"{path} does not take {method}.",
    }.get(found.status_code, str(found.detail))
    headers = dict(found.headers or {})
    if "GET" in headers.get("Allow", "").split(", "):
        headers["Allow"] += ", HEAD"  # what may be read may be asked for without its body
    return error(found.status_code, code, detail, headers=headers)


def complaint(kind: str, message: str) -> str:
    """What pydantic found wrong as the end of a sentence that began with the field, in JSON's words."""
    text = message.removeprefix("Input ").removeprefix("Value error, ").rstrip(".")
    return _COMPLAINTS.get(kind, text[:1].lower() + text[1:])


class Guard:
    """The last line: what escapes everything else becomes an incident. Pure ASGI, around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; answer what is raised, unless an answer is already under way."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as found:  # a fault of ours, whatever it is: the client gets an id, the log the rest
            answer = unexpected(found, scope["path"])
            if begun:
                raise
            await answer(scope, receive, send)
