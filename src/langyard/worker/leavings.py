"""What a run leaves to its thread: the state it was stopped in, and the config of the runs to come. For executions."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from langyard import serde
from langyard.model.configs import inherited
from langyard.model.runs import ClaimedRun
from langyard.postgres.checkpoints import Checkpointer, Scope
from langyard.worker.invocation import config_of, user_of
from langyard.worker.means import Means

log = logging.getLogger("langyard.runs")


@dataclass(frozen=True, slots=True)
class Left:
    """The state a stopped run left, if it has any, and whether nodes are still to run in it."""

    values: Any = None
    waiting: bool = False


async def left_behind(claimed: ClaimedRun, means: Means, scope: Scope) -> Left:
    """What a stopped run left. Never raises: a broken graph has left nothing."""
    try:
        config = config_of(claimed, means.recursion_limit)
        saver = Checkpointer(means.database, means.writer, scope)
        graph = means.graphs.get(claimed.graph_id)
        async with graph.open(config, access="threads.read", checkpointer=saver, user=user_of(claimed)) as pregel:
            state = await pregel.aget_state(config)
            return Left(state.values or None, bool(state.next))
    except Exception:  # user code: a factory that fails now must not keep the run from ending
        log.exception("the state of a stopped run could not be read")
        return Left()


def left_config(claimed: ClaimedRun) -> bytes | None:
    """What the thread's later runs inherit; None when that stays as it was."""
    if claimed.assistant_id is None:
        return None
    before = claimed.thread_config
    after = inherited(before, claimed.kwargs.get("config") or {})
    return serde.dumps(after) if {"configurable": {}, **before} != after else None
