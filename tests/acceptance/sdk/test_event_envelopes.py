"""The event protocol envelope by envelope: numbers, ids, filters, replay, commands and their errors (contract A.14)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import connect

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running

DEADLINE_S = 40.0
EVERYTHING = ["values", "updates", "messages", "tools", "custom", "lifecycle", "input", "tasks", "checkpoints"]
ALLOWED = "values, updates, messages, tools, custom, lifecycle, input, tasks"
HI = {"messages": [{"role": "user", "content": "hi"}]}
Json = dict[str, Any]


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


@asynccontextmanager
async def opened(
    agents: Agents, thread_id: str, headers: Any = None, **body: Any
) -> AsyncIterator[AsyncIterator[Json]]:
    """A thread's envelopes; the stream is open by the time this gives them."""
    path = f"/threads/{thread_id}/stream/events"
    async with (
        asyncio.timeout(DEADLINE_S),
        agents.served.http.stream("POST", path, json={"channels": EVERYTHING, **body}, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"

        async def read() -> AsyncIterator[Json]:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

        yield read()


def said(envelope: Json) -> str:
    """What a root lifecycle says, else nothing."""
    params = envelope["params"]
    if envelope["method"] != "lifecycle" or params["namespace"]:
        return ""
    found: str = params["data"]["event"]
    return found


async def until(found: AsyncIterator[Json], *ends: str) -> list[Json]:
    """Up to a root lifecycle that says one of these."""
    seen = []
    async for envelope in found:
        seen.append(envelope)
        if said(envelope) in ends:
            return seen
    raise AssertionError(f"the stream ended after {seen}")


async def command(agents: Agents, thread_id: str, method: str, **params: Any) -> Json:
    body = {"id": 7, "method": method, "params": params}
    answer = await agents.served.http.post(f"/threads/{thread_id}/commands", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    assert found["id"] == 7
    return found


async def done(agents: Agents, thread_id: str, graph: str, input: Any, *ends: str) -> list[Json]:
    """All envelopes of a thread's only run."""
    async with opened(agents, thread_id) as found:
        await command(agents, thread_id, "run.start", assistant_id=graph, input=input)
        return await until(found, *(ends or ("completed",)))


def methods(found: list[Json], *unwanted: str) -> list[str]:
    return [envelope["method"] for envelope in found if envelope["method"] not in unwanted]


async def test_i37_a_thread_is_subscribed_to_before_it_exists_and_stays_open_after_its_run(agents: Agents):
    thread_id = str(uuid4())
    async with opened(agents, thread_id, channels=["values", "lifecycle"]) as found:
        for turn in (1, 2):
            await command(agents, thread_id, "run.start", assistant_id="steps", input={"x": 1})
            seen = await until(found, "completed")
            assert methods(seen) == ["lifecycle", "values", "values", "values", "lifecycle"]
            assert seen[0]["params"]["data"] == {"event": "running", "graph_name": "steps"}
            assert seen[-1]["params"]["data"] == {"event": "completed", "graph_name": "steps"}
            assert seen[-2]["params"]["data"] == {"x": 3, "log": ["a", "b"] * turn}


async def test_i37_numbers_are_given_before_filtering_and_ids_are_the_same_in_every_process(
    database: str, agents: Agents
):
    thread_id = str(uuid4())
    live = await done(agents, thread_id, "nested", HI)
    assert len({envelope["event_id"] for envelope in live}) == len(live)
    assert all(before["seq"] < after["seq"] < 2**53 for before, after in pairwise(live))
    async with running(database) as other, opened(other, thread_id) as found:
        assert await until(found, "completed") == live
    async with opened(agents, thread_id, channels=["lifecycle"]) as found:
        few = await until(found, "completed")
    assert few == [envelope for envelope in live if envelope["method"] == "lifecycle"]
    assert methods(few, "values") == ["lifecycle"] * 4


async def test_i37_reading_on_by_number_by_event_id_and_by_header(agents: Agents):
    thread_id = str(uuid4())
    live = await done(agents, thread_id, "nested", HI)
    middle = live[len(live) // 2]
    rest = live[len(live) // 2 + 1 :]
    async with opened(agents, thread_id, since=middle["seq"]) as found:
        assert await until(found, "completed") == rest
    async with opened(agents, thread_id, since_event_id=middle["event_id"]) as found:
        assert (await until(found, "completed"))[-len(rest) :] == rest
    kept = next(
        envelope for envelope in live if envelope["event_id"].count("-") == 1 and envelope["method"] == "values"
    )
    async with opened(agents, thread_id, headers={"Last-Event-ID": kept["event_id"]}) as found:
        assert await until(found, "completed") == live[live.index(kept) + 1 :]
    async with opened(agents, thread_id, since=2**52) as found:
        assert await until(found, "completed") == live  # a number from nowhere: everything, and ids tell what is known


async def test_envelopes_have_the_protocols_form(agents: Agents):
    live = await done(agents, str(uuid4()), "steps", {"x": 1})
    for envelope in live:
        assert envelope.keys() == {"type", "event_id", "seq", "method", "params"}
        assert envelope["type"] == "event"
        assert envelope["params"].keys() >= {"namespace", "timestamp", "data"}
        assert abs(envelope["params"]["timestamp"] / 1000 - live[0]["params"]["timestamp"] / 1000) < 60
    assert methods(live, "checkpoints", "tasks") == [
        "lifecycle", "values", "updates", "values", "updates", "values", "lifecycle"
    ]  # fmt: skip
    assert next(e["params"]["data"] for e in live if e["method"] == "updates") == {"a": {"x": 2, "log": ["a"]}}
    checkpoint = [e["params"]["data"] for e in live if e["method"] == "checkpoints"][-1]
    assert (checkpoint["step"], checkpoint["source"]) == (2, "loop")
    assert {"id", "parent_id", "values", "next"} <= checkpoint.keys()


async def test_messages_in_blocks_and_subgraphs_with_their_lives(agents: Agents):
    live = await done(agents, str(uuid4()), "nested", HI)
    told = [envelope["params"] for envelope in live if envelope["method"] == "messages"]
    assert [params["data"]["event"] for params in told] == [
        "message-start", "content-block-start", *["content-block-delta"] * 7, "content-block-finish", "message-finish"
    ]  # fmt: skip
    assert told[0]["data"]["role"] == "ai"
    assert {params["node"] for params in told} == {"speak"}
    assert told[-2]["data"]["content"] == {"type": "text", "text": "hello brave new world"}
    assert {params["data"].get("message_id", told[0]["data"]["id"]) for params in told} == {told[0]["data"]["id"]}
    lives = [e["params"] for e in live if e["method"] == "lifecycle" and e["params"]["namespace"]]
    assert [params["data"]["event"] for params in lives] == ["started", "completed"]
    assert lives[0]["data"]["graph_name"] == "kid"
    assert [e["params"]["data"] for e in live if e["method"] == "custom"] == [{"kid": "tells"}]


async def test_namespaces_and_depth_filter(agents: Agents):
    thread_id = str(uuid4())
    live = await done(agents, thread_id, "nested", HI)
    [segment] = {tuple(e["params"]["namespace"]) for e in live if e["params"]["namespace"]}

    async def filtered(**body: Any) -> list[Json]:
        async with opened(agents, thread_id, **body) as found, asyncio.timeout(DEADLINE_S):
            wanted = [e for e in live if _below(e, body["namespaces"], body.get("depth"))]
            assert wanted
            return [wanted, [await anext(found) for _ in wanted]]  # type: ignore[list-item]

    for namespaces, depth in (([["kid"]], None), ([[*segment]], 0), ([[]], 0), ([[]], 1)):
        expected, got = await filtered(namespaces=namespaces, **({} if depth is None else {"depth": depth}))
        assert got == expected


def _below(envelope: Json, namespaces: list[list[str]], depth: int | None) -> bool:
    found = envelope["params"]["namespace"]
    return any(
        len(prefix) <= len(found)
        and all(f == p or f.split(":")[0] == p for p, f in zip(prefix, found, strict=False))
        and (depth is None or len(found) - len(prefix) <= depth)
        for prefix in namespaces
    )


async def test_i38_interrupts_are_asked_under_both_names_and_answered_once(agents: Agents):
    thread_id = str(uuid4())
    asked = await done(agents, thread_id, "asking", {"x": 1}, "interrupted")
    [request] = [envelope["params"]["data"] for envelope in asked if envelope["method"] == "input.requested"]
    assert request["payload"] == request["value"] == {"question": "ok?"}
    assert not any("__interrupt__" in str(e["params"]["data"]) for e in asked if e["method"] in ("values", "updates"))
    interrupt_id = request["interrupt_id"]
    answers = await asyncio.gather(
        *(command(agents, thread_id, "input.respond", interrupt_id=interrupt_id, response=n) for n in range(3))
    )
    assert sorted(answer["type"] for answer in answers) == ["error", "error", "success"]
    refused = [answer for answer in answers if answer["type"] == "error"]
    assert {answer["error"] for answer in refused} == {"no_such_interrupt"}
    assert refused[0]["message"] == f"Unknown or already-consumed interrupt: {interrupt_id}"
    [taken] = [place for place, answer in enumerate(answers) if answer["type"] == "success"]
    since = answers[taken]["meta"]["applied_through_seq"]
    assert since >= asked[-1]["seq"]
    async with opened(agents, thread_id, since=since) as found:
        seen = await until(found, "completed")
    assert said(seen[0]) == "running"
    assert [e["params"]["data"] for e in seen if e["method"] == "values"][-1]["log"] == ["a", f"ans={taken}"]


async def test_several_answers_with_an_update(agents: Agents):
    thread_id = str(uuid4())
    asked = await done(agents, thread_id, "asking-both", {"x": 1}, "interrupted")
    ids = [e["params"]["data"]["interrupt_id"] for e in asked if e["method"] == "input.requested"]
    assert len(ids) == 2
    responses = [{"interrupt_id": one, "response": "yes", "namespace": []} for one in ids]
    answer = await command(agents, thread_id, "input.respond", responses=responses, update={"x": 40})
    assert (answer["type"], answer["result"]) == ("success", {})
    async with opened(agents, thread_id, since=answer["meta"]["applied_through_seq"]) as found:
        await until(found, "completed")
    values = (await agents.sdk.threads.get_state(thread_id))["values"]
    assert values["x"] == 40
    assert sorted(values["log"]) == ["a", "ans2=yes", "ans=yes"]


async def test_a_failure_a_breakpoint_and_a_stop(agents: Agents):
    failed = await done(agents, str(uuid4()), "value-error", {"x": 1}, "failed")
    assert failed[-1]["params"]["data"] == {"event": "failed", "graph_name": "value-error", "error": "bad value"}
    hidden = await done(agents, str(uuid4()), "own-error", {"x": 1}, "failed")
    assert hidden[-1]["params"]["data"]["error"] == "An internal error occurred"
    thread_id = str(uuid4())
    async with opened(agents, thread_id) as found:
        started = await command(agents, thread_id, "run.start", assistant_id="sleeping", input={"x": 60_000})
        await until(found, "running")
        await agents.sdk.runs.cancel(thread_id, started["result"]["run_id"])
        await until(found, "interrupted")


async def test_runs_of_the_older_routes_are_told_as_well(database: str, agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    async with running(database) as other, opened(agents, thread_id) as found:
        modes = ["values", "updates", "messages-tuple", "custom"]
        await other.sdk.runs.create(thread_id, "nested", input=HI, stream_mode=modes, stream_subgraphs=True)
        seen = await until(found, "completed")
        told = [envelope["params"]["data"] for envelope in seen if envelope["method"] == "messages"]
        assert told[0]["event"] == "message-start"
        assert told[-2]["content"] == {"type": "text", "text": "hello brave new world"}
        assert told[-1]["event"] == "message-finish"
        await other.sdk.runs.create(thread_id, "asking", input={"x": 1})
        assert "input.requested" in methods(await until(found, "interrupted"))


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "channels is required and must be a non-empty array"),
        ({"channels": []}, "channels is required and must be a non-empty array"),
        (
            {"channels": ["values", "bogus"]},
            f"channels contains unsupported entries: bogus. Allowed: {ALLOWED}, or any `custom:<name>`.",
        ),
        ({"channels": ["values"], "namespaces": "kid"}, "namespaces must be an array of arrays of strings"),
        ([], "Invalid JSON body"),
    ],
)
async def test_what_is_wrong_with_a_subscription_is_said(agents: Agents, body: Any, detail: str):
    answer = await agents.served.http.post(f"/threads/{uuid4()}/stream/events", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)
    answer = await agents.served.http.post(
        f"/threads/{uuid4()}/stream/events", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["detail"]) == (400, "Invalid JSON body")


async def test_what_is_wrong_with_a_command_is_said(agents: Agents):
    thread_id = str(uuid4())
    for body in ({}, {"id": "1", "method": "run.start"}, {"id": True, "method": "run.start"}, {"id": 1}, [1]):
        malformed = await agents.served.http.post(f"/threads/{thread_id}/commands", json=body)
        assert malformed.status_code == 400
        assert malformed.json() == {
            "type": "error",
            "id": None,
            "error": "invalid_argument",
            "message": "Protocol commands must include an integer id and string method.",
        }
    refused = {
        ("bogus",): ("unknown_command", "Unknown protocol command: bogus"),
        ("run.cancel",): ("unknown_command", "Unknown protocol command: run.cancel"),
        ("run.start",): ("invalid_argument", "run.start needs an assistant_id."),
        ("input.respond",): ("invalid_argument", "input.respond needs an interrupt_id and a response."),
        ("agent.getTree",): ("no_such_run", "Nothing is kept of any run on this thread."),
    }
    for (method,), (code, message) in refused.items():
        answer = await command(agents, thread_id, method)
        assert (answer["type"], answer["error"], answer["message"]) == ("error", code, message)
    answer = await command(agents, thread_id, "run.start", assistant_id="nope")
    assert answer["error"] == "unknown_error"
    assert answer["message"].startswith("422: Invalid assistant: 'nope'")
    answer = await command(agents, thread_id, "input.respond", interrupt_id="x", response=1)
    assert (answer["error"], answer["message"]) == ("unknown_error", f"404: Thread with ID {thread_id} not found")
    answer = await command(agents, thread_id, "subscription.subscribe", channels=["values"])
    assert answer["error"] == "unsupported"


async def test_run_start_forks_takes_metadata_and_goes_on_without_input(agents: Agents):
    thread_id = str(uuid4())
    await done(agents, thread_id, "steps", {"x": 1})
    history = await agents.sdk.threads.get_history(thread_id, limit=10)
    first = next(state for state in history if state["next"] == ["b"])
    configurable = {"checkpoint_id": first["checkpoint"]["checkpoint_id"]}
    answer = await command(
        agents, thread_id, "run.start", assistant_id="steps", config={"configurable": configurable}, metadata={"k": 1}
    )
    run = await agents.sdk.runs.get(thread_id, answer["result"]["run_id"])
    assert run["metadata"]["k"] == 1
    await agents.sdk.runs.join(thread_id, run["run_id"])
    newest = await agents.sdk.threads.get_state(thread_id)
    assert newest["values"] == {"x": 3, "log": ["a", "b"]}
    assert newest["parent_checkpoint"]["checkpoint_id"] != history[0]["checkpoint"]["checkpoint_id"]


async def test_the_tree_of_graphs(agents: Agents):
    thread_id = str(uuid4())
    await done(agents, thread_id, "nested", HI)
    tree = (await command(agents, thread_id, "agent.getTree"))["result"]["tree"]
    assert (tree["namespace"], tree["status"], tree["graph_name"]) == ([], "completed", "nested")
    [kid] = tree["children"]
    assert (kid["status"], kid["graph_name"], kid["children"]) == ("completed", "kid", [])


async def test_a_socket_takes_commands_and_has_several_subscriptions(agents: Agents):
    thread_id = str(uuid4())
    base = str(agents.served.http.base_url).replace("http", "ws").rstrip("/")
    async with asyncio.timeout(DEADLINE_S), connect(f"{base}/threads/{thread_id}/stream/events") as socket:

        async def ask(method: str, **params: Any) -> tuple[list[Json], Json]:
            await socket.send(json.dumps({"id": 5, "method": method, "params": params}))
            before: list[Json] = []
            while (found := json.loads(await socket.recv()))["type"] == "event":
                before.append(found)
            assert found.get("id") == 5, found
            return before, found

        _, refused = await ask("subscription.subscribe", channels=["bogus"])
        assert refused["error"] == "invalid_argument"
        _, answer = await ask("subscription.subscribe", channels=["lifecycle"])
        assert answer["result"]["replayed_events"] == 0
        _, started = await ask("run.start", assistant_id="steps", input={"x": 1})
        assert started["result"]["run_id"]
        seen: list[Json] = []
        while not seen or said(seen[-1]) != "completed":
            seen.append(json.loads(await socket.recv()))
        assert [said(envelope) for envelope in seen] == ["running", "completed"]
        replayed, values = await ask("subscription.subscribe", channels=["values"])
        assert methods(replayed) == ["values"] * 3
        assert values["result"]["replayed_events"] == 3
        subscription_id = values["result"]["subscription_id"]
        missed, again = await ask(
            "subscription.reconnect", last_event_id=replayed[1]["event_id"], subscriptions=[subscription_id]
        )
        assert (again["result"], missed) == ({"restored": True, "missed_events": 1}, replayed[2:])
        assert (await ask("subscription.unsubscribe", subscription_id=subscription_id))[1]["result"] == {}
        assert (await ask("subscription.unsubscribe", subscription_id=subscription_id))[1]["error"] == (
            "no_such_subscription"
        )
        await socket.send("no json")
        assert json.loads(await socket.recv())["error"] == "invalid_argument"
