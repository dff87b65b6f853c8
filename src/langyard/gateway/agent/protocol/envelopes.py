"""Events of the protocol as they go out, encoded once for all viewers; what a viewer wants of them (contract A.14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from langyard import serde
from langyard.gateway.sse import frame

# Numbers count from here, so that one in JSON is exact in every language: 53 bits last until 2059.
_EPOCH_MS = 1_735_689_600_000
_BITS = 13
# So many are looked through before others have their turn: what a client asks for may take long to compare.
_AT_ONCE = 50
_WATCHED = frozenset({"lifecycle", "input"})


def number_of(seq: int) -> int:
    """The protocol's number of an event of ours, which has more digits than a JavaScript number."""
    return max(0, (seq >> 16) - _EPOCH_MS) << _BITS | (seq & 0xFFFF) >> 16 - _BITS


@dataclass(slots=True, eq=False)
class Envelope:
    """`raw` is the number of the event it comes from. `event_id` is the same for every reader in every process.

    `closing`: it says that a run is over or waits, or what it asks, which is old news as soon as another has been made.
    """

    seq: int
    raw: int
    run_id: UUID
    event_id: str
    method: str
    channel: str
    namespace: tuple[str, ...]
    data: bytes
    node: str | None = None
    closing: bool = False
    _text: str | None = None
    _frame: bytes | None = None

    @property
    def text(self) -> str:
        """As a WebSocket has it."""
        if self._text is None:
            node = b"" if self.node is None else b',"node":' + serde.dumps(self.node)
            self._text = (
                b'{"type":"event","event_id":%b,"seq":%d,"method":%b,"params":{"namespace":%b,"timestamp":%d,"data":%b%b}}'
                % (
                    serde.dumps(self.event_id), self.seq, serde.dumps(self.method), serde.dumps(self.namespace),
                    self.raw >> 16, self.data, node,
                )
            ).decode()  # fmt: skip
        return self._text

    @property
    def frame(self) -> bytes:
        """As server-sent events have it."""
        if self._frame is None:
            self._frame = frame(self.method, self.text.encode(), str(self.seq))
        return self._frame


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which envelopes: of these channels, below one of these namespaces (none: any), at most `depth` segments deeper.

    Only those numbered above `since`, and not those of our event `after` and before, nor up to that of `after_id`. With
    a `current` run, those up to number `upto` do not tell how earlier ones ended: a client would take it for the end of
    this one, or that they asked. With a `past` run, none of its are wanted. For `held_s`
    seconds it is not known yet what is (`feeds`).
    """

    channels: frozenset[str]
    namespaces: tuple[tuple[str, ...], ...] = ()
    depth: int | None = None
    since: int = 0
    after: int = 0
    after_id: str | None = None
    current: UUID | None = None
    upto: int = 0
    past: UUID | None = None
    held_s: float = 0.0

    @property
    def watches(self) -> bool:
        """Whether it is to know how the thread stands, rather than what has happened on it."""
        return self.channels <= _WATCHED and not (self.since or self.after or self.after_id)

    def ends(self, envelope: Envelope) -> bool:
        """Whether a client that only watches learns from this one that a run is over."""
        return envelope.closing and envelope.channel == "lifecycle" and self.channels <= _WATCHED

    def takes(self, envelope: Envelope) -> bool:
        """Whether this one is wanted, whatever its number."""
        channel = envelope.channel
        if envelope.run_id == self.past:
            return False
        if envelope.closing and self.current not in (None, envelope.run_id) and envelope.seq <= self.upto:
            return False
        if channel not in self.channels and not (channel.startswith("custom:") and "custom" in self.channels):
            return False
        return not self.namespaces or any(self._below(prefix, envelope.namespace) for prefix in self.namespaces)

    def new(self, envelope: Envelope) -> bool:
        """Whether the viewer has not seen it yet."""
        return envelope.seq > self.since and envelope.raw > self.after

    def _below(self, prefix: Sequence[str], namespace: Sequence[str]) -> bool:
        if len(prefix) > len(namespace):
            return False
        for segment, found in zip(prefix, namespace, strict=False):
            # A segment without a task's id means every task of that node.
            if found != segment and (":" in segment or found.partition(":")[0] != segment):
                return False
        return self.depth is None or len(namespace) - len(prefix) <= self.depth


async def chosen(envelopes: Iterable[Envelope], asked: Sequence[Wanted]) -> AsyncIterator[Envelope]:
    """Those that one of these takes and has not seen."""
    for number, envelope in enumerate(envelopes, 1):
        if any(one.takes(envelope) and one.new(envelope) for one in asked):
            yield envelope
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
