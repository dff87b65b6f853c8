"""Assistants as tools, used with the official client of the Model Context Protocol (contract A.11)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from mcp import Client, MCPError

from langyard.gateway.protocols.mcp import tool_name
from langyard.postgres.rows.assistants import tools_sql
from tests.acceptance.sdk.agents import Agents, serving
from tests.acceptance.sdk.running import failing, steps


def talking() -> StateGraph[MessagesState]:
    """A graph that is talked to."""

    async def reply(state: MessagesState) -> dict[str, Any]:
        said = state["messages"][-1]
        return {"messages": [AIMessage(f"{said.type} said {said.content}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("reply", reply)
    graph.add_edge(START, "reply")
    return graph


@pytest.fixture
async def tools(database: str) -> AsyncIterator[Agents]:
    async with serving(database) as agents:
        agents.app.graphs.register("talking", talking(), description="Answers what it is told.")
        agents.app.graphs.register("steps", steps(), description="Two steps.")
        agents.app.graphs.register("failing", failing(ValueError))
        yield agents


async def call(agents: Agents, method: str, params: Any = None, **headers: str) -> Any:
    message = {"jsonrpc": "2.0", "id": 7, "method": method, **({} if params is None else {"params": params})}
    return (await agents.served.http.post("/mcp", json=message, headers=headers)).json()


async def test_the_official_client_finds_and_calls_tools(tools: Agents):
    assistant = await tools.sdk.assistants.create("talking", name="Talk to me, ü!", description="A friend.")
    async with Client(f"{tools.served.http.base_url}/mcp") as client:
        assert client.server_info is not None
        assert client.server_info.name == "Langyard"
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"talking", "steps", "Talk_to_me_"} <= set(listed)
        friend = listed["Talk_to_me_"]
        assert (friend.title, friend.description) == (assistant["name"], "A friend.")
        assert friend.input_schema["properties"]["messages"] == {
            "type": "string",
            "description": "The user message to send to the agent.",
        }
        assert "$defs" not in friend.input_schema
        assert friend.annotations is not None
        assert friend.annotations.open_world_hint is True
        said: Any = await client.call_tool("Talk_to_me_", {"messages": "good morning"})
        assert not said.is_error
        assert said.structured_content["messages"][-1]["content"] == "human said good morning"
        assert json.loads(said.content[0].text) == said.structured_content
        counted: Any = await client.call_tool("steps", {"x": 1})
        assert counted.structured_content == {"x": 3, "log": ["a", "b"]}
        failed: Any = await client.call_tool("failing", {"x": 1})
        assert failed.is_error
        assert failed.content[0].text == "ValueError: bad value"
        with pytest.raises(MCPError, match="There is no tool named 'nope'"):
            await client.call_tool("nope", {})


async def test_a_call_leaves_nothing_behind(tools: Agents):
    assert (await call(tools, "tools/call", {"name": "steps", "arguments": {"x": 1}}))["result"]["isError"] is False
    assert await tools.sdk.threads.search() == []


async def test_a_question_of_the_graph_is_told(tools: Agents):
    found = (await call(tools, "tools/call", {"name": "ask", "arguments": {"x": 1}}))["result"]
    assert found["isError"] is False
    assert found["structuredContent"]["__interrupt__"][0]["value"]


async def test_names_that_are_not_one_tools(tools: Agents):
    for _ in range(2):
        await tools.sdk.assistants.create("steps", name="twin")
    found = (await call(tools, "tools/call", {"name": "twin"}))["error"]
    assert (found["code"], found["message"]) == (-32602, "More than one tool is named 'twin'.")
    listed = (await call(tools, "tools/list"))["result"]["tools"]
    assert [tool["name"] for tool in listed].count("twin") == 1


async def test_every_assistant_is_found_by_the_name_it_is_listed_with(tools: Agents):
    names = [
        "日本 語",
        "ü",
        "a  b\nc",
        "Kelvin \u212a, ſ, ıİ",
        "x" * 300,
        "-._",
        "\U0001f600" * 200,
        "ÀB",
        "back\\slash'",
    ]
    for name in names:
        await tools.sdk.assistants.create("steps", name=name, metadata={"named": "oddly"})
    assert len({tool_name(name) for name in names}) == len(names) - 2  # three are but an underscore
    listed = {tool["name"]: tool["title"] for tool in (await call(tools, "tools/list"))["result"]["tools"]}
    for name in names:
        told = await call(tools, "tools/call", {"name": tool_name(name), "arguments": {"x": 1}})
        if tool_name(name) == "_":
            assert told["error"]["message"] == "More than one tool is named '_'."
        else:
            assert (told["result"]["isError"], listed[tool_name(name)]) == (False, name)
    for unknown in ("a b", "", "\0", "x" * 129, "steps\0"):
        assert (await call(tools, "tools/call", {"name": unknown}))["error"]["code"] == -32602


@pytest.mark.parametrize("known", [False, True])
async def test_a_tool_is_looked_up_in_an_index(tools: Agents, database: str, known: bool):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into langyard.assistants (assistant_id, graph_id, name) "
            "select gen_random_uuid(), 'steps', case when n % 2 = 0 then 'Untitled' else 'Number ' || n end "
            "from generate_series(1, 20000) n"
        )
        if known:  # else the planner has heard nothing of these rows yet
            connection.execute("vacuum analyze langyard.assistants")
        for name in ("Number_77", "Untitled", "nobody"):
            explain: Any = f"explain (analyze, format json) {tools_sql({})}"
            (plan,) = connection.execute(explain, {"tool": name}).fetchone()  # type: ignore[misc]
            assert "assistants_tool_idx" in json.dumps(plan), plan
            assert "Seq Scan" not in json.dumps(plan), plan
    told = await call(tools, "tools/call", {"name": "Number_19999", "arguments": {"x": 1}})
    assert told["result"]["isError"] is False
    assert "More than one" in (await call(tools, "tools/call", {"name": "Untitled"}))["error"]["message"]


async def test_pages(tools: Agents):
    for number in range(101):
        await tools.sdk.assistants.create("steps", name=f"n{number}")
    first = (await call(tools, "tools/list"))["result"]
    assert (len(first["tools"]), first["nextCursor"]) == (100, "100")
    second = (await call(tools, "tools/list", {"cursor": "100"}))["result"]
    assert "nextCursor" not in second
    assert {tool["name"] for tool in first["tools"] + second["tools"]} >= {f"n{number}" for number in range(101)}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{nope", "Invalid JSON"),
        ("[]", "Invalid message format."),
        ("7", "Invalid message format."),
        ('{"id": 1, "method": "ping"}', "Invalid JSON-RPC message. Missing or invalid jsonrpc version."),
        ('{"jsonrpc": "2.0", "id": 1, "method": 5}', "Invalid message format."),
        ('{"jsonrpc": "2.0", "id": {}, "method": "ping"}', "Invalid message format."),
        ("", "Invalid JSON"),
        (r'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": "\ud800"}}', "Invalid JSON"),
        (
            r'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a\u0000": 1}}',
            "A key in the body has a NUL character, which no store of JSON takes.",
        ),
        ("[" * 101 + "]" * 101, "The body is nested deeper than 100 levels."),
        (
            '{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": ' + '{"a":' * 100 + "1" + "}" * 101,
            "The body is nested deeper than 100 levels.",
        ),
    ],
)
async def test_what_is_no_message_is_400(tools: Agents, body: str, said: str):
    answer = await tools.served.http.post("/mcp", content=body)
    assert (answer.status_code, answer.json()) == (400, {"error": said})


async def test_what_http_refuses_is_refused_as_everywhere(tools: Agents):
    http = tools.served.http
    large = await http.post("/mcp", content=b" " * (8 * 2**20 + 1))
    assert (large.status_code, large.json()["code"]) == (413, "request_too_large")
    form = await http.post("/mcp", content=b"{}", headers={"content-type": "text/plain"})
    assert (form.status_code, form.json()["code"]) == (415, "unsupported_media_type")


async def test_the_transport(tools: Agents):
    http = tools.served.http
    answer = await http.post(
        "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"accept": "text/html"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Accept header must include")
    for message in (
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 4, "result": {}},
    ):
        answer = await http.post("/mcp", json=message)
        assert (answer.status_code, answer.content) == (202, b"")
    assert [(await http.get("/mcp")).status_code, (await http.delete("/mcp")).status_code] == [405, 404]


async def test_methods(tools: Agents):
    assert (await call(tools, "ping")) == {"jsonrpc": "2.0", "id": 7, "result": {}}
    for asked, told in (("2025-03-26", "2025-03-26"), ("1999-01-01", "2025-11-25")):
        found = (await call(tools, "initialize", {"protocolVersion": asked}))["result"]
        assert found["protocolVersion"] == told
        assert found["capabilities"] == {"tools": {"listChanged": False}}
    for method, params, code in (
        ("resources/list", None, -32601),
        ("tools/list", {"cursor": "x"}, -32602),
        ("tools/list", [], -32602),
        ("tools/call", {"name": 7}, -32602),
        ("tools/call", {"name": "steps", "arguments": []}, -32602),
        ("tools/call", {"name": "steps", "arguments": {"x": 1}, "context": "y"}, -32602),
    ):
        assert (await call(tools, method, params))["error"]["code"] == code, method
