"""Assistants through the official SDK: contract A.2, and of section I numbers 22, 23 and 27."""

from __future__ import annotations

from uuid import UUID, uuid4, uuid5

import pytest
from langgraph_sdk.errors import (
    APIStatusError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from tests.acceptance.sdk.agents import Agents

FIELDS = {
    "assistant_id", "graph_id", "config", "context", "metadata", "name", "created_at", "updated_at", "version",
    "description",
}  # fmt: skip
NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


def detail(error: pytest.ExceptionInfo[APIStatusError]) -> str:
    body = error.value.body
    assert isinstance(body, dict)
    return str(body["detail"])


async def test_an_assistant_is_made_read_changed_and_deleted(agents: Agents):
    assistants = agents.sdk.assistants
    made = await assistants.create("echo", metadata={"team": "a"}, name="First", description="Of the first.")
    assert set(made) == FIELDS
    assert made["version"] == 1
    assert made["created_at"].endswith("+00:00")
    assert await assistants.get(made["assistant_id"]) == made

    changed = await assistants.update(made["assistant_id"], metadata={"tier": 2}, graph_id="ask", name="Second")
    assert changed["metadata"] == {"team": "a", "tier": 2}
    assert (changed["graph_id"], changed["name"], changed["version"]) == ("ask", "Second", 2)
    assert changed["description"] == "Of the first."

    assert await assistants.delete(made["assistant_id"]) is None
    with pytest.raises(NotFoundError) as gone:
        await assistants.get(made["assistant_id"])
    assert detail(gone) == "Not Found"
    with pytest.raises(NotFoundError) as gone:
        await assistants.delete(made["assistant_id"])
    assert detail(gone) == f"Assistant with ID {made['assistant_id']} not found"
    with pytest.raises(NotFoundError) as gone:
        await assistants.update(made["assistant_id"], name="x")
    assert detail(gone) == f"Assistant {made['assistant_id']} not found"


async def test_what_cannot_be_made(agents: Agents):
    assistants = agents.sdk.assistants
    with pytest.raises(NotFoundError) as unknown:
        await assistants.create("nope")
    assert detail(unknown).startswith("Graph 'nope' not found. Expected one of: ['ask', ")
    with pytest.raises(BadRequestError) as both:
        await assistants.create("echo", config={"configurable": {"a": 1}}, context={"b": 2})
    assert detail(both).startswith("Cannot specify both configurable and context. Prefer setting context alone.")

    wanted = str(uuid4())
    made = await assistants.create("echo", assistant_id=wanted)
    assert made["assistant_id"] == wanted
    assert made["name"] == "Untitled"
    with pytest.raises(ConflictError) as taken:
        await assistants.create("ask", assistant_id=wanted)
    assert detail(taken) == f"Assistant {wanted} already exists"
    assert await assistants.create("ask", assistant_id=wanted, if_exists="do_nothing") == made

    for body in ({}, {"graph_id": 7}, {"graph_id": "echo", "name": None}, {"graph_id": "echo", "if_exists": "maybe"}):
        answer = await agents.served.http.post("/assistants", json=body)
        assert answer.status_code == 422
        assert isinstance(answer.json()["detail"], str)
    answer = await agents.served.http.post("/assistants", content=b"{")
    assert (answer.status_code, answer.json()["detail"]) == (422, "Invalid JSON in request body")


async def test_what_only_the_server_may_say_is_dropped(agents: Agents):
    made = await agents.sdk.assistants.create(
        "echo",
        config={"configurable": {"langgraph_auth_user": {"identity": "root"}, "__otel_x": 1, "mine": 2}},
        metadata={"run_id": "r", "mine": 3},
    )
    assert made["config"]["configurable"] == made["context"] == {"mine": 2}
    assert made["metadata"] == {"mine": 3}


async def test_i22_a_patch_merges_metadata_replaces_and_mirrors_the_rest_and_makes_a_version(agents: Agents):
    assistants = agents.sdk.assistants
    made = await assistants.create("echo", config={"tags": ["t"], "configurable": {"a": 1}})
    assert made["context"] == {"a": 1}
    wanted = made["assistant_id"]

    second = await assistants.update(wanted, context={"b": 2})
    assert second["context"] == second["config"]["configurable"] == {"b": 2}
    assert second["config"]["tags"] == ["t"]
    third = await assistants.update(wanted, config={"recursion_limit": 9})
    assert third["config"] == {"recursion_limit": 9}
    assert third["context"] == {"b": 2}
    fourth = await assistants.update(wanted, config={"configurable": {"c": 3}}, graph_id="ask")
    assert fourth["context"] == {"c": 3}
    assert [version["version"] for version in await assistants.get_versions(wanted)] == [4, 3, 2, 1]
    newest = (await assistants.get_versions(wanted, limit=1))[0]
    assert "updated_at" not in newest
    assert newest["graph_id"] == "ask"

    back = await assistants.set_latest(wanted, 1)
    assert (back["version"], back["graph_id"], back["context"]) == (1, "echo", {"a": 1})
    assert await assistants.get(wanted) == back
    assert (await assistants.update(wanted, name="five"))["version"] == 5
    with pytest.raises(NotFoundError) as unknown:
        await assistants.set_latest(wanted, 99)
    assert detail(unknown) == f"Version 99 not found for assistant {wanted}"
    with pytest.raises(NotFoundError):
        await assistants.get_versions(str(uuid4()))


async def test_i23_a_system_assistant_has_the_graphs_own_id_and_its_name_only_where_that_may_stand(agents: Agents):
    wanted = str(uuid5(NAMESPACE, "parent"))
    first = (await agents.sdk.assistants.search(graph_id="parent"))[0]
    found = await agents.sdk.assistants.get(wanted)
    assert found == first
    assert found["metadata"] == {"created_by": "system"}
    assert found["name"] == "parent"
    assert found["description"] == "What parent does."
    assert (await agents.sdk.assistants.get_graph("parent"))["nodes"]
    for path in ("", "/schemas", "/subgraphs"):
        answer = await agents.served.http.get(f"/assistants/parent{path}")
        assert (answer.status_code, answer.json()["detail"]) == (422, "Invalid assistant ID: must be a UUID")


async def test_a_changed_system_assistant_is_no_longer_the_one_in_memory(agents: Agents):
    assistants = agents.app.assistants
    before = await assistants.resolve("echo")
    await agents.sdk.assistants.update(str(before.assistant_id), context={"a": 1})
    assert (await assistants.resolve("echo")).context == {"a": 1}
    await assistants.open()
    assert (await assistants.resolve("echo")).version == 2
    await agents.sdk.assistants.delete(str(before.assistant_id))
    with pytest.raises(NotFoundError):
        await agents.sdk.assistants.get(str(before.assistant_id))
    await assistants.open()
    assert (await assistants.resolve("echo")).version == 1


async def test_i27_the_search_header_is_no_total(agents: Agents):
    assistants = agents.sdk.assistants
    for number in range(5):
        await assistants.create("echo", name=f"Nr {number}", metadata={"set": {"of": "five"}, "number": number})
    page = await assistants.search(metadata={"set": {"of": "five"}}, limit=2, offset=1, response_format="object")
    assert [row["name"] for row in page["assistants"]] == ["Nr 3", "Nr 2"]
    assert page["next"] == "3"
    body = {"metadata": {"set": {"of": "five"}}, "limit": 2}
    for offset, total, more in ((0, "3", "2"), (2, "5", "4"), (4, "5", None), (9, "9", None)):
        answer = await agents.served.http.post("/assistants/search", json={**body, "offset": offset})
        assert answer.headers["x-pagination-total"] == total
        assert answer.headers.get("x-pagination-next") == more
    assert await assistants.count(metadata={"set": {"of": "five"}}) == 5
    assert await assistants.count(name="nR 3") == 1
    assert await assistants.count(name="%") == 0
    named = await assistants.search(name="nr", sort_by="name", sort_order="asc", select=["name", "version"])
    assert named == [{"name": f"Nr {number}", "version": 1} for number in range(5)]
    with pytest.raises(UnprocessableEntityError):
        await assistants.search(select=["secrets"])
    with pytest.raises(UnprocessableEntityError):
        await assistants.search(limit=1001)


async def test_graphs_and_schemas(agents: Agents):
    assistants = agents.sdk.assistants
    drawing = await assistants.get_graph("branching")
    assert [node["id"] for node in drawing["nodes"]] == ["__start__", "a", "b", "c", "__end__"]
    assert {"source": "a", "target": "b", "conditional": True} in drawing["edges"]
    opened = await assistants.get_graph("parent", xray=True)
    assert "child:inner1" in [node["id"] for node in opened["nodes"]]
    assert "child" in [node["id"] for node in (await assistants.get_graph("parent"))["nodes"]]
    for wrong in ("0", "-1", "maybe"):
        answer = await agents.served.http.get(f"/assistants/parent/graph?xray={wrong}")
        assert (answer.status_code, answer.json()["detail"]) == (422, "Invalid xray value")

    wanted = str(uuid5(NAMESPACE, "parent"))
    schemas = await assistants.get_schemas(wanted)
    assert set(schemas) == {
        "graph_id", "input_schema", "output_schema", "state_schema", "config_schema", "context_schema",
    }  # fmt: skip
    assert "x" in schemas["state_schema"]["properties"]
    subgraphs = await assistants.get_subgraphs(wanted, recurse=True)
    assert set(subgraphs) == {"child"}
    assert "inner" in subgraphs["child"]["state_schema"]["properties"]
    assert await assistants.get_subgraphs(wanted, namespace="child") == {"child": subgraphs["child"]}
    assert await assistants.get_subgraphs(wanted, namespace="nobody") == {}


async def test_a_factory_is_asked_with_the_assistants_configuration(agents: Agents):
    assistants = agents.sdk.assistants
    one = await assistants.create("factory", context={"node": "one"})
    two = await assistants.create("factory", config={"configurable": {"node": "two"}})
    for assistant, node in ((one, "one"), (two, "two")):
        drawing = await assistants.get_graph(assistant["assistant_id"])
        assert node in [found["id"] for found in drawing["nodes"]]
    broken = await assistants.create("factory", context={"node": "broken"})
    for path in ("graph", "schemas", "subgraphs"):
        answer = await agents.served.http.get(f"/assistants/{broken['assistant_id']}/{path}")
        assert answer.status_code == 424
        assert "hunter2" not in answer.text


async def test_deleting_an_assistant_stops_its_runs_and_takes_its_threads_if_wanted(agents: Agents):
    made = await agents.sdk.assistants.create("gate")
    thread = await agents.sdk.threads.create()
    other = await agents.sdk.threads.create()
    assistant_id = UUID(made["assistant_id"])
    run_id = await agents.start("gate", thread["thread_id"], {"input": {}}, assistant_id=assistant_id)
    await agents.served.gate.reached()
    agents.served.gate.open.set()
    await agents.sdk.assistants.delete(made["assistant_id"], delete_threads=True)
    with pytest.raises(NotFoundError):
        await agents.sdk.threads.get(thread["thread_id"])
    assert (await agents.sdk.threads.get(other["thread_id"]))["thread_id"] == other["thread_id"]
    assert await agents.app.database.fetch("select 1 from langyard.runs where run_id = %(id)s", {"id": run_id}) == []
