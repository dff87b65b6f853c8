"""What a stream says: its framing byte by byte, and every mode as clients know it (contract A.5)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running

HI = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database, heartbeat_seconds=0.05) as found:
        yield found


async def streamed(agents: Agents, graph: str, modes: Any, **asked: Any) -> list[tuple[str, Any]]:
    """The events of a stateless run but for the first and the last, which are always the same."""
    found = [(part.event, part.data) async for part in agents.sdk.runs.stream(None, graph, stream_mode=modes, **asked)]
    assert found[0][0] == "metadata"
    assert found[-1][0] == "end"
    return found[1:-1]


async def raw(agents: Agents, path: str, **body: Any) -> tuple[dict[str, str], str]:
    response = await agents.served.http.post(path, json=body)
    return dict(response.headers), response.text


async def test_i08_lines_end_in_crlf_and_ids_come_after_data_of_resumable_streams_only(agents: Agents):
    asked = {"assistant_id": "steps", "input": {"x": 1}, "stream_mode": ["values"]}
    headers, text = await raw(agents, "/runs/stream", **asked)
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    for event in told(text):
        assert re.fullmatch(r"event: \S+\r\ndata: [^\r\n]+", event)
    assert text.replace("\r\n", "").count("\n") == 0
    _, text = await raw(agents, "/runs/stream", **asked, stream_resumable=True)
    for event in told(text):
        assert re.fullmatch(r"event: \S+\r\ndata: [^\r\n]+\r\nid: \d+-\d+", event)


def told(text: str) -> list[str]:
    """The events of a stream's text, without the comments that a slow machine has time for."""
    return [event for event in text.removesuffix("\r\n\r\n").split("\r\n\r\n") if event != ": heartbeat"]


async def test_i08_silence_is_filled_with_comments(agents: Agents):
    _, text = await raw(agents, "/runs/stream", assistant_id="sleeping", input={"x": 400}, stream_mode="updates")
    assert text.count(": heartbeat\r\n\r\n") >= 2


async def test_i05_locations(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    headers, text = await raw(agents, f"/threads/{thread_id}/runs/stream", assistant_id="steps", input={"x": 1})
    run_id = json.loads(text.split("data: ")[1].split("\r\n")[0])["run_id"]
    assert headers["content-location"] == f"/threads/{thread_id}/runs/{run_id}"
    assert headers["location"] == f"/threads/{thread_id}/runs/{run_id}/stream"
    headers, text = await raw(agents, f"/threads/{thread_id}/runs/wait", assistant_id="steps", input={"x": 1})
    assert re.fullmatch(rf"/threads/{thread_id}/runs/[0-9a-f-]+", headers["content-location"])
    assert headers["location"] == headers["content-location"] + "/join"
    headers, text = await raw(agents, "/runs/stream", assistant_id="steps", input={"x": 1})
    assert re.fullmatch(r"/runs/[0-9a-f-]+", headers["content-location"])
    assert headers["location"] == headers["content-location"] + "/stream"
    headers, text = await raw(agents, f"/threads/{thread_id}/runs", assistant_id="steps", input={"x": 1})
    assert headers["content-location"] == f"/threads/{thread_id}/runs/{json.loads(text)['run_id']}"


async def test_values_are_the_default(agents: Agents):
    _, text = await raw(agents, "/runs/stream", assistant_id="steps", input={"x": 1})
    assert re.findall(r"event: (\S+)", text) == ["metadata", "values", "values", "values", "end"]
    _, text = await raw(agents, "/runs/stream", assistant_id="steps", input={"x": 1}, stream_mode=[])
    assert re.findall(r"event: (\S+)", text) == ["metadata", "values", "values", "values", "end"]


async def test_custom_events_go_out_as_they_are(agents: Agents):
    assert await streamed(agents, "narrating", "custom", input={"x": 1}) == [("custom", {"n": 1}), ("custom", "two")]


async def test_tasks_and_checkpoints_come_once_each_and_before_their_debug_twins(agents: Agents):
    found = await streamed(agents, "steps", ["debug", "tasks"], input={"x": 1})
    kinds = [(name, data.get("type"), data.get("name") or data["payload"].get("name")) for name, data in found]
    assert [kind for kind in kinds if kind[1] != "checkpoint"] == [
        ("tasks", None, "a"), ("debug", "task", "a"), ("tasks", None, "a"), ("debug", "task_result", "a"),
        ("tasks", None, "b"), ("debug", "task", "b"), ("tasks", None, "b"), ("debug", "task_result", "b"),
    ]  # fmt: skip
    start, end = (data for name, data in found if name == "tasks" and data["name"] == "a")
    assert {"id", "name", "input", "triggers"} <= start.keys()
    assert {"id", "name", "error", "result", "interrupts"} <= end.keys()


async def test_checkpoints_and_their_debug_form(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    parts = agents.sdk.runs.stream(thread_id, "steps", input={"x": 1}, stream_mode=["checkpoints", "debug"])
    found = [(part.event, part.data) async for part in parts]
    one = next(data for name, data in found if name == "checkpoints")
    assert {"config", "parent_config", "values", "metadata", "next", "tasks"} <= one.keys()
    assert {"source", "step", "parents"} <= one["metadata"].keys()
    debug = [data["payload"] for name, data in found if name == "debug" and data["type"] == "checkpoint"]
    assert debug[0]["parent_checkpoint"] is None
    assert debug[1]["parent_checkpoint"] == debug[0]["checkpoint"]
    assert debug[0]["checkpoint"]["thread_id"] == thread_id
    assert set(debug[0]["checkpoint"]) == {"checkpoint_id", "thread_id", "checkpoint_ns"}


async def test_i12_messages_tuple_goes_out_as_messages_in_pieces(agents: Agents):
    found = await streamed(agents, "speaking", "messages-tuple", input=HI)
    assert {name for name, _ in found} == {"messages"}
    assert "".join(chunk["content"] for _, (chunk, _) in found) == "hello brave new world"
    assert {chunk["type"] for _, (chunk, _) in found} == {"AIMessageChunk"}
    assert found[-1][1][0].get("chunk_position") == "last"
    metadata = found[0][1][1]
    assert metadata["langgraph_node"] == "speak"
    assert {"graph_id", "assistant_id", "run_id", "thread_id", "langgraph_step", "langgraph_checkpoint_ns"} <= set(
        metadata
    )
    assert not [key for key in metadata if key.startswith("__")]


async def test_i12_messages_in_the_older_form_are_cumulative(agents: Agents):
    found = await streamed(agents, "speaking", "messages", input=HI)
    [first, *rest] = found
    assert first[0] == "messages/metadata"
    [(message_id, about)] = first[1].items()
    assert about["metadata"]["langgraph_node"] == "speak"
    assert {name for name, _ in rest} == {"messages/partial"}
    texts = [data[0]["content"] for _, data in rest]
    assert texts[-1] == "hello brave new world"
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert {(data[0]["type"], data[0]["id"]) for _, data in rest} == {("ai", message_id)}


@pytest.mark.parametrize("modes", [["messages", "messages-tuple"], ["messages-tuple", "messages"]])
async def test_i12_both_forms_together_are_the_newer_one(agents: Agents, modes: list[str]):
    assert {name for name, _ in await streamed(agents, "speaking", modes, input=HI)} == {"messages"}


async def test_i13_a_subgraph_is_silent_unless_it_is_asked_for(agents: Agents):
    found = await streamed(agents, "nested", ["messages-tuple", "custom"], input=HI)
    assert [name for name, _ in found] == ["messages"]
    assert found[0][1][0]["content"] == "hello brave new world"
    assert found[0][1][0]["type"] == "ai"
    found = await streamed(agents, "nested", "messages", input=HI)
    assert [name for name, _ in found] == ["messages/metadata", "messages/complete"]


async def test_i13_with_subgraphs_their_events_carry_where_they_are_from(agents: Agents):
    modes = ["messages-tuple", "custom", "values", "updates"]
    found = await streamed(agents, "nested", modes, stream_subgraphs=True, input=HI)
    names = [name for name, _ in found]
    inner = {name for name in names if "|" in name}
    assert all(re.fullmatch(r"\w+\|kid:[0-9a-f-]{36}", name) for name in inner)
    assert {name.partition("|")[0] for name in inner} == {"messages", "custom", "values", "updates"}
    assert [data for name, data in found if name.startswith("custom|")] == [{"kid": "tells"}]
    pieces = [data[0]["content"] for name, data in found if name.startswith("messages|")]
    assert "".join(pieces) == "hello brave new world"


async def test_events_are_those_of_langchain_with_other_modes_among_them(agents: Agents):
    found = await streamed(agents, "speaking", ["events", "updates", "values"], input=HI)
    kinds = {data["event"] for name, data in found if name == "events"}
    assert {"on_chain_start", "on_chain_end", "on_chat_model_stream"} <= kinds
    [update] = [data for name, data in found if name == "updates"]
    assert update["speak"]["messages"][0]["content"] == "hello brave new world"
    assert len([name for name, _ in found if name == "values"]) == 2


async def test_modes_that_have_nothing_to_say_are_tolerated_and_others_are_not(agents: Agents):
    assert [name for name, _ in await streamed(agents, "steps", ["updates", "tools", "lifecycle"], input={"x": 1})] == [
        "updates",
        "updates",
    ]
    answer = await agents.served.http.post("/runs/stream", json={"assistant_id": "steps", "stream_mode": ["bogus"]})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


async def test_i14_i15_interrupts_in_streams(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    parts = agents.sdk.runs.stream(thread_id, "asking", input={"x": 1}, stream_mode=["values", "updates"])
    found = [(part.event, part.data) async for part in parts]
    asked = found[-2][1]["__interrupt__"]
    assert found[-2][0] == "values"
    assert found[-2][1]["x"] == 2
    assert asked == [{"value": {"question": "ok?"}, "id": asked[0]["id"], "response_schema": None}]
    assert re.fullmatch("[0-9a-f]{32}", asked[0]["id"])
    assert ("updates", {"__interrupt__": asked}) in found
    thread = await agents.sdk.threads.get(thread_id)
    [waiting] = thread["interrupts"].values()
    assert waiting == [{"value": {"question": "ok?"}, "id": asked[0]["id"]}]
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    parts = agents.sdk.runs.stream(
        thread_id, "steps", input={"x": 1}, stream_mode=["values", "updates"], interrupt_before=["b"]
    )
    found = [(part.event, part.data) async for part in parts]
    assert ("updates", {"__interrupt__": []}) in found
    assert not [data for name, data in found if name == "values" and "__interrupt__" in data]


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        ("value-error", {"error": "ValueError", "message": "bad value"}),
        ("own-error", {"error": "OwnError", "message": "An internal error occurred"}),
    ],
)
async def test_i33_an_error_is_told_once_and_masked_unless_its_type_is_known(
    agents: Agents, graph: str, told: dict[str, str]
):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    parts = agents.sdk.runs.stream(thread_id, graph, input={"x": 1}, stream_mode="updates")
    found = [(part.event, part.data) async for part in parts]
    assert [name for name, _ in found][:2] == ["metadata", "error"]
    assert found[1][1] == told
    thread = await agents.sdk.threads.get(thread_id)
    assert (thread["status"], thread["error"]) == ("error", told)
    assert await agents.sdk.runs.wait(thread_id, graph, input={}, raise_error=False) == {"__error__": told}
    with pytest.raises(Exception, match=told["message"]):
        await agents.sdk.runs.wait(thread_id, graph, input={})


async def test_parts_of_the_second_version(agents: Agents):
    found = [
        part async for part in agents.sdk.runs.stream(None, "steps", input={"x": 1}, stream_mode="values", version="v2")
    ]
    assert [part["type"] for part in found if part["type"] != "metadata"] == ["values", "values", "values"]
