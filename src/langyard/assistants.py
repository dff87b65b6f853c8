"""The rules of assistants: a graph with a configuration, in versions. Called by the gateway and by whatever makes runs.

Each graph has a system assistant whose id follows from the graph's name. Those are held in memory, so that a run that
names a graph costs no query; a change to one is told to every process (`on_note`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from langyard.graphs import Graphs
from langyard.model.errors import Invalid, NotFound
from langyard.postgres.database import Database, Row
from langyard.postgres.rows import assistants as rows

_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


@dataclass(frozen=True, slots=True)
class Assistant:
    """An assistant as its row has it."""

    assistant_id: UUID
    graph_id: str
    name: str
    description: str | None
    config: Mapping[str, Any]
    context: Mapping[str, Any]
    metadata: Mapping[str, Any]
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


def system_id(graph_id: str) -> UUID:
    """The id of the graph's system assistant, the same on every server."""
    return uuid5(_NAMESPACE, graph_id)


class Assistants:
    """All assistants of the database. Call `open` before anything else."""

    def __init__(self, database: Database, graphs: Graphs) -> None:
        self._database = database
        self._graphs = graphs
        self._synced: set[str] = set()
        self._system: dict[UUID, Assistant] = {}
        self._changes = 0

    async def open(self) -> None:
        """Make the system assistants of all graphs that are registered by now."""
        names = self._graphs.names()
        system = [(system_id(name), name, name, self._graphs.get(name).description) for name in names]
        found = await rows.sync(self._database, system)
        self._system = {row["assistant_id"]: _assistant(row) for row in found}
        self._synced = set(names)

    async def resolve(self, wanted: str, user_id: str | None = None) -> Assistant:
        """The assistant a request means: by its id, or a graph's system assistant by the graph's name.

        Raises `Invalid` (`unknown_assistant`) for what is neither, `NotFound` (`assistant_not_found`) for an id that
        nobody has.
        """
        if not self._synced.issuperset(self._graphs.names()):
            await self.open()
        if wanted in self._synced:
            assistant_id = system_id(wanted)
        else:
            try:
                assistant_id = UUID(wanted)
            except ValueError:
                raise self._unknown(wanted) from None
        found = self._system.get(assistant_id)
        if found is None:
            changes = self._changes
            row = await rows.find(self._database, assistant_id)
            if row is None:
                raise NotFound("Thread or assistant not found.", code="assistant_not_found")
            found = _assistant(row)
            # Kept only if nothing was told to have changed since the row was asked for.
            if changes == self._changes and assistant_id == system_id(found.graph_id):
                self._system[assistant_id] = found
        return found

    def on_note(self, kind: str, text: str) -> None:
        """A notification; `assistant <id>` says that one has changed."""
        if kind == "assistant":
            self._forget(UUID(text))

    def on_gap(self) -> None:
        """Notifications may have been missed: believe nothing."""
        self._changes += 1
        self._system.clear()

    def _forget(self, assistant_id: UUID) -> None:
        self._changes += 1
        self._system.pop(assistant_id, None)

    def _unknown(self, wanted: str) -> Invalid:
        names = ", ".join(self._graphs.names())
        return Invalid(
            f"Invalid assistant: {wanted[:200]!r}. Must be either:\n- A valid assistant UUID, or\n"
            f"- One of the registered graphs: {names}",
            code="unknown_assistant",
        )


def _assistant(row: Row) -> Assistant:
    return Assistant(**{name: row[name] for name in Assistant.__dataclass_fields__})
