"""The one serializer of everything that leaves as JSON: `dumps` never raises, whatever a graph returned.

Called by streams, by the worker for states and events, and by postgres for JSON columns. Bytes come out once and are
passed on unchanged. NaN and infinities become null (RFC 8259 has no word for them), NUL becomes U+FFFD (PostgreSQL's
jsonb has no place for it), messages are written by their fields.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import itertools
import math
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any
from uuid import UUID

import orjson

# Dates are written here: orjson asks a timezone for its offset and does not survive one that raises.
_OPTIONS = (
    orjson.OPT_NON_STR_KEYS
    | orjson.OPT_SERIALIZE_NUMPY
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_DEPTH = 200
# An object that gives out items may do so for ever; a list of the graph's own is as long as it is.
_MOST = 1_000_000
# Beyond so many bits Python refuses to write a number in decimals.
_LONG = 12_000
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_REPLACEMENT = rb"\1" + "\ufffd".encode()


def loads(data: bytes | str) -> Any:
    """Parse JSON strictly. Raises `ValueError` (`orjson.JSONDecodeError`) with line and column."""
    return orjson.loads(data)


def dumps(value: object, *, nul: bool = False) -> bytes:
    """UTF-8 JSON of anything; lossy only where JSON has no form for it. With `nul`, NUL stays: not for jsonb."""
    try:
        data = orjson.dumps(value, default=_default, option=_OPTIONS)
    except (orjson.JSONEncodeError, RecursionError, ValueError):
        # Lone surrogates, integers beyond 64 bits, cycles, exotic keys: rebuilt piece by piece.
        data = orjson.dumps(_plain(value, 0, set()), option=orjson.OPT_PASSTHROUGH_DATACLASS)
    return _NUL.sub(_REPLACEMENT, data) if not nul and b"\\u0000" in data else data


def plain(value: object) -> Any:
    """`value` as what its JSON reads back to."""
    return orjson.loads(dumps(value))


def _default(value: Any) -> Any:
    """One level of an object orjson does not know, in types it may know. Never raises."""
    try:
        if isinstance(value, dt.datetime | dt.date | dt.time):
            return value.isoformat()
        if isinstance(value, dt.timedelta):
            return value.total_seconds()
        return _known(value)
    except Exception:  # user objects' own methods may fail in any way; the text form is what remains
        return _text(value)


def _known(value: Any) -> Any:
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": _text(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else str(value)
    if isinstance(value, str | int | float):
        return next(kind for kind in (str, int, float) if isinstance(value, kind))(value)
    if isinstance(value, Iterator | AsyncIterator):
        # To read it would be to use it up: the graph that returned it may want it still, and it may have no end.
        return f"<{type(value).__name__}>"
    if isinstance(value, Iterable) and not isinstance(value, type):
        items = list(itertools.islice(value, _MOST + 1))
        return items if len(items) <= _MOST else f"<{type(value).__name__}>"
    if hasattr(value, "dict") and callable(value.dict) and not isinstance(value, type):
        return value.dict()
    return _text(value)


def _text(value: object) -> str:
    try:
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # a user object whose __str__ fails still has a type
        return f"<{type(value).__name__}>"


def _plain(value: Any, depth: int, seen: set[int]) -> Any:
    """The slow road: only str, int, float, bool, None, list and dict come back. Never raises."""
    try:
        return _plain_one(value, depth, seen)
    except Exception:  # a user's object whose methods fail, or that is nested beyond the stack
        return f"<{type(value).__name__}>"


def _plain_one(value: Any, depth: int, seen: set[int]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, depth + 1, seen)
    # The types' own methods, not those that a subclass of a user's may have put in their place.
    if isinstance(value, str):
        return _sound(value)
    if isinstance(value, int):
        found = int.__index__(value)
        if -(2**63) <= found < 2**64:
            return found
        return str(found) if found.bit_length() < _LONG else hex(found)
    if isinstance(value, float):
        number = float.__float__(value)
        return number if math.isfinite(number) else None
    if isinstance(value, UUID | PurePath):
        return _sound(str(value))
    if depth >= _DEPTH or id(value) in seen:
        return f"<{type(value).__name__}>"
    seen.add(id(value))
    try:
        return _plain_container(value, depth, seen)
    finally:
        seen.discard(id(value))


def _plain_container(value: Any, depth: int, seen: set[int]) -> Any:
    if isinstance(value, dict):
        return {_key(k): _plain(v, depth + 1, seen) for k, v in dict.items(value)}
    if isinstance(value, Mapping):
        return {_key(k): _plain(v, depth + 1, seen) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1, seen) for item in list.__iter__(value)]
    if isinstance(value, tuple) and not hasattr(value, "_asdict"):
        return [_plain(item, depth + 1, seen) for item in tuple.__iter__(value)]
    return _plain(_default(value), depth + 1, seen)


def _sound(text: str) -> str:
    return str.encode(text, "utf-8", "replace").decode("utf-8")


def _key(key: object) -> str:
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return _sound(_text(key.value if isinstance(key, enum.Enum) else key))
