"""LangGraph's checkpointer over LangGraph's own PostgreSQL tables, writing through the group-commit writer.

The worker makes one per run, bound to its lease; state reads and updates outside runs use one without a lease, whose
writes are committed before they return. Threads written here open with the official saver, and the reverse.
"""

from __future__ import annotations

import copy
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from inspect import signature
from typing import Any, Self, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.postgres.base import BasePostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import INTERRUPT, _DeltaSnapshot

from langyard import serde as json
from langyard.postgres.database import AWAY, Database, Row
from langyard.postgres.queries import load
from langyard.postgres.writer import Lease, Writer

_SQL = load("checkpoints")
_COPY = _SQL["copy_thread"].replace("{copied}", _SQL["copied"].replace("{made}", "true"))
# Checkpoints before version 4 keep their pending sends with the parent: the official saver migrates those on read.
_CURRENT_FORMAT = 4


@dataclass(slots=True)
class Scope:
    """What one run's checkpointer knows and has done; shared by the copies LangGraph makes of it for subgraphs.

    `head` is the latest root checkpoint's row that came with the claim, `fresh` says the thread has none at all.
    `interrupts` gathers the root graph's open interrupts by LangGraph task id. `made` are the checkpoints that are its
    own: what it writes to another is kept apart from what was there, for a rollback.
    """

    lease: Lease | None = None
    head: Row | None = None
    fresh: bool = False
    wait: bool = True
    written: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    interrupts: dict[str, Sequence[Any]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Checkpointer(BasePostgresSaver):
    """One run's saver (or, without a lease, anybody's). Every write carries the lease and is refused when it is gone.

    With `scope.wait` a put returns when it is committed; otherwise at once, and the run's end waits for the commit that
    holds its last write.
    """

    def __init__(self, database: Database, writer: Writer, scope: Scope | None = None) -> None:
        # Not LangGraph's: it looks the serializer over, which all savers share. One saver is made per run.
        self._database = database
        self._writer = writer
        self.scope = scope or Scope()

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> Self:
        """A copy that may revive these types too; LangGraph and `graphs` ask for one at each run."""
        serde = _admitting(cast(Any, self.serde), frozenset(extra_allowlist))
        if serde is self.serde:
            return self
        clone = copy.copy(self)
        clone.serde = serde
        return clone

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint the config names, or the latest of its namespace; None when there is none."""
        scope = self.scope
        namespace = config["configurable"].get("checkpoint_ns", "")
        # A node may have a graph of its own run on another thread.
        own = scope.lease is not None and str(scope.lease.thread_id) == str(config["configurable"]["thread_id"])
        if scope.lease is not None and own and namespace not in scope.written:
            if scope.fresh:
                return None
            if scope.head is not None and not namespace and not get_checkpoint_id(config):
                return self._tuple_of_head(scope.lease, scope.head)
        await self._settle()
        try:
            return await self._official().aget_tuple(config)
        except AWAY:
            # A connection that died while it lay in the pool: the next one may live.
            await self._database.pool.check()
            return await self._official().aget_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first."""
        await self._settle()
        async for found in self._official().alist(config, filter=filter, before=before, limit=limit):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint. Raises `LeaseLost` when the run belongs to another worker by now."""
        configurable = config["configurable"]
        thread_id, namespace = str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")
        inline: dict[str, Any] = {}
        blobs: dict[str, Any] = {}
        for channel, value in checkpoint["channel_values"].items():
            (inline if _is_inline(value) else blobs)[channel] = value
            if isinstance(value, _DeltaSnapshot):
                inline[channel] = True
        stored = [(channel, version) for channel, version in new_versions.items() if channel in blobs]
        dumped = [(channel, str(version), *self.serde.dumps_typed(blobs[channel])) for channel, version in stored]
        document = json.dumps({**checkpoint, "channel_values": inline})
        notes = json.dumps({**get_serializable_checkpoint_metadata(config, metadata), **self.scope.metadata})

        await self._writer.room()
        batch = self._writer.batch(len(document) + sum(len(blob) for *_, blob in dumped))
        lease = batch.index(self.scope.lease)
        for channel, version, kind, blob in dumped:
            batch.blobs[thread_id, namespace, channel, version] = (lease, kind, blob)
        parent = configurable.get("checkpoint_id")
        batch.checkpoints[thread_id, namespace, checkpoint["id"]] = (lease, parent, document, notes)
        self.scope.written.add(namespace)
        self.scope.made.add(checkpoint["id"])
        if self.scope.wait:
            await self._writer.commit(self.scope.lease)
        return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint["id"]}}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a LangGraph task wrote before its step's checkpoint exists."""
        configurable = config["configurable"]
        thread_id, namespace = str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")
        dumped = [
            (WRITES_IDX_MAP.get(channel, index), channel, *self.serde.dumps_typed(value))
            for index, (channel, value) in enumerate(writes)
        ]
        if not namespace:
            for channel, value in writes:
                if channel == INTERRUPT:
                    self.scope.interrupts[task_id] = value
        await self._writer.room()
        batch = self._writer.batch(sum(len(blob) for *_, blob in dumped))
        lease = batch.index(self.scope.lease)
        if self.scope.lease is not None and configurable["checkpoint_id"] not in self.scope.made:
            self.scope.made.add(configurable["checkpoint_id"])
            key = (thread_id, namespace, configurable["checkpoint_id"])
            batch.bases[key] = (lease, self.scope.lease.run_id)
        rows = batch.rewrites if all(channel in WRITES_IDX_MAP for channel, _ in writes) else batch.writes
        for index, channel, kind, blob in dumped:
            row = (thread_id, namespace, configurable["checkpoint_id"], task_id, index)
            if rows is batch.rewrites or row not in rows:
                rows[row] = (lease, task_path, channel, kind, blob)
        self.scope.written.add(namespace)
        if self.scope.lease is None:
            await self._writer.commit()

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete everything stored for the thread."""
        await self._settle()
        await self._database.execute(_SQL["delete_thread"], {"thread_ids": [str(thread_id)]})

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints these runs made, with their writes."""
        await self._settle()
        await self._database.execute(_SQL["delete_for_runs"], {"run_ids": [str(run_id) for run_id in run_ids]})

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy the whole history of one thread to another that has none."""
        await self._settle()
        both = {"source": str(source_thread_id), "target": str(target_thread_id)}
        await self._database.execute(_COPY, both)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the threads' history, or all of it but the latest checkpoint."""
        await self._settle()
        await self._official().aprune(thread_ids, strategy=strategy)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What rebuilds delta channels: writes since their last snapshot."""
        await self._settle()
        return await self._official().aget_delta_channel_history(config=config, channels=channels)

    def _official(self) -> AsyncPostgresSaver:
        """LangGraph's own saver for reads off the hot path; one a call, since an instance serves one call at a time."""
        saver = AsyncPostgresSaver(cast(Any, self._database.pool), serde=self.serde)
        saver.supports_pipeline = saver.supports_pipeline and not self._database.transaction_pooler
        return saver

    async def _settle(self) -> None:
        """Reads must see this run's own writes, which may still wait for their commit."""
        if self.scope.written:
            await self._writer.commit(self.scope.lease)

    def _tuple_of_head(self, lease: Lease, head: Row) -> CheckpointTuple:
        thread_id = str(lease.thread_id)

        def config_of(checkpoint_id: str) -> RunnableConfig:
            return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}}

        document = head["checkpoint"]
        values = {**(document.get("channel_values") or {}), **self._load_blobs(head["channel_values"] or [])}
        parent = head["parent_checkpoint_id"]
        return CheckpointTuple(
            config_of(head["checkpoint_id"]),
            cast(Checkpoint, {**document, "channel_values": values}),
            head["checkpoint_metadata"],
            config_of(parent) if parent else None,
            self._load_writes(head["pending_writes"]),
        )


# LangGraph asks for it at every run.
Checkpointer.aput_writes.__signature__ = signature(Checkpointer.aput_writes)  # type: ignore[attr-defined]


@lru_cache(maxsize=256)
def _admitting(serde: Any, types: frozenset[tuple[str, ...]]) -> SerializerProtocol:
    """The serializer that revives these types too; made once, since a graph's types do not change."""
    return BaseCheckpointSaver(serde=serde).with_allowlist(types).serde


def usable_head(row: Row) -> Row | None:
    """The claim's checkpoint if there is one and it can be used as it is: in the current format."""
    if row["checkpoint_id"] is None:
        return None
    return row if row["checkpoint"].get("v", 0) >= _CURRENT_FORMAT else None


def _is_inline(value: object) -> bool:
    """Whether the value stands in the checkpoint's own JSON, as in the official saver, where JSON carries it whole."""
    if value is None or type(value) is bool:
        return True
    if type(value) is str:
        return _is_text(value)
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return type(value) is float and math.isfinite(value)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in value
