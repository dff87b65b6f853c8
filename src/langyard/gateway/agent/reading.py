"""What the routes of the Agent Server API read and answer alike: bodies, ids, numbers, pages (contract section A.0)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from langyard import serde
from langyard.gateway.wire import Limits, answer, as_model, read_json
from langyard.model.errors import BadRequest, Invalid

B = TypeVar("B", bound=BaseModel)
T = TypeVar("T")


async def read(request: Request, model: type[B], limits: Limits, *, may_be_empty: bool = False) -> B:
    """The body as `model`. Raises `Invalid`, `TooLarge`, `UnsupportedMedia`."""
    # A body that comes in chunks has no length.
    unsaid = "0" if "transfer-encoding" not in request.headers else ""
    if may_be_empty and request.headers.get("content-length", unsaid) == "0":
        return as_model({}, model)
    try:
        value = await read_json(request, limits)
    except Invalid as wrong:
        if wrong.code == "invalid_json":
            raise Invalid("Invalid JSON in request body", code="invalid_json") from None
        raise
    return as_model(value, model)


def path_id(value: str, noun: str) -> UUID:
    """The id of a thread, run, assistant or cron in a path. Raises `Invalid` (`invalid_id`)."""
    try:
        return UUID(value)
    except ValueError:
        raise Invalid(f"Invalid {noun} ID: must be a UUID", code="invalid_id") from None


def body_id(value: str | None, noun: str) -> UUID | None:
    """The id a body gives, if it gives one. Raises `Invalid` (`invalid_id`)."""
    return None if value is None else path_id(value, noun)


def text(given: str | None, name: str) -> str | None:
    """A text of path, query or body that gets to the database as one. Raises `Invalid` when it has a NUL."""
    if given is not None and "\0" in given:
        raise Invalid(f"{name} must not have a NUL character.")
    return given


def flag(request: Request, name: str) -> bool:
    """Whether a query parameter says yes."""
    return request.query_params.get(name, "").lower() in ("true", "1", "yes")


def whole(request: Request, name: str, default: int, *, least: int = 0, most: int = 1000) -> int:
    """A query parameter that is a whole number. Raises `BadRequest` when it is none, `Invalid` when out of bounds."""
    given = request.query_params.get(name)
    if given is None:
        return default
    try:
        value = int(given)
    except ValueError:
        raise BadRequest(f"invalid literal for int() with base 10: {given[:100]!r}") from None
    if not least <= value <= most:
        raise Invalid(f"{name} must be between {least} and {most}.")
    return value


def page(found: Sequence[T], limit: int, offset: int) -> tuple[Sequence[T], dict[str, str]]:
    """A page out of up to `limit + 1` rows, and its headers. Their total is none: it says whether there is more."""
    rows = found[:limit]
    if len(found) > limit:
        return rows, {"X-Pagination-Total": str(offset + limit + 1), "X-Pagination-Next": str(offset + limit)}
    return rows, {"X-Pagination-Total": str(offset + len(rows))}


def chosen(row: Mapping[str, Any], select: Iterable[str] | None) -> dict[str, Any]:
    """The fields that were asked for, all of them when none were."""
    return dict(row) if not select else {name: row[name] for name in select if name in row}


def answer_with(value: object, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    """A value with headers, encoded by the one serializer."""
    return answer(serde.dumps(value), status, headers)
