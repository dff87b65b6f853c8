"""Reads bodies and writes answers as bytes, for every route: limits, strict JSON, one sentence for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from langyard import serde
from langyard.gateway.errors import UnsupportedMedia, complaint
from langyard.model.errors import Invalid, TooLarge

B = TypeVar("B", bound=BaseModel)
_JSON = "application/json"
_NUL = b"\\u0000"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may be."""

    bytes: int = 8 * 2**20
    depth: int = 100


async def read(request: Request, limits: Limits) -> bytes:
    """The whole body. Raises `TooLarge` as soon as it is known to be, and then holds none of it."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.bytes:
        raise _too_large(limits)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limits.bytes:
            raise _too_large(limits)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def read_json(request: Request, limits: Limits) -> Any:
    """The body as JSON, within the limits. Raises `Invalid`, `TooLarge`, `UnsupportedMedia`."""
    declared = request.headers.get("content-type")
    if declared is None and "origin" in request.headers:
        # What does not say what it is, a browser sends for any page, without asking first whether that page may.
        raise UnsupportedMedia("A page has to declare what it sends: Content-Type: application/json.")
    kind = (_JSON if declared is None else declared).partition(";")[0].strip().lower()
    if kind != _JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMedia(
            f"The body is declared as {kind[:100]!r}; send JSON with Content-Type: application/json."
        )
    return parsed(await read(request, limits), limits)


def parsed(data: bytes, limits: Limits) -> Any:
    """JSON within the limits, wherever it came from. Raises `Invalid`."""
    if not data.strip():
        raise Invalid("The body is empty; a JSON object is expected.", code="invalid_json")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as wrong:
        raise Invalid(f"The body is not valid JSON: {_words(wrong)}.", code="invalid_json") from None
    _check(value, data, limits)
    return value


async def read_body(request: Request, model: type[B], limits: Limits) -> B:
    """The body as `model`. Raises what `read_json` does, and `Invalid` naming the first field that is wrong."""
    return as_model(await read_json(request, limits), model)


def as_model(value: Any, model: type[B]) -> B:
    """A parsed body as `model`. Raises `Invalid`."""
    if not isinstance(value, dict):
        raise Invalid(f"The body is {_kind(value)}; a JSON object is expected.")
    try:
        return model.model_validate(value, strict=True)
    except ValidationError as wrong:
        raise Invalid(sentence(wrong)) from None


def sentence(wrong: ValidationError) -> str:
    """What is wrong first, with the path of the field."""
    first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])[:200]
    return f"{path} {complaint(first['type'], first['msg'])}."


def answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Prepared JSON, passed on as it is."""
    return Response(body, status, dict(headers) if headers else None, _JSON)


def answer_json(value: object, status: int = 200) -> Response:
    """A value, encoded by the one serializer."""
    return answer(serde.dumps(value), status)


def canonical(value: object) -> bytes:
    """The same bytes for the same JSON, whatever the order of its keys."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _check(value: Any, data: bytes, limits: Limits) -> None:
    """Depth and keys, without a stack. Most bodies have too few brackets to be too deep, and no NUL at all."""
    nul = _NUL in data
    if not nul and data.count(b"{") + data.count(b"[") <= limits.depth:
        return
    level: list[Any] = [value]
    for _ in range(limits.depth):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                if nul and any("\x00" in key for key in item):
                    raise Invalid("A key in the body has a NUL character, which no store of JSON takes.")
                inner.extend(part for part in item.values() if isinstance(part, dict | list))
            elif isinstance(item, list):
                inner.extend(part for part in item if isinstance(part, dict | list))
        if not inner:
            return
        level = inner
    raise Invalid(f"The body is nested deeper than {limits.depth} levels.", code="json_too_deep")


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"The body is larger than the {limits.bytes} bytes this server takes.")


def _words(wrong: orjson.JSONDecodeError) -> str:
    return f"{wrong.msg.rstrip('.')} at line {wrong.lineno}, column {wrong.colno}"


def _kind(value: object) -> str:
    names = {
        str: "a string",
        int: "a number",
        float: "a number",
        bool: "a boolean",
        list: "an array",
        type(None): "null",
    }
    return names.get(type(value), "something else")
