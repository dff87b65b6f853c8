"""Langyard in a script: the server's rules and state, and failures in Python's own way."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import re
from pathlib import Path
from typing import Annotated, Any, TypedDict

import httpx
import psycopg
import pytest
from langgraph.graph import StateGraph
from langgraph.types import interrupt

import langyard
from langyard import WorkflowFailed, WorkflowManager, WorkflowResult
from langyard.app import App
from langyard.config import load
from langyard.gateway import create
from langyard.graphs import Graphs
from langyard.model.errors import ConfigurationError, Conflict, Invalid, NotFound, Unavailable
from langyard.workflows import WorkflowTimeout


class State(TypedDict, total=False):
    text: str
    seen: Annotated[list[str], operator.add]


def alone(node) -> Any:
    return StateGraph(State).add_node("node", node).set_entry_point("node")


async def note(state: State) -> State:
    return {"seen": [state["text"]]}


def fail(state: State) -> State:
    raise ValueError(f"not {state['text']}")


def approve(state: State) -> State:
    return {"seen": [f"{interrupt('really?')}"]}


async def wait(state: State) -> State:
    await asyncio.sleep(3600)
    return {}


@pytest.fixture
async def manager(database):
    async with WorkflowManager(database) as found:
        for name, node in {"echo": note, "failing": fail, "asking": approve, "waiting": wait}.items():
            found.register_workflow(name, alone(node))
        yield found


async def test_a_workflow_runs_on_the_state_of_its_session(manager):
    first = await manager.execute_workflow("echo", {"text": "a"}, session_id="s")
    assert isinstance(first, WorkflowResult)
    assert (first.status, first.result, first.interrupts) == ("success", {"text": "a", "seen": ["a"]}, ())
    assert first.session_id == "s"
    assert 0 < first.execution_time < 30
    second = await manager.execute_workflow("echo", {"text": "b"}, session_id="s")
    assert second.result["seen"] == ["a", "b"]
    assert second.run_id != first.run_id
    other = await manager.execute_workflow("echo", {"text": "c"})
    assert other.result["seen"] == ["c"]
    assert other.session_id not in ("", "s")


async def test_status_resume_and_cleanup(manager):
    asked = await manager.execute_workflow("asking", {"text": "a"}, session_id="s")
    assert (asked.status, [entry["value"] for entry in asked.interrupts]) == ("interrupted", ["really?"])
    status = await manager.get_workflow_status("s")
    assert (status.status, status.workflow, status.run.run_id) == ("interrupted", "asking", asked.run_id)
    assert status.interrupts == asked.interrupts
    answered = await manager.resume_workflow("s", "yes", interrupt_id=asked.interrupts[0]["id"])
    assert (answered.status, answered.result["seen"]) == ("success", ["yes"])
    assert (await manager.get_workflow_status("s")).status == "idle"
    with pytest.raises(Conflict):
        await manager.resume_workflow("s", "yes")
    await manager.cleanup_session("s")
    with pytest.raises(NotFound):
        await manager.get_workflow_status("s")


async def test_cleaning_up_stops_what_runs(manager):
    running = asyncio.ensure_future(manager.execute_workflow("waiting", {}, session_id="s"))
    await until_status(manager, "busy")
    await manager.cleanup_session("s")
    with pytest.raises(WorkflowFailed) as raised:
        await running
    assert raised.value.code == "workflow_cancelled"


async def until_status(manager: WorkflowManager, wanted: str) -> None:
    """Wait until session `s` is there and stands so."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(NotFound):
                if (await manager.get_workflow_status("s")).status == wanted:
                    return
            await asyncio.sleep(0.01)


async def test_a_failing_graph_raises_its_cause(manager):
    with pytest.raises(WorkflowFailed, match=r"The workflow 'failing' failed\. ValueError: not good") as raised:
        await manager.execute_workflow("failing", {"text": "good"}, session_id="s")
    error = raised.value
    assert (error.error, error.message, error.code, error.session_id) == (
        "ValueError",
        "not good",
        "workflow_failed",
        "s",
    )
    status = await manager.get_workflow_status("s")
    assert (status.status, status.run.run_id) == ("error", error.run_id)


async def test_a_limit_of_time_is_a_timeout(manager):
    with pytest.raises(WorkflowTimeout, match=r"0\.2 seconds") as raised:
        await manager.execute_workflow("waiting", {}, timeout=0.2)
    assert raised.value.code == "workflow_timeout"
    assert isinstance(raised.value, TimeoutError | WorkflowFailed)
    with pytest.raises(TimeoutError):
        await manager.execute_workflow("waiting", {}, timeout=0.2)


async def test_a_limit_of_steps_is_told(manager):
    loop = StateGraph(State).add_node("a", note).add_edge("a", "a").set_entry_point("a")
    manager.register_workflow("loop", loop)
    with pytest.raises(WorkflowFailed, match="limit of 3 steps") as raised:
        await manager.execute_workflow("loop", {"text": "a"}, config={"recursion_limit": 3})
    assert raised.value.code == "recursion_limit_reached"


async def test_unknown_names_and_strangers(manager):
    with pytest.raises(NotFound, match="Those there are: asking, echo, failing, waiting"):
        await manager.execute_workflow("nope", {})
    await manager.execute_workflow("echo", {"text": "a"}, session_id="s", user_id="ada")
    for call in (
        lambda: manager.execute_workflow("echo", {"text": "b"}, session_id="s", user_id="bob"),
        lambda: manager.get_workflow_status("s"),
        lambda: manager.resume_workflow("s", 1),
        lambda: manager.cleanup_session("s"),
    ):
        with pytest.raises(NotFound, match="There is no session 's'"):
            await call()
    for bad in ("", "a\x00b", "x" * 201):
        with pytest.raises(Invalid):
            await manager.execute_workflow("echo", {"text": "a"}, session_id=bad)
        with pytest.raises(Invalid):
            await manager.get_workflow_status("s", user_id=bad)


async def test_a_stream_tells_the_events_and_then_the_result(manager):
    events = [event async for event in manager.stream_workflow("echo", {"text": "a"}, session_id="s")]
    assert [name for name, _ in events] == ["metadata", "updates", "end"]
    result = events[-1][1]
    assert events[0][1] == {"run_id": str(result.run_id), "attempt": 1, "session_id": "s"}
    assert events[1][1] == {"node": {"seen": ["a"]}}
    assert result.result["seen"] == ["a"]
    values = [data async for name, data in manager.stream_workflow("echo", {"text": "b"}, stream_mode=["values"])]
    assert values[-2] == {"text": "b", "seen": ["b"]}


async def test_a_stream_raises_what_fails_and_may_be_left(manager):
    failing = manager.stream_workflow("failing", {"text": "a"})
    assert (await anext(failing))[0] == "metadata"
    with pytest.raises(WorkflowFailed):
        await anext(failing)
    async for name, _ in manager.stream_workflow("asking", {"text": "a"}, session_id="s"):
        assert name == "metadata"
        break
    await until_status(manager, "interrupted")


async def test_registering_before_entering_and_only_once(database):
    manager = WorkflowManager(database)
    manager.register_workflow("echo", alone(note).compile(), description="Says it again")
    manager.register_workflow("made", lambda: alone(note))
    with pytest.raises(Conflict, match="There is a workflow 'echo' already"):
        manager.register_workflow("echo", alone(note))
    with pytest.raises(Invalid):
        manager.register_workflow("no", object())
    with pytest.raises(Unavailable, match="is not open"):
        await manager.execute_workflow("echo", {"text": "a"})
    for _ in range(2):
        async with manager:
            for name in ("echo", "made"):
                assert (await manager.execute_workflow(name, {"text": "a"})).status == "success"
    with pytest.raises(Unavailable, match="is not open"):
        await manager.execute_workflow("echo", {"text": "a"})


async def test_python_and_http_share_sessions(database):
    """One database, two processes' worth of Langyard: begun in Python, answered over HTTP, and the other way round."""
    graphs = Graphs()
    for name, node in {"echo": note, "asking": approve}.items():
        graphs.register(name, alone(node))
    api = create(App(load({}, overrides={"database.url": database}), graphs))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://langyard")
    async with WorkflowManager(database) as manager, api.router.lifespan_context(api), http:
        manager.register_workflow("echo", alone(note))
        manager.register_workflow("asking", alone(approve))
        await manager.execute_workflow("asking", {"text": "a"}, session_id="s", user_id="ada")
        told = (await http.get("/workflow/s/status", params={"user_id": "ada"})).json()
        assert (told["workflow_type"], told["status"]) == ("asking", "interrupted")
        body: dict[str, Any] = {"user_id": "ada", "answer": "yes"}
        assert (await http.post("/workflow/s/resume", json=body)).json()["result"]["seen"] == ["yes"]
        body = {"workflow_type": "echo", "input_data": {"text": "b"}, "user_id": "ada", "session_id": "s"}
        assert (await http.post("/workflow/execute", json=body)).json()["result"]["seen"] == ["yes", "b"]
        again = await manager.execute_workflow("echo", {"text": "c"}, session_id="s", user_id="ada")
        assert again.result["seen"] == ["yes", "b", "c"]
        await manager.cleanup_session("s", user_id="ada")
        assert (await http.get("/workflow/s/status", params={"user_id": "ada"})).status_code == 404


async def test_what_an_earlier_process_left_is_finished_here(database):
    settings = load({}, overrides={"database.url": database, "worker.slots": 0})
    async with WorkflowManager(settings=settings) as manager:
        manager.register_workflow("echo", alone(note))
        asked = asyncio.ensure_future(manager.execute_workflow("echo", {"text": "a"}, session_id="s"))
        await until_status(manager, "busy")
        asked.cancel()
    async with WorkflowManager(database) as manager:
        manager.register_workflow("echo", alone(note))
        await until_status(manager, "idle")
        again = await manager.execute_workflow("echo", {"text": "b"}, session_id="s")
        assert again.result["seen"] == ["a", "b"]


async def test_where_the_database_is(database, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    with pytest.raises(Unavailable):
        await WorkflowManager().__aenter__()
    monkeypatch.setenv("DATABASE_URL", database)
    async with WorkflowManager() as manager:
        manager.register_workflow("echo", alone(note))
        await manager.execute_workflow("echo", {"text": "a"})
    with psycopg.connect(database) as connection:
        assert connection.execute("select count(*) from langyard.runs").fetchone() == (1,)
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        WorkflowManager("mysql://x")
    with pytest.raises(Invalid, match="either settings"):
        WorkflowManager(home=tmp_path, settings=load({}))


async def test_a_script_needs_nothing_but_a_folder(tmp_path):
    async with WorkflowManager(home=tmp_path) as manager:
        manager.register_workflow("echo", alone(note))
        assert (await manager.execute_workflow("echo", {"text": "a"}, session_id="s")).result["seen"] == ["a"]
    assert not (tmp_path / ".langyard/postgres/data/postmaster.pid").exists(), "it stops its server"


def test_the_package_exports_what_its_stub_says():
    stub = Path(langyard.__file__).with_name("__init__.pyi").read_text("utf-8")
    exported = set(re.findall(r"import \w+ as (\w+)", stub))
    assert exported == {"WorkflowFailed", "WorkflowManager", "WorkflowResult", "effect", "run_parallel"}
    assert all(getattr(langyard, name).__name__ == name for name in exported)
    assert exported <= set(dir(langyard))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(langyard, "nothing")  # noqa: B009 - a type checker knows that it is not there
