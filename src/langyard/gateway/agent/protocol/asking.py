"""What a client asks to see: the body of a stream and the parameters of a subscription, checked (contract A.14)."""

from __future__ import annotations

import re
from typing import Any

from langyard.gateway.agent.protocol.envelopes import Wanted
from langyard.model.errors import BadRequest

CHANNELS = ("values", "updates", "messages", "tools", "custom", "lifecycle", "input", "tasks", "checkpoints")
_ALLOWED = "values, updates, messages, tools, custom, lifecycle, input, tasks, or any `custom:<name>`"
_MOST = 1000
# Characters of all names in one request: what is asked for is held as long as the client stays.
_LONGEST = 65_536
_EVENT_ID = re.compile(r"(\d{1,15})-(\d{1,5})(?:\.\d{1,6})?")


def wanted(asked: Any, last_event_id: str = "") -> Wanted:
    """The filter that an object describes. Raises `BadRequest` in the contract's words."""
    if not isinstance(asked, dict):
        raise BadRequest("Invalid JSON body", code="invalid_json")
    channels = asked.get("channels")
    if not isinstance(channels, list) or not channels:
        raise BadRequest("channels is required and must be a non-empty array", code="invalid_channels")
    if len(channels) > _MOST:
        raise BadRequest(f"channels has more than {_MOST} entries", code="invalid_channels")
    strange = [str(one)[:50] for one in channels if not _known(one)]
    if strange:
        said = f"channels contains unsupported entries: {', '.join(strange[:5])}. Allowed: {_ALLOWED}."
        raise BadRequest(said, code="invalid_channels")
    namespaces = _namespaces(asked.get("namespaces"))
    if sum(map(len, channels)) + sum(len(part) + 1 for one in namespaces for part in one) > _LONGEST:
        raise BadRequest(f"channels and namespaces have more than {_LONGEST} characters", code="invalid_channels")
    after_id = last_event_id or asked.get("since_event_id") or None
    found = _EVENT_ID.fullmatch(after_id) if isinstance(after_id, str) else None
    return Wanted(
        channels=frozenset(channels),
        namespaces=namespaces,
        depth=_whole(asked.get("depth")),
        since=_whole(asked.get("since")) or 0,
        after=(int(found[1]) << 16) | min(int(found[2]), 0xFFFF) if found else 0,
        after_id=after_id if isinstance(after_id, str) and found is None else None,
    )


def _known(channel: Any) -> bool:
    return isinstance(channel, str) and (channel in CHANNELS or (channel.startswith("custom:") and len(channel) > 7))


def _whole(value: Any) -> int | None:
    """A count; anything else counts as not given."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _namespaces(given: Any) -> tuple[tuple[str, ...], ...]:
    if given is None:
        return ()
    if (
        not isinstance(given, list)
        or len(given) > _MOST
        or not all(isinstance(one, list) and all(isinstance(part, str) for part in one) for one in given)
    ):
        raise BadRequest("namespaces must be an array of arrays of strings", code="invalid_namespaces")
    return tuple(dict.fromkeys(tuple(one) for one in given))
