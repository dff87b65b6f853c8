"""Runs agents side by side on one state, bounded, in order, failures in place: `run_parallel`, for users' nodes."""

from __future__ import annotations

import asyncio
import copy
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

from langgraph.errors import GraphBubbleUp

from langyard.graphs.blocking import pool
from langyard.model.errors import Invalid

Call = Callable[[Any], Any]


async def run_parallel(
    agents: Iterable[object],
    state: Any,
    *,
    max_concurrency: int = 4,
    timeout: float | Sequence[float | None] | None = None,
) -> list[object]:
    """What each agent returned, in the order of `agents`; an agent that failed has its exception in its place.

    An agent is a function, sync or async, of the state, or anything with `ainvoke`, such as a compiled graph. At most
    `max_concurrency` are under way at once. `timeout` is seconds for each agent from its own start, one number for all
    or one for each; an agent that takes longer has a TimeoutError in its place.

    - The state is the same for all and theirs to read: an agent returns its update, as LangGraph's nodes do. A dict is
      copied for each one level deep, so that setting a key is nobody else's business; what its values hold is shared.
    - A sync agent runs in a thread, with the caller's context variables. Python cannot stop a thread: one that overran
      its time goes on in the background, its place here is free, and at most `blocking.LIMIT` such threads exist in the
      process. Beyond that sync agents wait for a thread, and their time counts.
    - Cancelling the caller cancels every agent and raises CancelledError here. An interrupt is LangGraph's control flow
      and no failure: it is raised once the other agents have ended.

    Raises Invalid for arguments that are none of these.
    """
    calls = [_call(agent, place) for place, agent in enumerate(_listed(agents))]
    limits = _limits(timeout, len(calls))
    _check_concurrency(max_concurrency)
    places = asyncio.Semaphore(max_concurrency)

    async def work(call: Call, limit: float | None) -> object:
        async with places:
            return await _outcome(call, copy.copy(state) if isinstance(state, dict) else state, limit)

    async with asyncio.TaskGroup() as group:
        # A task each, so that what one agent sets in its context is not seen by the next.
        tasks = [group.create_task(work(call, limit)) for call, limit in zip(calls, limits, strict=True)]
    results = [asyncio.CancelledError() if task.cancelled() else task.result() for task in tasks]
    for result in results:
        if isinstance(result, GraphBubbleUp):
            raise result
    return results


async def _outcome(call: Call, state: Any, limit: float | None) -> object:
    """What the agent returns or raises. Only the caller's own cancellation, and the process's end, go through."""
    clock = asyncio.timeout(limit)
    try:
        async with clock:
            result = await call(state)
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return cancelled  # the agent cancelled something of its own
    except (Exception, SystemExit) as failure:  # agents are user code, and their failures are results
        return failure if not clock.expired() else _late(limit)
    # An agent may swallow its cancellation and answer late: its time was up all the same.
    return result if not clock.expired() else _late(limit)


def _late(limit: float | None) -> TimeoutError:
    return TimeoutError(f"the agent took longer than {limit:g} s")


async def _in_thread(call: Call, state: Any) -> object:
    result = await pool.run(call, state)
    return await result if inspect.isawaitable(result) else result


def _call(agent: object, place: int) -> Call:
    if (ainvoke := getattr(agent, "ainvoke", None)) is not None:
        return cast(Call, ainvoke)
    if not callable(agent):
        raise Invalid(f"Agent {place} is of type {type(agent).__name__}; accepted: a function, or what has `ainvoke`.")
    if inspect.iscoroutinefunction(agent) or inspect.iscoroutinefunction(type(agent).__call__):
        return agent
    return partial(_in_thread, agent)


def _listed(agents: object) -> list[object]:
    if not isinstance(agents, Iterable) or isinstance(agents, str | bytes | dict):
        raise Invalid(f"agents is of type {type(agents).__name__}; accepted: a list of agents.")
    return list(agents)


def _check_concurrency(given: object) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise Invalid(f"max_concurrency is {given!r}; accepted: a whole number from 1.")


def _limits(timeout: object, count: int) -> list[float | None]:
    if isinstance(timeout, Sequence) and not isinstance(timeout, str | bytes):
        if len(timeout) != count:
            raise Invalid(f"timeout has {len(timeout)} entries for {count} agents.")
        return [_limit(entry) for entry in timeout]
    return [_limit(timeout)] * count


def _limit(seconds: object) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or math.isnan(seconds) or seconds <= 0:
        raise Invalid(f"timeout is {seconds!r}; accepted: seconds above 0, or None for no limit.")
    return None if math.isinf(seconds) else float(seconds)
