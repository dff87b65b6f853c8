"""Every method of the official SDK's `client.runs`, against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import NotFoundError

from langyard.assistants import system_id
from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


async def streamed(agents: Agents, thread_id: str | None, graph: str, **asked: Any) -> list[tuple[str, Any]]:
    return [(part.event, part.data) async for part in agents.sdk.runs.stream(thread_id, graph, **asked)]


async def test_wait_on_a_thread_gives_the_state(agents: Agents):
    thread = await agents.sdk.threads.create()
    assert await agents.sdk.runs.wait(thread["thread_id"], "steps", input={"x": 1}) == {"x": 3, "log": ["a", "b"]}
    assert await agents.sdk.runs.wait(thread["thread_id"], "steps", input={}) == {"x": 5, "log": ["a", "b", "a", "b"]}


async def test_wait_without_a_thread_gives_the_state(agents: Agents):
    assert await agents.sdk.runs.wait(None, "steps", input={"x": 1}) == {"x": 3, "log": ["a", "b"]}


async def test_a_stream_begins_with_metadata_and_ends_with_end(agents: Agents):
    thread = await agents.sdk.threads.create()
    made: list[Any] = []
    told = await streamed(
        agents,
        thread["thread_id"],
        "steps",
        input={"x": 1},
        stream_mode=["values", "updates"],
        on_run_created=made.append,
    )
    [run] = made
    assert run["thread_id"] == thread["thread_id"]
    assert told == [
        ("metadata", {"run_id": run["run_id"], "attempt": 1}),
        ("values", {"x": 1, "log": []}),
        ("updates", {"a": {"x": 2, "log": ["a"]}}),
        ("values", {"x": 2, "log": ["a"]}),
        ("updates", {"b": {"x": 3, "log": ["b"]}}),
        ("values", {"x": 3, "log": ["a", "b"]}),
        ("end", {"run_id": run["run_id"], "status": "success"}),
    ]


async def test_i04_a_background_run_is_200_with_the_whole_run(agents: Agents):
    thread_id = (await agents.sdk.threads.create(metadata={"of": "thread"}))["thread_id"]
    answer = await agents.served.http.post(
        f"/threads/{thread_id}/runs",
        json={
            "assistant_id": "steps",
            "input": {"x": 1},
            "metadata": {"of": "run"},
            "config": {"metadata": {"and": "config"}, "recursion_limit": 9, "configurable": {"k": "v"}},
        },
    )
    assert answer.status_code == 200
    run = answer.json()
    assert set(run) == {
        "run_id", "thread_id", "assistant_id", "metadata", "status", "kwargs", "multitask_strategy", "created_at",
        "updated_at", "langsmith_session_name",
    }  # fmt: skip
    assert (run["thread_id"], run["status"], run["multitask_strategy"]) == (thread_id, "pending", "enqueue")
    assert run["assistant_id"] == str(system_id("steps"))
    assert run["metadata"]["of"] == "run"
    assert run["metadata"]["and"] == "config"
    assert run["metadata"]["assistant_id"] == run["assistant_id"]
    kwargs = run["kwargs"]
    assert kwargs["input"] == {"x": 1}
    assert kwargs["stream_mode"] == ["values"]
    assert {"command", "context", "interrupt_before", "webhook", "temporary", "subgraphs", "resumable"} <= set(kwargs)
    assert kwargs["config"]["recursion_limit"] == 9
    configurable = kwargs["config"]["configurable"]
    assert configurable["k"] == "v"
    assert (configurable["thread_id"], configurable["graph_id"]) == (thread_id, "steps")
    assert await agents.sdk.runs.join(thread_id, run["run_id"]) == {"x": 3, "log": ["a", "b"]}
    found = await agents.sdk.runs.get(thread_id, run["run_id"])
    assert found["status"] == "success"
    assert found["created_at"] == run["created_at"]
    assert found["kwargs"] == kwargs


async def test_i02_a_thread_is_busy_as_soon_as_a_run_is_made(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    run = await agents.sdk.runs.create(thread_id, "steps", input={"x": 1}, after_seconds=60)
    assert (await agents.sdk.threads.get(thread_id))["status"] == "busy"
    assert (await agents.sdk.runs.get(thread_id, run["run_id"]))["status"] == "pending"
    await agents.sdk.runs.cancel(thread_id, run["run_id"])
    assert (await agents.sdk.threads.get(thread_id))["status"] == "idle"


async def test_a_delayed_run_holds_nobody_up(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    late = await agents.sdk.runs.create(thread_id, "steps", input={"x": 1}, after_seconds=60)
    assert await agents.sdk.runs.wait(thread_id, "steps", input={"x": 1}) == {"x": 3, "log": ["a", "b"]}
    assert (await agents.sdk.runs.get(thread_id, late["run_id"]))["status"] == "pending"


async def test_a_run_starts_after_its_delay(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    assert await agents.sdk.runs.wait(thread_id, "steps", input={"x": 1}, after_seconds=0.2) == {
        "x": 3,
        "log": ["a", "b"],
    }


async def test_runs_of_a_thread_are_listed_newest_first(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    made = [await agents.sdk.runs.create(thread_id, "steps", input={"x": n}) for n in range(3)]
    for run in made:
        await agents.sdk.runs.join(thread_id, run["run_id"])
    ids = [run["run_id"] for run in reversed(made)]
    assert [run["run_id"] for run in await agents.sdk.runs.list(thread_id)] == ids
    assert [run["run_id"] for run in await agents.sdk.runs.list(thread_id, limit=1, offset=1)] == [ids[1]]
    assert len(await agents.sdk.runs.list(thread_id, status="success")) == 3
    assert await agents.sdk.runs.list(thread_id, status="error") == []
    [one, *_] = await agents.sdk.runs.list(thread_id, select=["run_id", "status"])
    assert one == {"run_id": ids[0], "status": "success"}


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/threads/{T}/runs?limit=abc", 400, "invalid literal for int() with base 10: 'abc'"),
        ("/threads/{T}/runs?select=nonsense", 422, None),
        ("/threads/bad/runs", 422, "Invalid thread ID: must be a UUID"),
        ("/threads/{T}/runs/bad", 422, "Invalid run ID: must be a UUID"),
        ("/threads/{X}/runs", 404, "Thread with ID {X} not found"),
        ("/threads/{T}/runs/{X}", 404, "Not Found"),
        ("/threads/{X}/runs/{X}/join", 404, "Thread not found"),
        ("/threads/{T}/runs?status=nonsense", 200, None),
    ],
)
async def test_i09_reading_what_is_not_there(agents: Agents, path: str, status: int, detail: str | None):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    missing = str(uuid4())
    answer = await agents.served.http.get(path.replace("{T}", thread_id).replace("{X}", missing))
    assert answer.status_code == status
    if detail is not None:
        assert answer.json()["detail"] == detail.replace("{X}", missing)


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/threads/bad/runs", {"assistant_id": "steps"}, 422, "Invalid thread ID"),
        ("/threads/{X}/runs/wait", {"assistant_id": "steps"}, 404, "Thread or assistant not found."),
        ("/threads/{T}/runs", {"assistant_id": "{X}"}, 404, "Thread or assistant not found."),
        ("/threads/{T}/runs", {"assistant_id": "nope"}, 422, "Invalid assistant: 'nope'. Must be either:"),
        ("/threads/{T}/runs", {}, 422, None),
        ("/threads/{T}/runs", "{nope", 422, "Invalid JSON in request body"),
        ("/threads/{T}/runs", {"assistant_id": "steps", "multitask_strategy": "hope"}, 422, None),
        (
            "/threads/{T}/runs",
            {"assistant_id": "steps", "checkpoint": {"checkpoint_id": "x"}},
            422,
            "Invalid checkpoint ID",
        ),
        ("/threads/{T}/runs", {"assistant_id": "steps", "checkpoint_id": "x"}, 422, "Invalid checkpoint ID"),
        ("/threads/{T}/runs", {"assistant_id": "steps", "config": {"recursion_limit": "many"}}, 422, None),
        (
            "/threads/{T}/runs",
            {"assistant_id": "steps", "config": {"configurable": {"a": 1}}, "context": {"a": 1}},
            400,
            "Cannot specify both configurable and context.",
        ),
        (
            "/runs/wait",
            {"assistant_id": "asking", "command": {"resume": 1}},
            400,
            "You must provide a thread_id when resuming.",
        ),
        ("/runs/batch", [], 422, None),
        ("/runs/cancel", {}, 422, None),
        ("/runs/cancel", {"status": "all", "thread_id": "{T}", "run_ids": ["{X}"]}, 422, None),
        ("/runs/cancel", {"status": "all"}, 404, "No runs found to cancel."),
        ("/threads/{T}/runs/{X}/cancel", None, 404, "No runs found to cancel."),
    ],
)
async def test_i09_asking_for_what_cannot_be(agents: Agents, path: str, body: Any, status: int, detail: str | None):
    thread_id, missing = (await agents.sdk.threads.create())["thread_id"], str(uuid4())

    def filled(text: str) -> str:
        return text.replace("{T}", thread_id).replace("{X}", missing)

    content = body if isinstance(body, str) else filled(json.dumps(body)) if body is not None else ""
    headers = {"content-type": "application/json"}
    answer = await agents.served.http.post(filled(path), content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json()["detail"], str)
    if detail is not None:
        assert answer.json()["detail"].startswith(detail)
    assert (await agents.sdk.threads.get(thread_id))["status"] == "idle"


async def test_i24_a_stateless_run_leaves_nothing(agents: Agents):
    run = await agents.sdk.runs.create(None, "gate", input={})
    await agents.served.gate.reached()
    assert (await agents.sdk.threads.get(run["thread_id"]))["status"] == "busy"
    waiting = asyncio.create_task(agents.served.http.get(f"/runs/{run['run_id']}/join"))
    assert (await agents.sdk.runs.get(run["thread_id"], run["run_id"]))["status"] == "running"
    agents.served.gate.open.set()
    assert (await waiting).json()["log"][-1] == "through"
    assert (await agents.served.http.get(f"/runs/{run['run_id']}")).status_code == 404
    assert (await agents.served.http.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")).status_code == 404
    assert (await agents.served.http.get(f"/threads/{run['thread_id']}")).status_code == 404
    assert await agents.app.database.fetch("select 1 from checkpoints") == []
    assert await agents.app.database.fetch("select 1 from langyard.runs") == []


async def test_i24_a_stateless_run_vanishes_after_an_error_too(agents: Agents):
    made: list[Any] = []
    found = [
        part.event
        async for part in agents.sdk.runs.stream(None, "value-error", input={"x": 1}, on_run_created=made.append)
    ]
    assert "error" in found
    assert (await agents.served.http.get(f"/runs/{made[0]['run_id']}")).status_code == 404
    assert await agents.app.database.fetch("select 1 from langyard.threads") == []


async def test_a_stateless_run_that_is_kept_stays_with_its_thread(agents: Agents):
    run = await agents.sdk.runs.create(None, "steps", input={"x": 1}, on_completion="keep")
    assert await agents.sdk.runs.join(run["thread_id"], run["run_id"]) == {"x": 3, "log": ["a", "b"]}
    assert (await agents.sdk.threads.get_state(run["thread_id"]))["values"] == {"x": 3, "log": ["a", "b"]}
    assert (await agents.sdk.runs.get(run["thread_id"], run["run_id"]))["status"] == "success"


async def test_a_stateless_run_that_asks_tells_of_its_question(agents: Agents):
    found = await agents.sdk.runs.wait(None, "asking", input={"x": 1})
    assert found["__interrupt__"][0]["value"] == {"question": "ok?"}


async def test_i25_stateless_locations_can_be_read(agents: Agents):
    answer = await agents.served.http.post(
        "/runs/stream", json={"assistant_id": "steps", "input": {"x": 1}, "stream_resumable": True}
    )
    again = await agents.served.http.get(answer.headers["location"], headers={"Last-Event-ID": "-1"})
    assert again.status_code == 200
    assert again.text == answer.text
    assert again.headers["content-location"] == answer.headers["content-location"]
    assert (await agents.served.http.get(answer.headers["content-location"])).status_code == 404


async def test_a_batch(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    payloads: list[Any] = [
        {"assistant_id": "steps", "input": {"x": 1}},
        {"assistant_id": "steps", "input": {"x": 5}, "thread_id": thread_id},
    ]
    made = await agents.sdk.runs.create_batch(payloads)
    assert made[1]["thread_id"] == thread_id != made[0]["thread_id"]
    assert await agents.sdk.runs.join(thread_id, made[1]["run_id"]) == {"x": 7, "log": ["a", "b"]}


async def test_if_not_exists_makes_the_thread_with_the_metadata_of_its_first_run(agents: Agents):
    thread_id = str(uuid4())
    await agents.sdk.runs.wait(
        thread_id,
        "steps",
        input={"x": 1},
        if_not_exists="create",
        metadata={"rm": 2, "thread_id": "mine"},
        config={"metadata": {"cm": 1}},
    )
    thread = await agents.sdk.threads.get(thread_id)
    assert thread["metadata"] == {"graph_id": "steps", "assistant_id": str(system_id("steps")), "rm": 2, "cm": 1}


async def test_i10_waiting_is_kept_alive(database: str):
    async with running(database, heartbeat_seconds=0.05) as agents:
        answer = await agents.served.http.post("/runs/wait", json={"assistant_id": "sleeping", "input": {"x": 400}})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert len(answer.text) - len(answer.text.lstrip("\n")) >= 2
        assert answer.json() == {"x": 400, "log": ["slept"]}


async def test_i10_a_wait_for_nothing_says_so(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    answer = await agents.served.http.get(f"/threads/{thread_id}/runs/{uuid4()}/join")
    told = {"error": "HTTPException", "message": "404: Run not found"}
    assert (answer.status_code, answer.json()) == (200, {"__error__": told})
    answer = await agents.served.http.get(f"/threads/{thread_id}/runs/{uuid4()}/stream")
    assert (answer.status_code, answer.text) == (
        200,
        f"event: error\r\ndata: {json.dumps(told, separators=(',', ':'))}\r\n\r\n",
    )


async def test_i11_one_interrupt_is_told_within_the_state_and_several_alone(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    found = await agents.sdk.runs.wait(thread_id, "asking", input={"x": 1})
    [asked] = found.pop("__interrupt__")
    assert found == {"x": 2, "log": ["a"]}
    assert asked == {"value": {"question": "ok?"}, "id": asked["id"], "response_schema": None}
    [run] = await agents.sdk.runs.list(thread_id)
    assert run["status"] == "success"
    assert (await agents.sdk.threads.get(thread_id))["status"] == "interrupted"
    found = await agents.sdk.runs.wait(None, "asking-both", input={"x": 1})
    assert set(found) == {"__interrupt__"}
    assert sorted(str(one["value"]) for one in found["__interrupt__"]) == ["really?", "{'question': 'ok?'}"]


async def test_a_wait_gives_what_the_graph_gives_out(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    assert await agents.sdk.runs.wait(thread_id, "narrow", input={"x": 1}) == {"x": 2}
    assert (await agents.sdk.threads.get(thread_id))["values"] == {"x": 2, "log": ["a"]}


async def test_the_run_goes_over_the_thread_over_the_assistant(agents: Agents):
    assistant = await agents.sdk.assistants.create(
        "configured",
        config={"tags": ["at"], "recursion_limit": 30},
        context={"flag": True, "unknown": 1},
        metadata={"am": 1, "shared": "assistant"},
    )
    thread_id = (await agents.sdk.threads.create(metadata={"tm": 1, "shared": "thread"}))["thread_id"]
    wanted = assistant["assistant_id"]
    found = await agents.sdk.runs.wait(thread_id, wanted, input={}, config={"tags": ["rt"]}, context={"user_name": "R"})
    seen = found["seen"]
    assert seen["tags"] == ["rt"]
    assert seen["limit"] == 30
    assert seen["context"] == {"flag": True, "user_name": "R"}
    assert seen["configurable"]["user_name"] == "R"
    assert seen["configurable"]["graph_id"] == "configured"
    assert (seen["metadata"]["am"], seen["metadata"]["tm"], seen["metadata"]["shared"]) == (1, 1, "thread")
    found = await agents.sdk.runs.wait(thread_id, wanted, input={}, config={"recursion_limit": 9})
    assert (found["seen"]["tags"], found["seen"]["limit"]) == (["rt"], 9)
    assert found["seen"]["context"] == {"flag": True, "user_name": "nobody"}
    thread = await agents.sdk.threads.get(thread_id)
    assert thread["config"] == {"tags": ["rt"], "recursion_limit": 9, "configurable": {}}


async def test_i35_nobody_can_pretend(agents: Agents):
    reserved = {"langgraph_auth_user": {"identity": "root"}, "langgraph_auth_user_id": "root", "__otel_x": 1}
    found = await agents.sdk.runs.wait(
        None,
        "configured",
        input={},
        config={"configurable": {**reserved, "mine": 1}},
        metadata={"run_id": "mine", "assistant_id": "mine", "kept": 1},
    )
    seen = found["seen"]
    assert seen["configurable"]["langgraph_auth_user"] is None
    assert seen["configurable"]["langgraph_auth_user_id"] == ""
    assert "__otel_x" not in seen["configurable"]
    assert seen["configurable"]["mine"] == 1
    assert seen["metadata"]["assistant_id"] == str(system_id("configured"))
    assert seen["metadata"]["run_id"] != "mine"
    assert seen["metadata"]["kept"] == 1


async def test_a_null_input_on_a_fresh_thread_is_an_error(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    found = await agents.sdk.runs.wait(thread_id, "steps", raise_error=False)
    assert found["__error__"]["error"] == "EmptyInputError"


async def test_a_run_beyond_its_recursion_limit_fails(agents: Agents):
    found = await agents.sdk.runs.wait(None, "loop", input={}, config={"recursion_limit": 3}, raise_error=False)
    assert found["__error__"]["error"] == "GraphRecursionError"


async def test_delete_takes_the_checkpoints_along(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    first = await agents.sdk.runs.create(thread_id, "steps", input={"x": 1})
    await agents.sdk.runs.join(thread_id, first["run_id"])
    before = len(await agents.sdk.threads.get_history(thread_id, limit=100))
    second = await agents.sdk.runs.create(thread_id, "steps", input={"x": 5})
    await agents.sdk.runs.join(thread_id, second["run_id"])
    await agents.sdk.runs.delete(thread_id, second["run_id"])
    assert len(await agents.sdk.threads.get_history(thread_id, limit=100)) == before
    with pytest.raises(NotFoundError):
        await agents.sdk.runs.get(thread_id, second["run_id"])
    with pytest.raises(NotFoundError, match="Run not found"):
        await agents.sdk.runs.delete(thread_id, second["run_id"])


async def test_delete_stops_a_run_that_is_under_way(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    run = await agents.sdk.runs.create(thread_id, "gate", input={})
    await agents.served.gate.reached()
    await agents.sdk.runs.delete(thread_id, run["run_id"])
    with pytest.raises(NotFoundError):
        await agents.sdk.runs.get(thread_id, run["run_id"])
    assert (await agents.sdk.threads.get(thread_id))["status"] == "idle"
