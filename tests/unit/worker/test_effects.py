"""What a node does outside is done once: over attempts, among its tasks and threads, and by nobody who lost the run."""

from __future__ import annotations

import asyncio
import datetime as dt
import operator
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

import langyard
from tests.unit.worker.running import Yard, yard


class State(TypedDict, total=False):
    got: Annotated[list[Any], operator.add]


@dataclass
class Shape:
    """A type that no graph names."""

    side: int


class Outside:
    """The world: counts how often it is asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def call(self, name: str) -> str:
        self.calls.append(name)
        return f"{name} {len(self.calls)}"


def _graph(node: Callable[..., Any]) -> StateGraph[State]:
    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    return graph


@pytest.fixture
async def made(database: str) -> AsyncIterator[Yard]:
    async with yard(database, worker={"sweep_seconds": 3600.0}) as found:
        yield found


async def twice(made: Yard, node: Callable[..., Any]) -> dict[str, Any]:
    """The node's run, its worker dying once after the node has called `made.begun`; the thread's values."""
    made.app.graphs.register("own", _graph(node))
    thread = (await made.sdk.threads.create())["thread_id"]
    run = (await made.sdk.runs.create(thread, "own", input={}))["run_id"]
    await made.begun()
    await made.bury(run)
    made.trouble.release.set()
    await made.until(run, "success", "error")
    values: dict[str, Any] = (await made.sdk.threads.get_state(thread))["values"]
    assert made.run(run)["attempt"] == 2
    return values


def pause(made: Yard) -> Any:
    made.trouble.entered.set()
    return asyncio.to_thread(made.trouble.release.wait, 30)


async def test_an_async_node_that_runs_again_gets_what_was_recorded(made: Yard):
    world = Outside()

    @langyard.effect("charge")
    async def charge() -> dict[str, Any]:
        return {"receipt": world.call("charge"), "at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "by": AIMessage("me")}

    async def node(state: State) -> State:
        paid = await charge()
        await pause(made)
        return {"got": [paid["receipt"], paid["at"].year, type(paid["by"]).__name__]}

    assert (await twice(made, node))["got"] == ["charge 1", 2026, "AIMessage"]
    assert world.calls == ["charge"]
    assert made.app.worker is not None
    assert made.app.worker.counters.effects_reused == 1


async def test_a_synchronous_node_in_its_thread_does_too(made: Yard):
    world = Outside()

    @langyard.effect("mail {to}")
    def mail(to: str) -> str:
        return world.call(to)

    def node(state: State) -> State:
        sent = [mail("ada"), mail("bob"), mail("ada")]
        made.trouble.entered.set()
        made.trouble.release.wait(30)
        return {"got": sent}

    assert (await twice(made, node))["got"] == ["ada 1", "bob 2", "ada 1"]
    assert world.calls == ["ada", "bob"]


async def test_a_block_is_done_once_and_knows_its_name_for_the_other_side(made: Yard):
    world, ids = Outside(), []

    async def node(state: State) -> State:
        async with langyard.effect("charge") as charge:
            ids.append(charge.id)
            if not charge.recorded:
                charge.result = world.call("charge")
        await pause(made)
        return {"got": [charge.result]}

    assert (await twice(made, node))["got"] == ["charge 1"]
    run = made.rows("select run_id from langyard.runs")[0]["run_id"]
    assert ids == [f"{run}:charge"] * 2


async def test_one_that_runs_share_keeps_them_apart(made: Yard):
    charge, both = langyard.effect("charge"), asyncio.Barrier(2)

    async def node(state: State) -> State:
        mine = state["got"][0]
        async with charge as paid:
            await both.wait()
            paid.result = f"paid by {mine}"
            assert not paid.recorded
        async with charge as again:
            assert again.recorded
        return {"got": [paid.result, again.result, paid.id == again.id]}

    made.app.graphs.register("own", _graph(node))
    waits = (made.sdk.runs.wait(None, "own", input={"got": [name]}) for name in ("ada", "bob"))
    values = await asyncio.wait_for(asyncio.gather(*waits), 20)
    assert [value.get("got") for value in values] == [[n, *[f"paid by {n}"] * 2, True] for n in ("ada", "bob")]


async def test_at_one_key_the_others_wait_and_get_the_same(made: Yard):
    world = Outside()

    @langyard.effect("slow")
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return world.call("slow")

    async def node(state: State) -> State:
        return {"got": list(await asyncio.gather(*(slow() for _ in range(5))))}

    made.app.graphs.register("own", _graph(node))
    values = await made.sdk.runs.wait(None, "own", input={})
    assert values["got"] == ["slow 1"] * 5


async def test_what_fails_is_not_recorded_and_the_next_one_tries(made: Yard):
    world = Outside()

    async def node(state: State) -> State:
        @langyard.effect("flaky")
        async def flaky() -> str:
            if not world.calls:
                world.call("failing")
                raise ValueError("no")
            return world.call("flaky")

        found = await asyncio.gather(flaky(), flaky(), return_exceptions=True)
        return {"got": [str(each) for each in found]}

    made.app.graphs.register("own", _graph(node))
    assert (await made.sdk.runs.wait(None, "own", input={}))["got"] == ["no", "flaky 2"]


async def test_a_thread_remembers_over_its_runs(made: Yard):
    world = Outside()

    @langyard.effect("welcome", scope="thread")
    async def welcome() -> str:
        return world.call("welcome")

    async def node(state: State) -> State:
        return {"got": [await welcome()]}

    made.app.graphs.register("own", _graph(node))
    thread = (await made.sdk.threads.create())["thread_id"]
    for _ in range(2):
        values = await made.sdk.runs.wait(thread, "own", input={})
    assert values["got"] == ["welcome 1"] * 2
    await made.sdk.threads.delete(thread)
    assert made.rows("select count(*) as n from langyard.effects")[0]["n"] == 0


async def test_an_effect_goes_with_its_run(made: Yard):
    async def node(state: State) -> State:
        async with langyard.effect("x") as x:
            x.result = 1
        return {}

    made.app.graphs.register("own", _graph(node))
    thread = (await made.sdk.threads.create())["thread_id"]
    await made.sdk.runs.wait(thread, "own", input={})
    assert made.rows("select key from langyard.effects") == [{"key": "x"}]
    await made.sdk.runs.delete(thread, str(made.rows("select run_id from langyard.runs")[0]["run_id"]))
    assert made.rows("select key from langyard.effects") == []


async def test_who_has_lost_the_run_records_nothing(made: Yard):
    refused: list[str] = []

    async def node(state: State) -> State:
        try:
            async with langyard.effect("late") as late:
                if not late.recorded:
                    await pause(made)
                    late.result = "late"
        except BaseException as error:
            refused.append(type(error).__name__)
            raise
        return {"got": [late.result]}

    assert (await twice(made, node))["got"] == ["late"]
    assert refused in (["LeaseLost"], ["CancelledError"])
    assert made.rows("select count(*) as n from langyard.effects")[0]["n"] == 1


@pytest.mark.parametrize("key", ["", "x" * 501, "a\0b"])
async def test_a_wrong_key_is_refused(made: Yard, key: str):
    async def node(state: State) -> State:
        async with langyard.effect(key):
            raise AssertionError("never")

    made.app.graphs.register("own", _graph(node))
    answer = await made.sdk.runs.wait(None, "own", input={}, raise_error=False)
    assert answer["__error__"] == {
        "error": "invalid_request",
        "message": "The key of an effect must be a text of 1 to 500 characters, none of them NUL.",
    }


async def test_misuse_is_told(made: Yard):
    @langyard.effect("sync")
    def sync() -> None:
        raise AssertionError("never")

    async def node(state: State) -> State:
        told = []
        try:
            sync()
        except RuntimeError as wrong:
            told.append(str(wrong))
        try:
            async with langyard.effect("a"), langyard.effect("a"):
                raise AssertionError("never")
        except RuntimeError as wrong:
            told.append(str(wrong))
        return {"got": told}

    made.app.graphs.register("own", _graph(node))
    told = (await made.sdk.runs.wait(None, "own", input={}))["got"]
    assert told == [
        "A synchronous langyard.effect cannot be used in an async node: use `async` there.",
        "The effect 'a' is used within itself, and would wait for itself.",
    ]
    with pytest.raises(RuntimeError, match="outside a run"):
        sync()
    with pytest.raises(TypeError, match="needs a key"):
        langyard.effect("x")("y")  # type: ignore[type-var]
    with pytest.raises(ValueError, match="scope"):
        langyard.effect("x", scope="world")  # type: ignore[arg-type]


async def test_a_result_is_at_once_what_a_later_attempt_would_get(made: Yard):
    async def node(state: State) -> State:
        async with langyard.effect("shape") as shape:
            shape.result = Shape(2)
        return {"got": [type(shape.result).__name__]}

    made.app.graphs.register("own", _graph(node))
    first = (await made.sdk.runs.wait(None, "own", input={}))["got"]
    assert first != ["Shape"], "its type is not one that strict msgpack may revive"
