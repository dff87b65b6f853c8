"""Opening a graph: every kind runs, a factory gets what it asks for, a strict checkpointer knows the types."""

from __future__ import annotations

import copy
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import ServerRuntime
from pydantic import BaseModel

from langyard.graphs import Graph, Graphs
from tests.unit.graphs.loading import PROJECTS, loaded

ROOT = Path(__file__).parents[3]
FACTORIES = [
    *("bare", "config_only", "config_unannotated", "runtime_only", "both", "both_swapped", "coroutine", "managed"),
    *("async_managed", "returns_managed", "coroutine_managed", "gives_builder", "typed_context", "callable_object"),
]


@pytest.fixture
def kinds() -> Graphs:
    return loaded(PROJECTS / "kinds", strict=True)


def of_factories() -> Any:
    return sys.modules["factories"]


def config(**configurable: object) -> Any:
    return {"configurable": {"thread_id": "t", **configurable}}


async def outcome(graph: Graph, given: Any = None, **options: Any) -> Any:
    async with graph.open(config(), **options) as opened:
        return await opened.ainvoke({"x": 1} if given is None else given, config())


@pytest.mark.parametrize("name", FACTORIES)
async def test_every_kind_of_factory_runs(kinds, name):
    assert (await outcome(kinds.get(name), checkpointer=InMemorySaver()))["x"] == 2


async def test_graphs_that_are_no_factories_run(kinds):
    for name in ("compiled", "builder", "module"):
        assert await outcome(kinds.get(name)) == {"x": 2, "log": ["add"]}
    assert await outcome(kinds.get("functional"), 4) == 5
    assert await outcome(kinds.get("bound")) == {"x": 6}


async def test_the_servers_checkpointer_and_store_take_the_place_of_the_graphs(kinds):
    own, ours, store = InMemorySaver(), InMemorySaver(), InMemoryStore()
    graph = Graph("g", sys.modules["agent"].builder.compile(checkpointer=own, store=InMemoryStore()))
    async with graph.open(config(), checkpointer=ours, store=store) as opened:
        assert opened.store is store
        await opened.ainvoke({"x": 1}, config())
        assert (await opened.aget_state(config())).values == {"x": 2, "log": ["add"]}
    assert not own.storage
    assert ours.storage


async def test_opening_leaves_the_users_graph_as_it_is(kinds):
    compiled = sys.modules["agent"].compiled
    async with kinds.get("compiled").open(config(), checkpointer=InMemorySaver(), store=InMemoryStore()) as opened:
        assert opened is not compiled
        assert opened.name == "compiled"
    assert (compiled.checkpointer, compiled.store, compiled.name) == (None, None, "LangGraph")


async def test_a_graph_with_a_name_keeps_it(kinds):
    async with Graph("g", sys.modules["agent"].builder.compile(name="own")).open() as opened:
        assert opened.name == "own"


async def test_opened_twice_at_once_each_has_its_own_saver(kinds):
    one, two = InMemorySaver(), InMemorySaver()
    graph = kinds.get("compiled")
    async with graph.open(checkpointer=one) as first, graph.open(checkpointer=two) as second:
        await first.ainvoke({"x": 1}, config())
        assert not (await second.aget_state(config())).values


async def test_a_pydantic_state_is_still_one_in_version_2_streams(kinds):
    class State(BaseModel):
        x: int

    builder: Any = StateGraph(State)
    builder.add_sequence([("add", lambda state: {"x": state.x + 1})])
    builder.set_entry_point("add")
    async with Graph("g", builder).open() as opened:
        assert isinstance((await opened.ainvoke({"x": 1}, version="v2")).value, State)


async def test_a_factory_gets_config_and_runtime(kinds):
    store: Any = InMemoryStore()
    user: Any = SimpleNamespace(identity="ada", permissions=("read",))
    expected: Any = {"access_context": "threads.create_run", "user": user, "store": store}
    for name in ("both", "both_swapped"):
        async with kinds.get(name).open(
            {**config(step=2), "metadata": {"a": 1}}, store=store, user=user, context={"k": 1}
        ):
            given, runtime = of_factories().CALLS.pop()
        told = {"langgraph_auth_user": user, "langgraph_auth_user_id": "ada", "langgraph_auth_permissions": ["read"]}
        assert given["configurable"] == {"thread_id": "t", "step": 2, "__is_for_execution__": True, **told}
        assert given["metadata"] == {"a": 1}
        assert {key: getattr(runtime, key) for key in expected} == expected
        assert runtime.execution_runtime.context == {"k": 1}


@pytest.mark.parametrize("access", ["threads.update", "threads.read", "assistants.read"])
async def test_a_factory_is_told_when_nothing_is_executed(kinds, access):
    async with kinds.get("both").open(access=access):
        given, runtime = of_factories().CALLS.pop()
    assert given["configurable"] == {"__is_for_execution__": False}
    assert runtime.access_context == access
    assert runtime.execution_runtime is None


async def test_a_factory_is_asked_at_each_access(kinds):
    for step in (1, 3):
        async with kinds.get("config_only").open(config(step=step)) as opened:
            assert await opened.ainvoke({"x": 1}) == {"x": 1 + step}


async def test_the_context_has_the_type_the_factory_names(kinds):
    graph, seen = kinds.get("typed_context"), of_factories()
    assert await outcome(graph, context={"step": 3, "unknown": 1}) == {"x": 4}
    assert seen.CALLS.pop() == (seen.Wish(step=3),)
    assert await outcome(graph, context=seen.Wish(step=4)) == {"x": 5}
    assert await outcome(graph, context=None) == {"x": 2}


async def test_what_a_factory_opened_is_closed_after_the_access(kinds):
    closed = of_factories().CLOSED
    for name in ("managed", "async_managed"):
        async with kinds.get(name).open(config()):
            assert name not in closed
        assert closed.count(name) == 1
    with pytest.raises(ZeroDivisionError):
        async with kinds.get("async_managed").open():
            raise ZeroDivisionError
    assert closed.count("async_managed") == 2


async def test_a_context_manager_cannot_swallow_the_failure_of_a_run(kinds):
    with pytest.raises(ValueError, match="the run"):
        async with kinds.get("coroutine_managed").open():
            raise ValueError("the run failed")
    assert of_factories().CLOSED == ["coroutine_managed"]


async def test_a_factory_that_gives_no_graph_says_so():
    async def later() -> int:
        return 1

    async def generator():
        yield 1

    for factory, kind in ((lambda: None, "NoneType"), (later, "int"), (generator, "async_generator")):
        with pytest.raises(TypeError, match=f"gave a {kind}, not a compiled graph"):
            async with Graph("g", factory).open():
                pass


async def test_what_a_factory_raises_comes_out_unchanged():
    def factory() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        async with Graph("g", factory).open():
            pass


async def test_annotations_only_a_type_checker_can_resolve():
    def factory(one: RunnableConfig, two: "ServerRuntime[Nowhere]"):  # type: ignore[name-defined]  # noqa: F821, UP037
        seen.extend([one, two])
        return builder

    seen: list[Any] = []
    builder: Any = StateGraph(dict)
    builder.set_entry_point("n") if builder.add_node("n", lambda state: state) else None
    async with Graph("g", factory).open(config()):
        pass
    assert seen[0]["configurable"]["thread_id"] == "t"
    assert seen[1].access_context == "threads.create_run"


async def test_a_factory_with_a_checkpointer_of_its_own_is_told_once(kinds, caplog):
    def factory() -> CompiledStateGraph[Any, Any, Any, Any]:
        return of_factories().made().compile(checkpointer=InMemorySaver())  # type: ignore[no-any-return]

    graph = Graph("g", factory)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await outcome(graph, checkpointer=InMemorySaver())
    assert len(caplog.records) == 1


@pytest.mark.parametrize("order", ["early", "late"])
def test_a_strict_checkpointer_revives_the_types_of_the_state_and_no_other(order):
    """Through the public pieces, in a process of its own: LangGraph decides on strictness when it is imported."""
    program = [sys.executable, "-m", "tests.unit.graphs.strict_types", *(["late"] if order == "late" else [])]
    # Langyard, imported here, has set the variable already.
    environ = {name: value for name, value in os.environ.items() if name != "LANGGRAPH_STRICT_MSGPACK"}
    done = subprocess.run(program, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Note Note Sheet Mood.WILD", "Note Note Sheet Mood.WILD", "dict"]


def test_types_are_named_for_graph_and_subgraphs_though_copied():
    graph = loaded(PROJECTS / "package", strict=True).get("flow")
    mine = {name for name in graph.types if name[0] == "flow.state"}
    assert {("flow.state", name) for name in ("Note", "Mood", "Sheet", "Inner")} <= mine


async def test_opening_is_cheap(kinds):
    """No copy of channels and nodes, no work on types: what is heavy is done at load."""
    graph, saver = kinds.get("compiled"), InMemorySaver()
    async with graph.open(checkpointer=saver) as opened:
        assert graph._compiled is not None
        assert opened.nodes is graph._compiled.nodes
        assert opened.channels is graph._compiled.channels
        known = opened.checkpointer
    async with graph.open(checkpointer=known) as opened:
        assert opened.checkpointer is known  # a saver that knows the types already is used as it is


def test_a_graph_survives_a_shallow_copy(kinds):
    """`Graph.open` rests on it: what Pregel keeps beside its arguments comes along."""
    compiled = sys.modules["agent"].builder.compile()
    compiled._serde_allowlist = {("a", "b")}
    assert vars(copy.copy(compiled)) == vars(compiled)
