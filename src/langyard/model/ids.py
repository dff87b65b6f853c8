"""Identifiers: time-ordered UUIDs for rows that are read in the order they were made."""

from __future__ import annotations

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A version 7 UUID (RFC 9562 section 5.7): 48 bits of milliseconds, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def first_uuid7(timestamp: float) -> UUID:
    """The least there can be of a moment, in seconds of Unix time: what sorts before it was made before."""
    return UUID(int=max(0, int(timestamp * 1000)) << 80)
