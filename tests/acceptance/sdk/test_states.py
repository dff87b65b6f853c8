"""A thread's state through the official SDK: contract A.3 State, and of section I numbers 14, 17, 18 and 19."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError, NotFoundError, UnprocessableEntityError

from langyard.model.ids import uuid7
from langyard.postgres.rows.updating import updating
from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.test_assistants import detail

FIELDS = {
    "values", "next", "tasks", "metadata", "created_at", "checkpoint", "parent_checkpoint", "interrupts",
    "checkpoint_id", "parent_checkpoint_id",
}  # fmt: skip


async def thread_of(agents: Agents, graph_id: str = "branching") -> str:
    thread_id: str = (await agents.sdk.threads.create(graph_id=graph_id))["thread_id"]
    return thread_id


async def test_i14_an_interrupt_in_a_state_is_an_id_and_a_value(agents: Agents):
    wanted = await thread_of(agents)
    await agents.run("ask", wanted)
    state = await agents.sdk.threads.get_state(wanted)
    assert set(state) == FIELDS
    assert state["next"] == ["ask"]
    (task,) = state["tasks"]
    assert set(task) == {"id", "name", "path", "error", "interrupts", "checkpoint", "state", "result"}
    assert task["interrupts"] == state["interrupts"]
    assert set(task["interrupts"][0]) == {"id", "value"}
    assert (await agents.sdk.threads.get(wanted))["interrupts"] == {task["id"]: task["interrupts"]}
    assert set(state["checkpoint"]) == {"checkpoint_id", "thread_id", "checkpoint_ns"}
    assert state["metadata"]["graph_id"] == "ask"


async def test_i17_an_unknown_checkpoint_and_a_fresh_thread_have_an_empty_state(agents: Agents):
    for wanted in ((await agents.sdk.threads.create())["thread_id"], await thread_of(agents)):
        empty = await agents.sdk.threads.get_state(wanted)
        assert set(empty) == FIELDS
        assert (empty["values"], empty["next"], empty["tasks"], empty["interrupts"]) == ({}, [], [], [])
        assert [empty[name] for name in ("metadata", "created_at", "checkpoint", "parent_checkpoint")] == [None] * 4
        assert await agents.sdk.threads.get_history(wanted) == []
    await agents.run("branching", wanted)
    unknown = "1efc0000-0000-6000-8000-000000000000"
    for state in (
        await agents.sdk.threads.get_state(wanted, checkpoint_id=unknown),
        await agents.sdk.threads.get_state(wanted, checkpoint={"checkpoint_id": unknown}),
    ):
        assert state["values"] == {}
        assert state["checkpoint"]["checkpoint_id"] == unknown
    missing = str(uuid4())
    threads = agents.sdk.threads
    for call in (
        threads.get_state(missing),
        threads.get_state(missing, checkpoint_id=unknown),
        threads.get_history(missing),
        threads.update_state(missing, {"x": 1}),
    ):
        with pytest.raises(NotFoundError) as gone:
            await call
        assert detail(gone) == f"Thread with ID {missing} not found"


async def test_i18_a_history_is_one_unless_told_and_takes_three_forms_of_before(agents: Agents):
    wanted, http = await thread_of(agents), agents.served.http
    await agents.run("branching", wanted, {"x": 1})
    path = f"/threads/{wanted}/history"
    assert len((await http.post(path, json={})).json()) == 1
    assert len((await http.post(path)).json()) == 1
    every = await agents.sdk.threads.get_history(wanted, limit=100)
    assert [state["metadata"]["step"] for state in every] == [2, 1, 0, -1]
    assert every[0]["parent_checkpoint"] == every[1]["checkpoint"]
    assert (await http.get(path)).json() == every[:1]
    assert (await http.get(f"{path}?limit=100")).json() == every
    place = every[1]["checkpoint"]["checkpoint_id"]
    for before in (place, {"checkpoint_id": place}, {"configurable": {"checkpoint_id": place}}):
        assert (await http.post(path, json={"limit": 9, "before": before})).json() == every[2:]
    assert (await http.get(path, params={"before": place, "limit": 1})).json() == every[2:3]
    assert await agents.sdk.threads.get_history(wanted, metadata={"step": 0}) == every[2:3]
    assert (await http.get(path, params={"limit": "abc"})).status_code == 422
    assert (await http.post(path, json={"limit": 0})).status_code == 422
    assert (await http.post(path, json={"before": {"nothing": 1}})).status_code == 422
    for state in every:
        at = await agents.sdk.threads.get_state(wanted, checkpoint_id=state["checkpoint_id"])
        assert at["values"] == state["values"]
        assert at["checkpoint"] == state["checkpoint"]


async def test_i19_an_update_is_refused_while_runs_are_open_and_without_a_graph_and_sets_the_thread(agents: Agents):
    threads = agents.sdk.threads
    bare = (await threads.create())["thread_id"]
    with pytest.raises(BadRequestError) as graphless:
        await threads.update_state(bare, {"x": 1})
    assert detail(graphless).startswith(
        f"Thread '{bare}' has no assigned graph ID. This usually occurs when no runs have been made on this particular "
        "thread."
    )
    await agents.start("gate", bare, {"input": {}})
    await agents.served.gate.reached()
    async with asyncio.timeout(20):
        while not (await threads.get_state(bare))["next"]:  # noqa: ASYNC110 - committed a moment after the node began
            await asyncio.sleep(0.01)
    assert (await threads.get_state(bare))["next"] == ["gate"]
    with pytest.raises(ConflictError) as busy:
        await threads.update_state(bare, {"x": 1})
    assert detail(busy) == "Thread is busy with a running job. Cannot update state."
    agents.served.gate.open.set()

    wanted = await thread_of(agents)
    made = await threads.update_state(wanted, {"x": 5, "log": ["me"]}, as_node="a")
    assert made["checkpoint"] == made["configurable"]
    assert made["checkpoint"]["checkpoint_id"] == made["checkpoint_id"]
    thread = await threads.get(wanted)
    assert (thread["status"], thread["values"]) == ("interrupted", {"x": 5, "log": ["me"]})
    assert (await threads.get_state(wanted))["next"] == ["b"]
    end = await agents.run_on(wanted)
    assert end.status == "success"
    assert (await threads.get_state(wanted))["values"]["log"] == ["me", "b"]
    await threads.update_state(wanted, {"x": -1}, as_node="b")
    assert (await threads.get(wanted))["status"] == "idle"
    with pytest.raises(BadRequestError) as nobody:
        await threads.update_state(wanted, {"x": 1}, as_node="nonode")
    assert "nonode" in detail(nobody)
    assert (await threads.get(wanted))["values"]["x"] == -1


async def test_an_update_from_an_older_checkpoint_forks(agents: Agents):
    threads = agents.sdk.threads
    wanted = await thread_of(agents)
    await agents.run("branching", wanted, {"x": 1})
    at_b = next(state for state in await threads.get_history(wanted, limit=9) if state["next"] == ["b"])
    forked = await threads.update_state(wanted, {"x": -1}, as_node="a", checkpoint=at_b["checkpoint"])
    state = await threads.get_state(wanted)
    assert state["checkpoint_id"] == forked["checkpoint"]["checkpoint_id"]
    assert state["next"] == ["c"]
    assert state["parent_checkpoint"]["checkpoint_id"] == at_b["checkpoint_id"]
    await agents.run_on(wanted)
    assert (await threads.get_state(wanted))["values"]["log"] == ["a", "c"]


async def test_ending_and_copying_by_the_names_langgraph_has_for_it(agents: Agents):
    threads = agents.sdk.threads
    wanted = await thread_of(agents)
    await agents.run("ask", wanted)
    await threads.update_state(wanted, None, as_node="__copy__")
    assert (await threads.get_state(wanted))["next"] == ["ask"]
    await threads.update_state(wanted, None, as_node="__end__")
    assert (await threads.get_state(wanted))["next"] == []
    thread = await threads.get(wanted)
    assert (thread["status"], thread["interrupts"]) == ("idle", {})


async def test_the_state_of_a_subgraph(agents: Agents):
    threads = agents.sdk.threads
    wanted = await thread_of(agents)
    await agents.run("parent", wanted, {"x": 1})
    closed = (await threads.get_state(wanted))["tasks"][0]
    assert closed["state"] is None
    assert closed["checkpoint"]["checkpoint_ns"].startswith("child:")
    assert closed["interrupts"][0]["value"] == "inner?"
    opened = (await threads.get_state(wanted, subgraphs=True))["tasks"][0]
    assert opened["checkpoint"] is None
    assert opened["state"]["next"] == ["inner1"]
    assert set(opened["state"]) == FIELDS
    inner = await threads.get_state(wanted, checkpoint=closed["checkpoint"])
    assert inner["values"] == opened["state"]["values"]
    assert inner["next"] == ["inner1"]
    await threads.update_state(wanted, {"inner": "mine"}, checkpoint=closed["checkpoint"], as_node="inner1")
    assert (await threads.get_state(wanted, checkpoint=closed["checkpoint"]))["values"]["inner"] == "mine"
    listed = await agents.served.http.post(
        f"/threads/{wanted}/history", json={"limit": 9, "checkpoint": closed["checkpoint"]}
    )
    assert len(listed.json()) >= 2


async def test_a_factorys_thread_is_read_and_changed_with_its_assistants_configuration(agents: Agents):
    made = await agents.sdk.assistants.create("factory", context={"node": "mine"})
    thread = await agents.sdk.threads.create(graph_id="factory", metadata={"assistant_id": "dropped"})
    assert "assistant_id" not in thread["metadata"]
    wanted = thread["thread_id"]
    kwargs = {"input": {"x": 1}, "config": {"configurable": {"node": "mine"}}}
    run_id = await agents.start("factory", wanted, kwargs, assistant_id=UUID(made["assistant_id"]))
    assert (await agents.app.runs.wait(run_id)).status == "success"
    assert (await agents.sdk.threads.get_state(wanted))["values"] == {"x": 1, "log": ["mine"]}
    await agents.sdk.threads.update_state(wanted, {"x": 2}, as_node="mine")
    assert (await agents.sdk.threads.get(wanted))["values"]["x"] == 2
    assert len(await agents.sdk.threads.get_history(wanted)) == 4
    await agents.sdk.assistants.update(made["assistant_id"], context={"node": "broken"})
    answer = await agents.served.http.get(f"/threads/{wanted}/state")
    assert answer.status_code == 424
    assert "hunter2" not in answer.text


async def test_a_thread_is_imported_whole_or_not_at_all(agents: Agents):
    threads = agents.sdk.threads
    steps = [
        {"updates": [{"values": {"x": 1}, "as_node": "__start__"}]},
        {"updates": [{"values": {"log": ["a"]}, "as_node": "a"}]},
    ]
    made = await threads.create(graph_id="branching", supersteps=steps)
    assert made["values"] == {"x": 1, "log": ["a"]}
    assert made["status"] == "interrupted"
    assert [state["next"] for state in await threads.get_history(made["thread_id"])] == [["b"], ["a"]]

    nowhere = [*steps, {"updates": [{"values": {"x": 2}, "as_node": "nonode"}]}]
    wanted = str(uuid7())
    with pytest.raises(BadRequestError, match="Node nonode does not exist"):
        await threads.create(thread_id=wanted, graph_id="branching", supersteps=nowhere)
    with pytest.raises(NotFoundError):
        await threads.get(wanted)

    answer = await agents.served.http.post("/threads", json={"supersteps": steps})
    assert answer.status_code == 201
    told = answer.json()["detail"]
    assert " was created, but there were problems updating the state: " in told
    wanted = told.split()[1]
    assert (await threads.get(wanted))["values"] is None
    assert await threads.get_history(wanted) == []


async def test_a_run_that_starts_amid_an_update_builds_on_it(agents: Agents):
    """The run waits at the thread's row; the checkpoint it had read with its own snapshot is an old one by then."""
    wanted = await thread_of(agents)
    await agents.run("echo", wanted, {"x": 1})
    state = await agents.sdk.threads.get_state(wanted)
    async with updating(agents.app.database, UUID(wanted)) as update:
        assert update is not None
        starting = asyncio.create_task(agents.run("echo", wanted))
        waiting = (
            "select 1 as n from pg_stat_activity where wait_event_type = 'Lock' and query like '%%langyard.sessions%%'"
        )
        while not await agents.app.database.fetch(waiting):
            assert not starting.done()
            await asyncio.sleep(0.01)
        graph = agents.app.graphs.get("echo")
        config = {"configurable": {"thread_id": wanted, "checkpoint_ns": ""}}
        async with graph.open(config, checkpointer=update.checkpointer) as opened:  # type: ignore[arg-type]
            await opened.aupdate_state(config, {"x": 100}, as_node="first")  # type: ignore[arg-type]
        assert (await agents.sdk.threads.get_state(wanted))["checkpoint_id"] == state["checkpoint_id"]
        await update.finish("idle", b'{"x": 100}', b"{}")
    end = await starting
    assert end.status == "success"
    assert (await agents.sdk.threads.get(wanted))["values"]["x"] == 101


async def test_of_updates_at_once_none_is_lost(agents: Agents):
    wanted = await thread_of(agents)
    update = agents.sdk.threads.update_state
    await asyncio.gather(*(update(wanted, {"log": [str(n)]}, as_node="a") for n in range(8)))
    values = (await agents.sdk.threads.get_state(wanted))["values"]
    assert sorted(values["log"]) == [str(n) for n in range(8)]
    thread = await agents.sdk.threads.get(wanted)
    assert thread["values"] == values


async def test_bad_bodies(agents: Agents):
    wanted, http = await thread_of(agents), agents.served.http
    for path, body in (
        ("state", {"as_node": 7}),
        ("state", {"checkpoint": "x"}),
        ("state/checkpoint", {}),
        ("state/checkpoint", {"checkpoint": {"checkpoint_id": 1}}),
        ("history", {"limit": "many"}),
        ("history", {"before": 5}),
    ):
        answer = await http.post(f"/threads/{wanted}/{path}", json=body)
        assert answer.status_code == 422, (path, body, answer.text)
        assert isinstance(answer.json()["detail"], str)
    with pytest.raises(UnprocessableEntityError):
        await agents.sdk.threads.get_state("no-uuid")
