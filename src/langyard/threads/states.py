"""A thread's state, live from its checkpoints, and changes to it outside any run. Called by the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langyard import serde
from langyard.assistants import Assistants
from langyard.graphs import Graph, Graphs
from langyard.graphs.states import Updated, no_state, read_history, read_state, update_state
from langyard.model.errors import BadRequest, Conflict, Invalid, NotFound
from langyard.postgres.checkpoints import Checkpointer
from langyard.postgres.database import Database
from langyard.postgres.rows.updating import updating
from langyard.postgres.writer import Writer
from langyard.threads.threads import Threads, not_found

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Said:
    """What an assistant says of how its graph is opened."""

    assistant_id: str
    configurable: Mapping[str, Any]


class States:
    """The states of all threads."""

    def __init__(
        self, database: Database, writer: Writer, threads: Threads, assistants: Assistants, graphs: Graphs
    ) -> None:
        self._database = database
        self._writer = writer
        self._threads = threads
        self._assistants = assistants
        self._graphs = graphs

    async def get(
        self,
        thread_id: UUID,
        place: Mapping[str, Any] | None = None,
        *,
        subgraphs: bool = False,
    ) -> Json:
        """The latest state, or that at `place` (`checkpoint_id`, `checkpoint_ns`, `checkpoint_map`). Raises `NotFound`.

        A thread on which nothing has happened has an empty state, and so has a checkpoint that there is not.
        """
        thread = await self._threads.get(thread_id)
        graph_id = thread.metadata.get("graph_id")
        if not graph_id:
            return no_state()
        graph, config = await self._config(thread_id, thread.metadata, thread.config, place)
        return await read_state(graph, config, Checkpointer(self._database, self._writer), subgraphs=subgraphs)

    async def history(
        self,
        thread_id: UUID,
        place: Mapping[str, Any] | None = None,
        *,
        limit: int,
        before: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Json]:
        """Up to `limit` states, newest first. Raises `NotFound`."""
        thread = await self._threads.get(thread_id)
        if not thread.metadata.get("graph_id"):
            return []
        graph, config = await self._config(thread_id, thread.metadata, thread.config, place)
        saver = Checkpointer(self._database, self._writer)
        return await read_history(graph, config, saver, limit=limit, before=before, metadata=metadata)

    async def update(
        self,
        thread_id: UUID,
        supersteps: Sequence[Sequence[Mapping[str, Any]]],
        place: Mapping[str, Any] | None = None,
    ) -> Updated:
        """Apply updates as if nodes had made them, one checkpoint a superstep, all or none.

        Raises `NotFound`, `Conflict` (`thread_busy`) while runs are open, `BadRequest` without a graph or when the
        graph takes no such update.
        """
        said: _Said | None = None
        while True:
            async with updating(self._database, thread_id) as update:
                if update is None:
                    raise not_found(thread_id)
                row = update.row
                if row["open_runs"]:
                    raise Conflict("Thread is busy with a running job. Cannot update state.", code="thread_busy")
                if not row["metadata"].get("graph_id"):
                    raise _no_graph(thread_id)
                asked = self._asks(row["metadata"])
                if asked is None or (said is not None and said.assistant_id == asked):
                    configurable = said.configurable if said is not None else {}
                    graph, config = self._with(configurable, thread_id, row["metadata"], row["config"], place)
                    made = await update_state(graph, config, supersteps, update.checkpointer)
                    status = "interrupted" if made.next else "idle"
                    await update.finish(status, serde.dumps(made.values), serde.dumps(made.interrupts))
                    return made
            # Not while a connection is held: the pool may have no other, and then nobody gives one back.
            said = await self._said(asked)

    async def _config(
        self,
        thread_id: UUID,
        metadata: Mapping[str, Any],
        thread_config: Mapping[str, Any],
        place: Mapping[str, Any] | None,
    ) -> tuple[Graph, Any]:
        """The thread's graph and the config to open it with: a factory is asked as the assistant's runs ask it."""
        asked = self._asks(metadata)
        configurable = (await self._said(asked)).configurable if asked is not None else {}
        return self._with(configurable, thread_id, metadata, thread_config, place)

    def _asks(self, metadata: Mapping[str, Any]) -> str | None:
        """The assistant without whose configuration the thread's graph cannot be opened."""
        assistant_id = metadata.get("assistant_id")
        return str(assistant_id) if assistant_id and self._graphs.get(str(metadata["graph_id"])).is_factory else None

    async def _said(self, assistant_id: str) -> _Said:
        # An assistant that is gone leaves its threads readable.
        with suppress(NotFound, Invalid):
            found = await self._assistants.resolve(assistant_id)
            return _Said(assistant_id, found.config.get("configurable") or {})
        return _Said(assistant_id, {})

    def _with(
        self,
        said: Mapping[str, Any],
        thread_id: UUID,
        metadata: Mapping[str, Any],
        thread_config: Mapping[str, Any],
        place: Mapping[str, Any] | None,
    ) -> tuple[Graph, Any]:
        graph = self._graphs.get(str(metadata["graph_id"]))
        assistant_id = metadata.get("assistant_id")
        configurable: Json = {}
        if graph.is_factory and assistant_id:
            configurable = {**said, **(thread_config.get("configurable") or {})}
        ids = {"graph_id": graph.name, "assistant_id": assistant_id}
        known = {name: value for name, value in ids.items() if value is not None}
        return graph, {
            "configurable": {
                **configurable,
                **known,
                "checkpoint_ns": "",
                **{name: value for name, value in (place or {}).items() if value is not None},
                "thread_id": str(thread_id),
            },
            "metadata": known,
        }


def _no_graph(thread_id: UUID) -> BadRequest:
    return BadRequest(
        f"Thread '{thread_id}' has no assigned graph ID. This usually occurs when no runs have been made on this "
        "particular thread. This operation requires a graph ID. Please ensure a run has been made for the thread or "
        "manually update the thread metadata (by setting the 'graph_id' field) before running this operation.",
        code="thread_without_graph",
    )
