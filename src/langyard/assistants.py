"""The rules of assistants: a graph with a configuration, in versions. Called by the gateway and by whatever makes runs.

Each graph has a system assistant whose id follows from the graph's name. Those are held in memory, so that a run that
names a graph costs no query; a change to one is told to every process (`on_note`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID, uuid4, uuid5

from langyard.graphs import Graphs
from langyard.model.errors import BadRequest, Conflict, Invalid, NotFound
from langyard.model.reserved import own_config, own_configurable, own_metadata
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


@dataclass(frozen=True, slots=True)
class Search:
    """Which assistants, in which order. `filters`: `metadata`, `graph_id`, `name`."""

    filters: Mapping[str, Any] = field(default_factory=dict)
    sort_by: str = "created_at"
    sort_order: str = "desc"
    limit: int = 10
    offset: int = 0


@lru_cache(maxsize=4096)
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
        graphs = [self._graphs.get(name) for name in names]
        system = [(system_id(graph.name), graph.name, graph.title, graph.description) for graph in graphs]
        found = await rows.sync(self._database, system)
        self._system = {row["assistant_id"]: _assistant(row) for row in found}
        self._synced = set(names)

    async def resolve(self, wanted: str) -> Assistant:
        """The assistant a request means: by its id, or a graph's system assistant by the graph's name.

        Raises `Invalid` (`unknown_assistant`) for what is neither, `NotFound` (`assistant_not_found`) for an id that
        nobody has.
        """
        await self._sync()
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

    async def get(self, assistant_id: UUID) -> Assistant:
        """Raises `NotFound` (`assistant_not_found`)."""
        row = await rows.find(self._database, assistant_id)
        if row is None:
            raise NotFound("Not Found", code="assistant_not_found")
        return _assistant(row)

    async def create(
        self,
        graph_id: str,
        *,
        assistant_id: UUID | None = None,
        name: str = "Untitled",
        description: str | None = None,
        config: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        if_exists: Literal["raise", "do_nothing"] = "raise",
    ) -> Assistant:
        """A new assistant, version 1, or with `do_nothing` the one there is.

        Raises `NotFound` (`graph_not_found`), `Conflict` (`assistant_exists`), `BadRequest` when both configurable and
        context are given.
        """
        self._check_graph(graph_id)
        wanted = assistant_id or uuid4()
        fields = {
            "graph_id": graph_id,
            "name": name,
            "description": description,
            "metadata": own_metadata(metadata or {}),
            **_mirrored({}, {}, config, context),
        }
        row = await rows.create(self._database, wanted, fields)
        if row is None and (if_exists == "do_nothing" or assistant_id is None):
            # A new id is taken only by this very call, whose first answer was lost with its connection.
            row = await rows.find(self._database, wanted)
        if row is None:
            raise Conflict(f"Assistant {wanted} already exists", code="assistant_exists")
        return _assistant(row)

    async def update(self, assistant_id: UUID, fields: Mapping[str, Any]) -> Assistant:
        """A new version of the assistant, active from now on: metadata is merged, every other field given replaced.

        Raises `NotFound`, and what `create` raises.
        """
        if "graph_id" in fields:
            self._check_graph(fields["graph_id"])

        def changed(row: Row) -> dict[str, Any]:
            return {
                **{name: fields.get(name, row[name]) for name in ("graph_id", "name", "description")},
                "metadata": {**row["metadata"], **own_metadata(fields.get("metadata") or {})},
                **_mirrored(row["config"], row["context"], fields.get("config"), fields.get("context")),
            }

        row = await rows.change(self._database, assistant_id, changed)
        self._forget(assistant_id)
        if row is None:
            raise NotFound(f"Assistant {assistant_id} not found", code="assistant_not_found")
        return _assistant(row)

    async def activate(self, assistant_id: UUID, version: int) -> Assistant:
        """The assistant, again as it was at that version. Raises `NotFound` (`version_not_found`)."""
        row = await rows.activate(self._database, assistant_id, version)
        self._forget(assistant_id)
        if row is None:
            await self._check_there(assistant_id)
            raise NotFound(f"Version {version} not found for assistant {assistant_id}", code="version_not_found")
        return _assistant(row)

    async def versions(
        self,
        assistant_id: UUID,
        *,
        metadata: Mapping[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
    ) -> list[Mapping[str, Any]]:
        """Its versions, newest first. Raises `NotFound` when there is no such assistant."""
        found = await rows.versions(self._database, assistant_id, metadata, limit, offset)
        if not found:
            await self._check_there(assistant_id)
        return list(found)

    async def search(self, wanted: Search) -> list[Assistant]:
        """The assistants that fit all filters."""
        await self._sync()
        found = await rows.search(
            self._database,
            wanted.filters,
            order=(wanted.sort_by, wanted.sort_order),
            limit=wanted.limit,
            offset=wanted.offset,
        )
        return [_assistant(row) for row in found]

    async def tools(self, name: str, filters: Mapping[str, Any]) -> list[Assistant]:
        """Those that fit all filters and are called so as tools; two of them when there are more."""
        await self._sync()
        return [_assistant(row) for row in await rows.tools(self._database, name, filters)]

    async def count(self, filters: Mapping[str, Any]) -> int:
        """How many assistants fit all filters."""
        await self._sync()
        return await rows.count(self._database, filters)

    async def open_runs(self, assistant_id: UUID) -> list[UUID]:
        """Its pending and running runs: what is to be stopped when it is deleted."""
        return await rows.open_runs(self._database, assistant_id)

    async def delete(self, assistant_id: UUID) -> None:
        """Delete it with its versions and crons. A system assistant is back at the next start. Raises `NotFound`."""
        deleted = await rows.delete(self._database, assistant_id)
        self._forget(assistant_id)
        if not deleted:
            raise NotFound(f"Assistant with ID {assistant_id} not found", code="assistant_not_found")

    def on_note(self, kind: str, text: str) -> None:
        """A notification; `assistant <id>` says that one has changed."""
        if kind == "assistant":
            self._forget(UUID(text))

    def on_gap(self) -> None:
        """Notifications may have been missed: believe nothing."""
        self._changes += 1
        self._system.clear()

    async def _check_there(self, assistant_id: UUID) -> None:
        if await rows.find(self._database, assistant_id) is None:
            raise NotFound(f"Assistant {assistant_id} not found", code="assistant_not_found")

    async def _sync(self) -> None:
        if not self._synced.issuperset(self._graphs.names()):
            await self.open()

    def _check_graph(self, graph_id: str) -> None:
        names = self._graphs.names()
        if graph_id in names:
            return
        if graph_id in self._graphs.broken:
            self._graphs.get(graph_id)
        raise NotFound(f"Graph {graph_id[:200]!r} not found. Expected one of: {names}", code="graph_not_found")

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


def _mirrored(
    old_config: Mapping[str, Any],
    old_context: Mapping[str, Any],
    config: Mapping[str, Any] | None,
    context: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Config and context after a change: each replaced as a whole, and the one's `configurable` is the other."""
    config = own_config(config or {})
    if config.get("configurable") and context:
        raise BadRequest(
            "Cannot specify both configurable and context. Prefer setting context alone. Context was introduced in "
            "LangGraph 0.6.0 and is the long term planned replacement for configurable.",
            code="configurable_and_context",
        )
    if context is not None:
        context = own_configurable(context)
        kept = {name: value for name, value in (config or old_config).items() if name != "configurable"}
        return {"config": {**kept, **({"configurable": context} if context else {})}, "context": context}
    if config.get("configurable"):
        return {"config": config, "context": config["configurable"]}
    return {"config": config or old_config, "context": old_context}


def _assistant(row: Row) -> Assistant:
    return Assistant(**{name: row[name] for name in Assistant.__dataclass_fields__})
