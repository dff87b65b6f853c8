"""Assistants as agents, talked to with the official client of A2A in version 1.0, and by hand in version 0.3 (A.12)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, create_client
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    TaskState,
)
from a2a.utils.errors import TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from langyard.assistants import system_id
from tests.acceptance.sdk.agents import Agents, serving
from tests.acceptance.sdk.running import failing, steps


def talking() -> StateGraph[MessagesState]:
    """A graph that is talked to, and answers word by word."""

    async def reply(state: MessagesState) -> dict[str, Any]:
        text = f"you said {state['messages'][-1].text}"
        model = GenericFakeChatModel(messages=iter([AIMessage(text)]))
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("reply", reply)
    graph.add_edge(START, "reply")
    return graph


def careful() -> StateGraph[MessagesState]:
    """A graph that asks before it answers."""

    async def reply(state: MessagesState) -> dict[str, Any]:
        answer = interrupt("are you sure?")
        return {"messages": [AIMessage(f"sure: {answer}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("reply", reply)
    graph.add_edge(START, "reply")
    return graph


@pytest.fixture
async def friends(database: str) -> AsyncIterator[Agents]:
    async with serving(database) as agents:
        made = {"talking": talking(), "careful": careful(), "steps": steps(), "failing": failing(ValueError)}
        for name, graph in made.items():
            agents.app.graphs.register(name, graph, description=f"What {name} does.")
        await agents.sdk.assistants.search()
        yield agents


async def client_of(agents: Agents, graph_id: str, *, streaming: bool = False) -> Client:
    base = f"{agents.served.http.base_url}/a2a/{system_id(graph_id)}"
    http = httpx.AsyncClient(timeout=30, trust_env=False)
    card = await A2ACardResolver(http, base).get_agent_card()
    assert card.name == graph_id
    return await create_client(card, ClientConfig(streaming=streaming, httpx_client=http))


def text(said: str, **more: Any) -> SendMessageRequest:
    message = Message(message_id=str(uuid4()), role=Role.ROLE_USER, parts=[Part(text=said)], **more)
    return SendMessageRequest(message=message)


async def sent(client: Client, request: SendMessageRequest) -> list[StreamResponse]:
    return [event async for event in client.send_message(request)]


async def test_a_message_is_answered(friends: Agents):
    client = await client_of(friends, "talking")
    (event,) = await sent(client, text("good day"))
    task = event.task
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert task.artifacts[0].name == "Assistant Response"
    assert task.artifacts[0].parts[0].text == "you said good day"
    assert [(one.role, one.parts[0].text) for one in task.history] == [
        (Role.ROLE_USER, "good day"),
        (Role.ROLE_AGENT, "you said good day"),
    ]
    assert task.id.startswith(f"{UUID(task.context_id)}:")
    # The same context goes on with what was said before.
    (event,) = await sent(client, text("again", context_id=task.context_id))
    assert event.task.context_id == task.context_id
    assert len(event.task.history) == 4
    got = await client.get_task(GetTaskRequest(id=event.task.id, history_length=1))
    assert [one.parts[0].text for one in got.history] == ["you said again"]
    listed = await client.list_tasks(ListTasksRequest(context_id=task.context_id, page_size=1))
    assert [one.id for one in listed.tasks] == [event.task.id]
    rest = await client.list_tasks(ListTasksRequest(context_id=task.context_id, page_token=listed.next_page_token))
    assert [one.id for one in rest.tasks] == [task.id]
    await client.close()


async def test_a_message_is_streamed(friends: Agents):
    client = await client_of(friends, "talking", streaming=True)
    events = await sent(client, text("one two three"))
    kinds = [event.WhichOneof("payload") for event in events]
    assert kinds[0] == "task"
    assert events[0].task.status.state == TaskState.TASK_STATE_SUBMITTED
    assert kinds[-2:] == ["artifact_update", "status_update"]
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
    assert events[-2].artifact_update.artifact.parts[0].text == "you said one two three"
    working = [event.status_update.status for event in events[1:-2]]
    assert {status.state for status in working} == {TaskState.TASK_STATE_WORKING}
    texts = [status.message.parts[0].text for status in working if status.message.parts]
    assert all("you said one two three".startswith(said) for said in texts)
    await client.close()


async def test_a_question_is_answered_on_its_task(friends: Agents):
    client = await client_of(friends, "careful")
    (event,) = await sent(client, text("do it"))
    task = event.task
    assert task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    assert task.status.message.parts[0].text == "are you sure?"
    (event,) = await sent(client, text("quite", task_id=task.id, context_id=task.context_id))
    assert event.task.status.state == TaskState.TASK_STATE_COMPLETED
    assert event.task.artifacts[0].parts[0].text == "sure: quite"
    with pytest.raises(UnsupportedOperationError):
        await sent(client, text("more", task_id=event.task.id))
    await client.close()


async def test_a_failure_is_a_failed_task(friends: Agents):
    client = await client_of(friends, "failing")
    message = Message(message_id="m", role=Role.ROLE_USER)
    message.parts.add().data.struct_value.update({"x": 1})
    (event,) = await sent(client, SendMessageRequest(message=message))
    assert event.task.status.state == TaskState.TASK_STATE_FAILED
    assert event.task.status.message.parts[0].text == "ValueError: bad value"
    await client.close()


async def test_a_task_is_stopped_once(friends: Agents):
    client = await client_of(friends, "gate")
    message = Message(message_id="m", role=Role.ROLE_USER)
    message.parts.add().data.struct_value.update({"x": 1})
    request = SendMessageRequest(message=message, configuration=SendMessageConfiguration(return_immediately=True))
    (event,) = await sent(client, request)
    await friends.served.gate.reached()
    assert event.task.status.state in (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)
    stopped = await client.cancel_task(CancelTaskRequest(id=event.task.id))
    assert stopped.status.state == TaskState.TASK_STATE_CANCELED
    with pytest.raises(TaskNotCancelableError):
        await client.cancel_task(CancelTaskRequest(id=event.task.id))
    for missing in ("nonsense", f"{uuid4()}:{uuid4()}"):
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id=missing))
    await client.close()


async def ask(agents: Agents, graph_id: str, method: str, params: Any, **headers: str) -> Any:
    body = {"jsonrpc": "2.0", "id": "c", "method": method, "params": params}
    answer = await agents.served.http.post(f"/a2a/{system_id(graph_id)}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(text: str, **more: Any) -> dict[str, Any]:
    message = {"kind": "message", "messageId": "m1", "role": "user", "parts": [{"kind": "text", "text": text}]}
    return {"message": {**message, **more}}


async def test_version_0_3(friends: Agents):
    task = (await ask(friends, "talking", "message/send", said("hello")))["result"]
    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    assert [one["role"] for one in task["history"]] == ["user", "agent"]
    assert task["artifacts"][0]["parts"] == [{"kind": "text", "text": "you said hello"}]
    got = (await ask(friends, "talking", "tasks/get", {"id": task["id"]}))["result"]
    assert got["history"] == task["history"]
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": said("a b")}
    path = f"/a2a/{system_id('talking')}"
    answer = await friends.served.http.post(path, json=body, headers={"accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:])["result"] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [events[0]["kind"], events[-1]["kind"]] == ["task", "status-update"]
    assert (events[-1]["final"], events[-1]["status"]["state"]) == (True, "completed")
    assert all(not event.get("final") for event in events[:-1])
    assert (await friends.served.http.post(path, json=body, headers={"accept": "application/json"})).status_code == 400


async def test_a_stream_is_joined_again(friends: Agents):
    params = said("x", parts=[{"kind": "data", "data": {}}]) | {"configuration": {"blocking": False}}
    task = (await ask(friends, "gate", "message/send", params))["result"]
    await friends.served.gate.reached()
    body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/resubscribe", "params": {"id": task["id"]}}
    joining = asyncio.create_task(friends.served.http.post(f"/a2a/{system_id('gate')}", json=body))
    async with asyncio.timeout(20):
        while friends.app.bus.open_readers == 0:  # noqa: ASYNC110 - a reader is not announced
            await asyncio.sleep(0.01)
    friends.served.gate.open.set()
    assert '"final":true' in (await joining).text
    assert (await ask(friends, "gate", "tasks/resubscribe", {"id": task["id"]}))["error"]["code"] == -32004


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("nope", {}, -32601),
        ("message/send", {}, -32602),
        ("message/send", {"message": {"parts": []}}, -32602),
        ("message/send", {"message": {"parts": [{"kind": "data", "data": 5}]}}, -32602),
        ("message/send", {"message": {"parts": [{"kind": "file", "file": {}}]}}, -32602),
        ("SendMessage", {"message": {"parts": [{"text": "x"}], "contextId": "no-uuid"}}, -32602),
        ("SendMessage", {"message": {"parts": [{"text": "x"}]}}, -32602),
        ("SendMessage", {"message": {"parts": [{"text": "x"}], "taskId": "gone"}}, -32001),
        ("GetTask", {"id": 7}, -32001),
        ("ListTasks", {}, -32602),
        ("ListTasks", {"contextId": str(uuid4()), "pageSize": 101}, -32602),
        ("ListTasks", {"contextId": str(uuid4()), "pageToken": "x"}, -32602),
        ("CreateTaskPushNotificationConfig", {}, -32003),
        ("tasks/pushNotificationConfig/set", {}, -32003),
        ("GetTask", [], -32602),
    ],
)
async def test_what_cannot_be(friends: Agents, method: str, params: Any, code: int):
    assert (await ask(friends, "steps", method, params))["error"]["code"] == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (r'{"data": {"a": "\ud800"}}', -32700),
        (r'{"data": {"a\u0000": 1}}', -32600),
        ('{"data": {"a": ' + "[" * 100 + "]" * 100 + "}}", -32600),
    ],
)
async def test_what_no_other_route_takes_is_not_taken_here(friends: Agents, data: str, code: int):
    body = (
        '{"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {"messageId": "m", "role": '
        f'"ROLE_USER", "parts": [{data}]}}}}}}'
    )
    answer = await friends.served.http.post(f"/a2a/{system_id('steps')}", content=body)
    assert (answer.status_code, answer.json()["id"], answer.json()["error"]["code"]) == (200, None, code)
    form = {"content-type": "text/plain"}
    assert (
        await friends.served.http.post(f"/a2a/{system_id('steps')}", content=b"{}", headers=form)
    ).status_code == 415
    assert (await friends.sdk.threads.count()) == 0


async def test_cards_and_the_transport(friends: Agents):
    http, path = friends.served.http, f"/a2a/{system_id('talking')}"
    card = (await http.get(path)).json()
    for place in (f"{path}/.well-known/agent-card.json", f"{path}/.well-known/agent.json", "/a2a/talking"):
        assert (await http.get(place)).json() == card
    query = {"assistant_id": str(system_id("talking"))}
    assert (await http.get("/.well-known/agent-card.json", params=query)).json() == card
    assert card["description"] == "What talking does."
    assert card["url"] == card["supportedInterfaces"][0]["url"] == f"{http.base_url}{path}"
    assert card["capabilities"]["streaming"] is True
    missing = await http.get("/.well-known/agent-card.json")
    assert (missing.status_code, missing.json()["error"]["code"]) == (400, -32602)
    assert (await http.get(f"/a2a/{uuid4()}")).status_code == 404
    assert (
        await http.post(f"/a2a/{uuid4()}", json={"jsonrpc": "2.0", "id": 1, "method": "GetTask"})
    ).status_code == 404
    assert (await http.delete(path)).status_code == 405
    assert (await http.post(path, content="{nope")).json()["error"]["code"] == -32700
    assert (await http.post(path, json=[])).json()["error"]["code"] == -32600
    extended = (await ask(friends, "talking", "GetExtendedAgentCard", {}))["result"]
    assert extended == card
