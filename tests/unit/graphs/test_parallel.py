"""Agents side by side: order, bounds, failures in place, time limits, cancellation; nothing waits by sleeping."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from functools import partial
from typing import Any, TypedDict

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph
from langgraph.types import Command, interrupt

from langyard.graphs import run_parallel
from langyard.graphs.blocking import ThreadPool
from langyard.model.errors import Invalid

SOON = 0.05  # the limit of agents that must run into it
HOUR = 3600.0

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


class State(TypedDict):
    x: int


async def forever(state: Any) -> None:
    await asyncio.Event().wait()


async def test_order_is_kept_whoever_ends_first():
    second_done = asyncio.Event()

    async def first(state: Any) -> object:
        await second_done.wait()
        return state["x"] + 1

    async def second(state: Any) -> object:
        second_done.set()
        return state["x"] + 2

    assert await run_parallel([first, second, lambda state: state["x"] + 3], {"x": 0}) == [1, 2, 3]


async def test_no_agents_no_results():
    assert await run_parallel([], {}) == []
    assert await run_parallel(iter(()), {}, timeout=[]) == []


async def test_everything_that_can_be_called():
    class Sync:
        def __call__(self, state: Any) -> str:
            return threading.current_thread().name

    class Async:
        async def __call__(self, state: Any) -> str:
            return "async object"

    async def two(word: str, state: Any) -> str:
        return word

    builder: Any = StateGraph(State)
    builder.add_node("n", lambda state: {"x": state["x"] + 1})
    builder.set_entry_point("n")
    agents = [Sync(), Async(), partial(two, "partial"), lambda state: two("from a thread", state)]
    agents += [builder.compile(), RunnableLambda(lambda state: state["x"])]
    results = await run_parallel(agents, {"x": 1})
    assert str(results[0]).startswith("langyard-agent-")
    assert results[1:] == ["async object", "partial", "from a thread", {"x": 2}, 1]


@pytest.mark.parametrize("blocking", [False, True])
async def test_no_more_than_allowed_are_under_way_and_no_fewer(blocking):
    """Each waits until `bound` are there at once; then none may be a further one."""
    bound, under_way, most = 3, 0, 0
    lock, gate = threading.Lock(), threading.Barrier(bound)
    meeting = asyncio.Barrier(bound)

    def enter(step: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += step
            most = max(most, under_way)

    def sync(state: Any) -> None:
        enter(1)
        gate.wait(timeout=30)
        enter(-1)

    async def asynchronous(state: Any) -> None:
        enter(1)
        await meeting.wait()
        enter(-1)

    results = await run_parallel([sync if blocking else asynchronous] * 12, {}, max_concurrency=bound)
    assert results == [None] * 12
    assert most == bound


async def test_four_at_once_unless_told_otherwise():
    meeting = asyncio.Barrier(4)

    async def agent(state: Any) -> None:
        await meeting.wait()

    assert await run_parallel([agent] * 8, {}) == [None] * 8
    alone = await run_parallel([agent] * 4, {}, max_concurrency=3, timeout=SOON)
    assert isinstance(alone[0], TimeoutError)


async def test_a_failure_stands_in_its_place_and_harms_no_other():
    def sync(state: Any) -> None:
        raise ValueError("sync")

    async def asynchronous(state: Any) -> None:
        raise LookupError("async")

    async def leaves(state: Any) -> None:
        sys.exit("leaves")

    def leaves_thread(state: Any) -> None:
        sys.exit("leaves")

    async def cancels(state: Any) -> None:
        raise asyncio.CancelledError

    async def cancels_itself(state: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    def stops(state: Any) -> None:
        raise StopIteration(3)

    agents = [sync, asynchronous, leaves, leaves_thread, cancels, cancels_itself, stops, lambda state: 1]
    results = await run_parallel(agents, {}, max_concurrency=2)
    kinds = [ValueError, LookupError, SystemExit, SystemExit, asyncio.CancelledError, asyncio.CancelledError]
    assert [type(result) for result in results[:6]] == kinds
    assert isinstance(results[6], RuntimeError)
    assert isinstance(results[6].__cause__, StopIteration)
    assert results[7] == 1
    assert str(results[0]) == "sync"


async def test_a_limit_for_all_and_a_limit_for_each():
    async def quick(state: Any) -> str:
        return "quick"

    results = await run_parallel([forever, quick], {}, timeout=SOON)
    assert isinstance(results[0], TimeoutError)
    assert str(results[0]) == "the agent took longer than 0.05 s"
    assert results[1] == "quick"
    results = await run_parallel([forever, quick, quick], {}, timeout=[SOON, None, HOUR])
    assert isinstance(results[0], TimeoutError)
    assert results[1:] == ["quick", "quick"]
    assert await run_parallel([quick], {}, timeout=float("inf")) == ["quick"]


async def test_the_clock_starts_with_the_agent_and_not_before():
    async def quick(state: Any) -> str:
        return "quick"

    results = await run_parallel([forever, forever, quick], {}, max_concurrency=1, timeout=[SOON, SOON, SOON])
    assert results[2] == "quick"


async def test_a_time_out_of_the_agents_own_is_its_own():
    async def own(state: Any) -> None:
        raise TimeoutError("own")

    assert str((await run_parallel([own], {}, timeout=HOUR))[0]) == "own"


async def test_an_agent_that_swallows_its_end_is_late_all_the_same():
    async def stubborn(state: Any) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return "never"

    assert isinstance((await run_parallel([stubborn], {}, timeout=SOON))[0], TimeoutError)


async def test_a_sync_agent_that_overran_leaves_its_place_to_the_next():
    release, ended = threading.Event(), threading.Event()

    def stuck(state: Any) -> None:
        release.wait(30)
        ended.set()

    results = await run_parallel([stuck, lambda state: "next"], {}, max_concurrency=1, timeout=[SOON, HOUR])
    assert isinstance(results[0], TimeoutError)
    assert results[1] == "next"
    assert not ended.is_set()
    release.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_threads_are_bounded_and_used_again():
    pool, release, both = ThreadPool(limit=2), threading.Event(), threading.Event()
    called: list[int] = []

    def stuck(number: int) -> int:
        called.append(number)
        if len(called) == 2:
            both.set()
        release.wait(30)
        return number

    calls = [asyncio.create_task(pool.run(stuck, number)) for number in range(5)]
    assert await asyncio.to_thread(both.wait, 30)
    assert pool._started == 2
    calls[3].cancel()  # still waiting for a thread: never called
    await asyncio.wait([calls[3]])
    release.set()
    assert await asyncio.gather(*calls[:3], calls[4]) == [0, 1, 2, 4]
    assert 3 not in called
    assert [await pool.run(lambda number=number: number) for number in range(20)] == list(range(20))
    assert pool._started == 2


async def test_calls_one_after_the_other_share_a_thread():
    pool = ThreadPool(limit=8)
    for _ in range(20):
        await pool.run(lambda: None)
    assert pool._started == 1


def test_a_stuck_agent_does_not_hold_up_the_end_of_the_process():
    program = """
import asyncio, threading
from langyard.graphs import run_parallel
print(asyncio.run(run_parallel([lambda state: threading.Event().wait()], {}, timeout=0.05)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "TimeoutError" in done.stdout


async def test_cancelling_the_caller_cancels_every_agent():
    started, cancelled, release = asyncio.Barrier(3), [], threading.Event()

    async def agent(state: Any) -> None:
        try:
            await started.wait()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    agents = [agent, agent, lambda state: release.wait(30), agent]
    call = asyncio.create_task(run_parallel(agents, {}, max_concurrency=3))  # the fourth never starts
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert cancelled == [1, 1]
    release.set()


async def test_a_caller_out_of_time_is_out_of_time():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await run_parallel([forever], {}, timeout=HOUR)


async def test_each_agent_has_the_callers_context_and_keeps_its_own():
    def sync(state: Any) -> str:
        before = var.get()
        var.set("sync")
        return before

    async def asynchronous(state: Any) -> str:
        return sync(state)

    var.set("callers")
    results = await run_parallel([sync, asynchronous] * 3, {}, max_concurrency=1)
    assert results == ["callers"] * 6
    assert var.get() == "callers"


async def test_setting_a_key_of_a_dict_is_nobody_elses_business():
    def greedy(state: dict[str, Any]) -> int:
        state["x"] += 1
        return state["x"]  # type: ignore[no-any-return]

    state = {"x": 1, "shared": []}
    assert await run_parallel([greedy] * 3, state) == [2, 2, 2]
    assert state["x"] == 1
    assert await run_parallel([lambda state: state["shared"]], state) == [[]]
    assert (await run_parallel([lambda given: given["shared"] is state["shared"]], state)) == [True]
    other = object()
    assert await run_parallel([lambda given: given is other], other) == [True]


async def test_an_interrupt_is_no_failure():
    async def asks(state: State) -> str:
        return str(interrupt("sure?"))

    ended: list[int] = []

    async def node(state: State) -> dict[str, int]:
        results = await run_parallel([asks, lambda state: ended.append(1)], state)
        return {"x": len(str(results[0]))}

    builder: Any = StateGraph(State)
    builder.add_node("n", node)
    builder.set_entry_point("n")
    graph = builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    assert (await graph.ainvoke({"x": 0}, config))["__interrupt__"][0].value == "sure?"
    assert ended == [1]
    assert await graph.ainvoke(Command(resume="yes"), config) == {"x": 3}


@pytest.mark.parametrize(
    ("agents", "options", "reason"),
    [
        (5, {}, "agents is of type int"),
        ("ab", {}, "agents is of type str"),
        ({"a": forever}, {}, "agents is of type dict"),
        ([forever, 5], {}, "Agent 1 is of type int"),
        ([forever], {"max_concurrency": 0}, "max_concurrency is 0"),
        ([forever], {"max_concurrency": 1.5}, "max_concurrency is 1.5"),
        ([forever], {"max_concurrency": True}, "max_concurrency is True"),
        ([forever], {"timeout": 0}, "timeout is 0"),
        ([forever], {"timeout": -1}, "timeout is -1"),
        ([forever], {"timeout": float("nan")}, "timeout is nan"),
        ([forever], {"timeout": "1"}, "timeout is '1'"),
        ([forever], {"timeout": True}, "timeout is True"),
        ([forever], {"timeout": [1, 2]}, "timeout has 2 entries for 1 agents"),
        ([forever], {"timeout": [-1]}, "timeout is -1"),
    ],
)
async def test_bad_arguments(agents, options, reason):
    with pytest.raises(Invalid, match=reason):
        await run_parallel(agents, {}, **options)
