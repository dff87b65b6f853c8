"""User code off the gateway's loop: a coroutine in a thread with a loop of its own, and the way back to the database.

Called by whatever opens a factory's graph, or runs a graph's own functions, on behalf of a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph_sdk.runtime import AccessContext

from langyard.graphs.blocking import pool
from langyard.graphs.factory import AnyGraph
from langyard.graphs.graph import Graph
from langyard.model.errors import GraphFailed, LangyardError

log = logging.getLogger(__name__)

T = TypeVar("T")
PATIENCE_S = 30.0


async def apart(work: Callable[[], Coroutine[Any, Any, T]], *, timeout_s: float = PATIENCE_S) -> T:
    """What the coroutine that `work` makes returns or raises, run in a thread of its own.

    Raises `GraphFailed` when it takes longer than `timeout_s` seconds; what blocks then blocks on unseen.
    """
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            found: T = await pool.run(lambda: asyncio.run(work()))
            return found
    except TimeoutError:
        if not limit.expired():
            raise
        raise GraphFailed(f"The graph's own code did not answer within {timeout_s:g} s.", code="graph_stuck") from None


async def ask(
    graph: Graph,
    config: RunnableConfig,
    access: AccessContext,
    work: Callable[[AnyGraph], Coroutine[Any, Any, T]],
    *,
    checkpointer: BaseCheckpointSaver[str] | None = None,
    aside: bool = False,
) -> T:
    """What `work` returns or raises, given the graph opened for one access.

    A factory is asked apart, and with `aside` any graph: when `work` runs the graph's own functions.
    Raises `GraphFailed` when the factory fails.
    """

    async def run(saver: BaseCheckpointSaver[str] | None) -> T:
        opened = False
        try:
            async with graph.open(config, access=access, checkpointer=saver) as found:
                opened = True
                return await work(found)
        except Exception as wrong:  # a factory is user code and may raise anything
            if opened or isinstance(wrong, LangyardError):
                raise
            log.exception("workflow %s: its factory failed", graph.name)
            raise GraphFailed(f"Graph {graph.name!r} could not be had: its factory failed.") from wrong

    if not (aside or graph.is_factory):
        return await run(checkpointer)
    ferry = Ferry(checkpointer) if checkpointer is not None else None
    return await apart(lambda: run(ferry))


class Ferry(BaseCheckpointSaver[str]):
    """A checkpointer of the calling loop, for use on another: each call crosses over and its result comes back."""

    def __init__(self, inner: BaseCheckpointSaver[str], loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(serde=inner.serde)
        self._inner = inner
        self._loop = loop or asyncio.get_running_loop()

    def with_allowlist(self, extra_allowlist: Any) -> Ferry:
        """The same over an inner checkpointer that may revive these types too."""
        return Ferry(self._inner.with_allowlist(extra_allowlist), self._loop)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """As the inner one counts."""
        return self._inner.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As the inner one."""
        return await self._cross(self._inner.aget_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As the inner one, gathered first."""

        async def gathered() -> list[CheckpointTuple]:
            listed = self._inner.alist(config, filter=filter, before=before, limit=limit)
            return [found async for found in listed]

        for found in await self._cross(gathered()):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As the inner one."""
        return await self._cross(self._inner.aput(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As the inner one."""
        await self._cross(self._inner.aput_writes(config, writes, task_id, task_path))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As the inner one."""
        return await self._cross(self._inner.aget_delta_channel_history(config=config, channels=channels))

    async def _cross(self, call: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._loop))
