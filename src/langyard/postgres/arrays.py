"""Array parameters whose PostgreSQL type never depends on their content; used by the statements that carry many rows.

psycopg chooses an array's type by its elements, so that one statement text would be planned anew for every mix of empty
and filled arrays. These wrappers fix the type and pack the binary form (PostgreSQL's `array_send`) in one pass.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD = struct.Struct("!iiIii")
_EMPTY = struct.Struct("!iiI")
_SIZE = struct.Struct("!i")
_NULL = _SIZE.pack(-1)
_INT8 = struct.Struct("!iq")


class Texts(list[str | bytes | None]):
    """text[]; elements may be UTF-8 bytes already."""


class Blobs(list[bytes | None]):
    """bytea[]."""


class Ints(list[int]):
    """int8[]."""


class Uuids(list[UUID]):
    """uuid[]."""


def _pack(element_oid: int, parts: Sequence[bytes], count: int, has_null: bool) -> bytes:
    if not count:
        return _EMPTY.pack(0, 0, element_oid)
    return _HEAD.pack(1, has_null, element_oid, count, 1) + b"".join(parts)


def _pack_bytes(element_oid: int, items: Sequence[str | bytes | None]) -> bytes:
    parts: list[bytes] = []
    has_null = False
    for item in items:
        if item is None:
            has_null = True
            parts.append(_NULL)
        else:
            data = item.encode() if isinstance(item, str) else item
            parts.append(_SIZE.pack(len(data)))
            parts.append(data)
    return _pack(element_oid, parts, len(items), has_null)


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = 1009

    def dump(self, obj: Texts) -> bytes:
        return _pack_bytes(25, obj)


class _BlobsDumper(Dumper):
    format = Format.BINARY
    oid = 1001

    def dump(self, obj: Blobs) -> bytes:
        return _pack_bytes(17, obj)


class _IntsDumper(Dumper):
    format = Format.BINARY
    oid = 1016

    def dump(self, obj: Ints) -> bytes:
        return _pack(20, [_INT8.pack(8, item) for item in obj], len(obj), False)


class _UuidsDumper(Dumper):
    format = Format.BINARY
    oid = 2951

    def dump(self, obj: Uuids) -> bytes:
        size = _SIZE.pack(16)
        return _pack(2950, [size + item.bytes for item in obj], len(obj), False)


def register(connection: AsyncConnection[object]) -> None:
    """Teach one connection the four types."""
    for kind, dumper in ((Texts, _TextsDumper), (Blobs, _BlobsDumper), (Ints, _IntsDumper), (Uuids, _UuidsDumper)):
        connection.adapters.register_dumper(kind, dumper)
