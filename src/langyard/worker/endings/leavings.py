"""What a run leaves to its thread: the state it was stopped in, and the config of the runs to come. For executions."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from langgraph.pregel import Pregel

from langyard import serde
from langyard.model.configs import inherited
from langyard.model.errors import Unavailable
from langyard.model.runs import ClaimedRun
from langyard.postgres.checkpoints import Checkpointer, Scope
from langyard.postgres.database import AWAY, Database
from langyard.worker.invocation import config_of, user_of
from langyard.worker.means import Means

log = logging.getLogger("langyard.runs")

# A user's own database may be what does not answer: ours is waited for, theirs is not.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Left:
    """The state a stopped run left, if it has any, and whether nodes are still to run in it."""

    values: Any = None
    waiting: bool = False


async def left_behind(claimed: ClaimedRun, means: Means, scope: Scope) -> Left:
    """What a stopped run left. Never raises: a broken graph has left nothing. Waits for a database that is away."""
    for _ in range(_TRIES):
        try:
            config = config_of(claimed, means.recursion_limit)
            saver = Checkpointer(means.database, means.writer, scope)
            graph = means.graphs.get(claimed.graph_id)
            async with graph.open(config, access="threads.read", checkpointer=saver, user=user_of(claimed)) as pregel:
                state = await pregel.aget_state(config)
                return Left(state.values or None, bool(state.next))
        except (*AWAY, Unavailable):
            # Its end cannot be written before the database is back: until then there is time to ask again.
            await _back(means.database, scope)
        except Exception:  # user code: a factory that fails now must not keep the run from ending
            log.exception("the state of a stopped run could not be read")
            return Left()
    log.error("the state of a stopped run could not be read: the database does not answer")
    return Left()


async def _back(database: Database, scope: Scope) -> None:
    """Return when the database answers, or when nobody here may write of this run any more."""
    while scope.lease is None or not scope.lease.lost:
        try:
            await database.probe()
            return
        except Unavailable:
            await asyncio.sleep(0.25)


def has_breakpoints(claimed: ClaimedRun, graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Whether the run may stop before or after a node without an interrupt that tells of it."""
    asked = claimed.kwargs.get("interrupt_before") or claimed.kwargs.get("interrupt_after")
    return bool(asked or graph.interrupt_before_nodes or graph.interrupt_after_nodes)


def left_config(claimed: ClaimedRun) -> bytes | None:
    """What the thread's later runs inherit; None when that stays as it was."""
    if claimed.assistant_id is None:
        return None
    before = claimed.thread_config
    after = inherited(before, claimed.kwargs.get("config") or {})
    return serde.dumps(after) if {"configurable": {}, **before} != after else None
