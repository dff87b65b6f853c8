"""From the events of a thread's runs to those of the protocol: a function of the log alone, so that every process and
every reconnection comes to the same envelopes under the same ids (contract A.14). Used by `feeds`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langyard import serde
from langyard.gateway.agent.protocol.envelopes import Envelope, number_of
from langyard.gateway.agent.protocol.talking import Talk
from langyard.model.events import ThreadEvent

_INTERRUPT = "__interrupt__"
_ENDS = {"success": "completed", "error": "failed", "timeout": "failed", "interrupted": "interrupted"}
# These say by themselves that a run has begun.
_SAY_FIRST = ("metadata", "lifecycle", "error", "end")
_LATE = "The run took longer than its limit."
Json = dict[str, Any]


@dataclass(slots=True)
class _Run:
    """What has been told of the run that the thread is at."""

    run_id: UUID
    graph_name: str | None = None
    claimed: bool = False
    begun: bool = False
    waiting: bool = False
    error: str | None = None
    asked: set[str] = field(default_factory=set)
    talk: Talk = field(default_factory=Talk)


class Derivation:
    """Takes a thread's events in order. `seen` is the highest number that one of them has or had."""

    def __init__(self) -> None:
        self.seen = 0
        self._last = 0
        self.tree: dict[tuple[str, ...], Json] = {}
        self._run: _Run | None = None

    def take(self, event: ThreadEvent) -> list[Envelope]:
        """The envelopes that an event becomes: none, one or several."""
        if self._run is None or self._run.run_id != event.run_id:
            self._run = _Run(event.run_id)
        run = self._run
        name, _, rest = event.name.partition("|")
        namespace = tuple(rest.split("|")) if rest else ()
        method = "custom" if name.startswith("custom:") else name
        handle = _HANDLERS.get(method)
        made: list[Envelope] = []
        if not run.begun and name not in _SAY_FIRST:
            made += self._begin(run, event)
        if handle is not None:
            made += handle(self, run, event, name, namespace)
        told = [envelope for envelope in made if not envelope.event_id]
        for place, envelope in enumerate(told, 1):
            envelope.event_id = event.id if len(told) == 1 else f"{event.id}.{place}"
        number = number_of(event.seq)
        for envelope in made:
            envelope.seq = self._last = max(self._last + 1, number)
        self.seen = max(self._last, number)
        return made

    def _begin(self, run: _Run, event: ThreadEvent) -> list[Envelope]:
        run.begun = True
        data = {"event": "running", **({"graph_name": run.graph_name} if run.graph_name else {})}
        return [self._lifecycle(run, event, (), data)]

    def _lifecycle(self, run: _Run, event: ThreadEvent, namespace: tuple[str, ...], data: Json) -> Envelope:
        status = data["event"]
        if not namespace:
            self.tree = {} if status == "running" else self.tree
        node = self.tree.setdefault(namespace, {"namespace": list(namespace), "graph_name": ""})
        node["status"] = status
        node["graph_name"] = data.get("graph_name") or node["graph_name"]
        event_id = f"synth:{run.run_id}:lc|{'|'.join(namespace)}|{status}"
        made = _envelope(event, "lifecycle", namespace, serde.dumps(data), event_id=event_id)
        made.closing = not namespace and status != "running"
        return made

    def _on_lifecycle(self, run: _Run, event: ThreadEvent, name: str, namespace: tuple[str, ...]) -> list[Envelope]:
        data: Json = serde.loads(event.data)
        if not namespace:
            run.graph_name = data.get("graph_name")
            return [] if run.begun else self._begin(run, event)
        if data["event"] == "drained":
            data["event"] = "interrupted"
        return [self._lifecycle(run, event, namespace, data)]

    def _on_state(self, run: _Run, event: ThreadEvent, name: str, namespace: tuple[str, ...]) -> list[Envelope]:
        """Values and updates, without the interrupts, which are requests of their own."""
        if b'"__interrupt__"' not in event.data:
            return [_envelope(event, name, namespace, event.data)]
        data = serde.loads(event.data)
        if not isinstance(data, dict) or _INTERRUPT not in data:
            return [_envelope(event, name, namespace, event.data)]
        made = []
        run.waiting = True
        for asked in data.pop(_INTERRUPT) or ():
            if (interrupt_id := asked["id"]) not in run.asked:
                run.asked.add(interrupt_id)
                # Python's client reads `value`, JavaScript's `payload`.
                shown = {"interrupt_id": interrupt_id, "payload": asked["value"], "value": asked["value"]}
                event_id = f"synth:{run.run_id}:input|{'|'.join(namespace)}|{interrupt_id}"
                request = _envelope(
                    event, "input.requested", namespace, serde.dumps(shown), event_id=event_id, channel="input"
                )
                request.closing = True
                made.append(request)
        if data or name == "values":
            made.append(_envelope(event, name, namespace, serde.dumps(data)))
        return made

    def _on_messages(self, run: _Run, event: ThreadEvent, name: str, namespace: tuple[str, ...]) -> list[Envelope]:
        message, metadata = serde.loads(event.data)
        return [
            _envelope(event, "messages", namespace, serde.dumps(told), node=metadata.get("langgraph_node"))
            for told in run.talk.take(namespace, message, metadata)
        ]

    def _on_custom(self, run: _Run, event: ThreadEvent, name: str, namespace: tuple[str, ...]) -> list[Envelope]:
        _, _, named = name.partition(":")
        if not named:
            return [_envelope(event, "custom", namespace, event.data)]
        data = b'{"name":%b,"payload":%b}' % (serde.dumps(named), event.data)
        return [_envelope(event, "custom", namespace, data, channel=name)]

    def _on_other(self, run: _Run, event: ThreadEvent, name: str, namespace: tuple[str, ...]) -> list[Envelope]:
        return [_envelope(event, name, namespace, event.data)]

    def _on_error(self, run: _Run, event: ThreadEvent, name: str, namespace: tuple[str, ...]) -> list[Envelope]:
        run.error = serde.loads(event.data).get("message")
        return [] if run.begun else self._begin(run, event)

    def _on_metadata(self, run: _Run, event: ThreadEvent, name: str, namespace: tuple[str, ...]) -> list[Envelope]:
        """An attempt begins; what the one before had begun to say is not finished any more."""
        run.claimed = True
        return self._broken_off(run, event, "begun again")

    def _broken_off(self, run: _Run, event: ThreadEvent, why: str | None) -> list[Envelope]:
        return [_envelope(event, "messages", place, serde.dumps(told)) for place, told in run.talk.broken_off(why)]

    def _on_end(self, run: _Run, event: ThreadEvent, name: str, namespace: tuple[str, ...]) -> list[Envelope]:
        if not (run.begun or run.claimed):
            return []  # it was stopped before it began, or nothing of it is kept
        made = [] if run.begun else self._begin(run, event)
        status = serde.loads(event.data).get("status")
        ended = _ENDS.get(status, "failed")
        if ended == "completed" and run.waiting:
            ended = "interrupted"
        made += self._broken_off(run, event, run.error)
        data: Json = {"event": ended, **({"graph_name": run.graph_name} if run.graph_name else {})}
        if ended == "failed":
            data["error"] = run.error or _LATE
        return [*made, self._lifecycle(run, event, (), data)]


def _envelope(
    event: ThreadEvent,
    method: str,
    namespace: tuple[str, ...],
    data: bytes,
    *,
    event_id: str = "",
    channel: str | None = None,
    node: str | None = None,
) -> Envelope:
    return Envelope(0, event.seq, event.run_id, event_id, method, channel or method, namespace, data, node)


_Handler = Callable[[Derivation, _Run, ThreadEvent, str, tuple[str, ...]], list[Envelope]]
_HANDLERS: Mapping[str, _Handler] = {
    "metadata": Derivation._on_metadata,
    "lifecycle": Derivation._on_lifecycle,
    "values": Derivation._on_state,
    "updates": Derivation._on_state,
    "messages": Derivation._on_messages,
    "custom": Derivation._on_custom,
    "tools": Derivation._on_other,
    "tasks": Derivation._on_other,
    "checkpoints": Derivation._on_other,
    "error": Derivation._on_error,
    "end": Derivation._on_end,
}


def tree_of(nodes: Mapping[tuple[str, ...], Json]) -> Json:
    """The graphs of the thread's last run as a tree, the root first."""

    def node(namespace: tuple[str, ...]) -> Json:
        found = nodes.get(namespace) or {"namespace": list(namespace), "status": "running", "graph_name": ""}
        return {**found, "children": list(_children(namespace))}

    def _children(parent: tuple[str, ...]) -> Iterator[Json]:
        for namespace in nodes:
            if len(namespace) == len(parent) + 1 and namespace[:-1] == parent:
                yield node(namespace)

    return node(())
