"""Parts and ends of runs as bytes for a relay: the events as they were encoded, behind a few numbers.

A message that is none of ours, or of another version, raises ValueError and harms nobody: the log has what it said.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from langyard import serde
from langyard.model.events import Event
from langyard.model.runs import RunEnd
from langyard.streams.port import Ended, Part

_PART, _ENDED = b"P1", b"E1"
_PART_HEAD = struct.Struct("!2sQQI")
_EVENT_HEAD = struct.Struct("!QHI")
_ENDED_HEAD = struct.Struct("!2sQI")


def pack_part(fence: int, after: int, events: Sequence[Event]) -> bytes:
    """The events of one run that follow number `after`."""
    packed = [_PART_HEAD.pack(_PART, fence, after, len(events))]
    for event in events:
        name = event.name.encode()
        packed += (_EVENT_HEAD.pack(event.seq, len(name), len(event.data)), name, event.data)
    return b"".join(packed)


def pack_ended(ended: Ended) -> bytes:
    """A run's end: its state goes as the bytes it is."""
    end = ended.end
    facts = serde.dumps({
        "run_id": end.run_id,
        "thread_id": end.thread_id,
        "status": end.status,
        "interrupts": end.interrupts,
        "error": end.error,
        "waiting": end.waiting,
        "values": end.values is not None,
    })  # fmt: skip
    return _ENDED_HEAD.pack(_ENDED, ended.last, len(facts)) + facts + (end.values or b"")


def unpack(run_id: UUID, data: bytes) -> Part | Ended:
    """What was told of a run. Raises ValueError when it cannot be read."""
    try:
        if data[:2] == _PART:
            return _part(run_id, data)
        if data[:2] == _ENDED:
            return _ended(data)
    except (struct.error, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("a message is cut short or garbled") from error
    raise ValueError("a message is of another version")


def _part(run_id: UUID, data: bytes) -> Part:
    _, fence, after, count = _PART_HEAD.unpack_from(data)
    events, at = [], _PART_HEAD.size
    for _ in range(count):
        seq, name_size, size = _EVENT_HEAD.unpack_from(data, at)
        begin = at + _EVENT_HEAD.size + name_size
        events.append(Event(seq, data[begin - name_size : begin].decode(), data[begin : begin + size]))
        at = begin + size
    if not events or at != len(data):
        raise ValueError("a message is cut short or garbled")
    return Part(run_id, fence, after, tuple(events))


def _ended(data: bytes) -> Ended:
    _, last, size = _ENDED_HEAD.unpack_from(data)
    begin = _ENDED_HEAD.size + size
    facts: dict[str, Any] = serde.loads(data[_ENDED_HEAD.size : begin])
    thread_id = facts["thread_id"]
    end = RunEnd(
        UUID(facts["run_id"]), UUID(thread_id) if thread_id is not None else None, facts["status"],
        interrupts=tuple(facts["interrupts"]), error=facts["error"], waiting=facts["waiting"],
    )  # fmt: skip
    return Ended(replace(end, values=data[begin:]) if facts["values"] else end, last)
