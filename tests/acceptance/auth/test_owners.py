"""Contract section F and I34 with the SDK's own pattern: what one user makes, no other sees, whatever is asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from langgraph_sdk.errors import APIStatusError

from tests.acceptance.auth.serving import Guarded, guarded


@pytest.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(database, tmp_path) as found:
        yield found


async def status(asked: Any) -> int:
    """How it was refused."""
    with pytest.raises((APIStatusError, httpx.HTTPStatusError)) as caught:
        await asked
    return caught.value.response.status_code


async def test_i34_threads_are_their_makers(server: Guarded):
    ada, bob = server.sdk("ada"), server.sdk("bob")
    thread = await ada.threads.create(metadata={"topic": "engines"})
    assert thread["metadata"] == {"topic": "engines", "owner": "ada"}
    thread_id = thread["thread_id"]
    assert (await ada.threads.get(thread_id))["thread_id"] == thread_id
    assert await status(bob.threads.get(thread_id)) == 404
    assert await status(bob.threads.get_state(thread_id)) == 404
    assert await status(bob.threads.get_history(thread_id)) == 404
    assert await status(bob.threads.update(thread_id, metadata={"owner": "bob"})) == 404
    assert await status(bob.threads.update_state(thread_id, {"x": 1})) == 404
    assert await status(bob.threads.copy(thread_id)) == 409
    assert await status(bob.threads.delete(thread_id)) == 404
    assert await status(bob.threads.create(thread_id=thread_id, if_exists="do_nothing")) == 409
    assert await status(bob.runs.list(thread_id)) == 404
    assert (await bob.threads.search(), await bob.threads.count()) == ([], 0)
    assert [found["thread_id"] for found in await ada.threads.search()] == [thread_id]
    assert await ada.threads.count() == 1
    assert (await ada.threads.create(thread_id=thread_id, if_exists="do_nothing"))["thread_id"] == thread_id
    await ada.threads.delete(thread_id)


async def test_a_foreign_thread_is_told_of_like_a_missing_one(server: Guarded):
    ada, http = server.sdk("ada"), server.served.http
    foreign, missing = (await ada.threads.create())["thread_id"], str(uuid4())
    for path in ("", "/state", "/history", "/runs", f"/runs/{uuid4()}", f"/runs/{uuid4()}/join"):
        answers = []
        for thread_id in (foreign, missing):
            answer = await http.get(f"/threads/{thread_id}{path}", headers=server.as_user("bob"))
            answers.append((answer.status_code, answer.text.replace(thread_id, "T")))
        assert answers[0] == answers[1], path
        assert answers[0][0] == 404


async def test_i34_a_run_needs_the_thread_and_the_assistant(server: Guarded):
    ada, bob = server.sdk("ada"), server.sdk("bob")
    thread_id = (await ada.threads.create())["thread_id"]
    assistant = await ada.assistants.create("look")
    assert assistant["metadata"] == {"owner": "ada"}
    assert await status(bob.runs.create(thread_id, "look", input={})) == 404
    assert await status(bob.runs.wait(thread_id, "look", input={})) == 404
    assert await status(bob.runs.create(None, assistant["assistant_id"], input={})) == 404
    assert await status(bob.runs.create(thread_id, "look", input={}, if_not_exists="create")) == 404
    found = await ada.runs.wait(thread_id, assistant["assistant_id"], input={"x": 1})
    assert found["x"] == 2
    run = (await ada.runs.list(thread_id))[0]
    assert run["metadata"]["owner"] == "ada"
    assert await status(bob.runs.get(thread_id, run["run_id"])) == 404
    assert await status(bob.runs.cancel(thread_id, run["run_id"])) == 404
    assert await status(bob.runs.delete(thread_id, run["run_id"])) == 404


async def test_regression_12_a_thread_made_by_a_run_is_its_makers(server: Guarded):
    ada, bob = server.sdk("ada"), server.sdk("bob")
    thread_id = str(uuid4())
    await ada.runs.wait(thread_id, "look", input={}, if_not_exists="create")
    assert (await ada.threads.get(thread_id))["metadata"]["owner"] == "ada"
    assert await status(bob.runs.wait(thread_id, "look", input={}, if_not_exists="create")) == 404
    assert await status(bob.threads.get(thread_id)) == 404


async def test_regression_13_an_assistant_of_another_runs_for_nobody_else(server: Guarded):
    ada, bob = server.sdk("ada"), server.sdk("bob")
    assistant_id = (await ada.assistants.create("look", config={"configurable": {"key": "hers"}}))["assistant_id"]
    for asked in (
        bob.assistants.get(assistant_id), bob.assistants.get_schemas(assistant_id),
        bob.assistants.get_versions(assistant_id), bob.assistants.update(assistant_id, name="mine"),
        bob.assistants.set_latest(assistant_id, 1), bob.assistants.delete(assistant_id),
        bob.runs.wait(None, assistant_id, input={}), bob.crons.create(assistant_id, schedule="0 0 1 1 *"),
    ):  # fmt: skip
        assert await status(asked) == 404
    assert assistant_id not in [found["assistant_id"] for found in await bob.assistants.search()]
    assert (await ada.assistants.get(assistant_id))["name"] == "Untitled"


async def test_the_graph_knows_its_user(server: Guarded):
    ada = server.sdk("ada")
    seen = (await ada.runs.wait(None, "look", input={}))["seen"]
    assert seen["identity"] == seen["server_info"] == "ada"
    assert seen["org"] == "acme"
    assert seen["user"] == {
        "identity": "ada", "permissions": ["p:ada"], "org": "acme", "is_authenticated": True, "display_name": "ada",
    }  # fmt: skip
    assert seen["configurable"]["langgraph_auth_user_id"] == seen["configurable"]["user_id"] == "ada"
    assert seen["configurable"]["langgraph_auth_permissions"] == ["p:ada"]
    UUID(seen["configurable"]["langgraph_request_id"])
    run = await ada.runs.create(None, "look", input={}, after_seconds=3600)
    assert run["kwargs"]["config"]["configurable"]["langgraph_auth_user"] == {
        "identity": "ada", "permissions": ["p:ada"], "is_authenticated": True, "display_name": "ada",
    }, "what authenticate put beside them is for the graph alone"  # fmt: skip
    made = (await ada.runs.wait(None, "made", input={}))["seen"]
    assert made == {"made_for": "ada", "access": "threads.create_run"}


async def test_a_factory_knows_its_user_whatever_it_is_asked_for(server: Guarded):
    ada = server.sdk("ada")
    thread_id = (await ada.threads.create())["thread_id"]
    assistant_id = (await ada.assistants.create("made"))["assistant_id"]
    await ada.runs.wait(thread_id, assistant_id, input={})
    await ada.threads.get_state(thread_id)
    await ada.threads.update_state(thread_id, {"x": 1}, as_node="tell")
    await ada.assistants.get_schemas(assistant_id)
    factory: Any = server.app.graphs.get("made")._factory
    known = [found for found in factory.call.__globals__["accesses"] if found[1] is not None]
    assert {access for access, _, _ in known} == {
        "threads.create_run", "threads.read", "threads.update", "assistants.read",
    }  # fmt: skip
    assert {found[1:] for found in known} == {("ada", "ada")}


async def test_i35_nobody_pretends_to_be_another(server: Guarded):
    reserved = {"langgraph_auth_user": {"identity": "bob"}, "langgraph_auth_user_id": "bob", "user_id": "bob"}
    ada = server.sdk("ada")
    seen = (await ada.runs.wait(None, "look", input={}, config={"configurable": reserved}))["seen"]
    assert (
        seen["identity"] == seen["configurable"]["langgraph_auth_user_id"] == seen["configurable"]["user_id"] == "ada"
    )


async def test_the_store_is_scoped_by_its_handler(server: Guarded):
    ada, bob = server.sdk("ada"), server.sdk("bob")
    await ada.store.put_item(["notes"], "first", {"text": "hers"})
    assert await bob.store.get_item(["notes"], "first") is None
    found = await ada.store.get_item(["notes"], "first")
    assert (found["namespace"], found["value"]) == (["ada", "notes"], {"text": "hers"})
    assert (await bob.store.search_items([]))["items"] == []
    assert (await ada.store.list_namespaces())["namespaces"] == [["ada", "notes"]]
    await bob.store.delete_item(["notes"], "first")
    assert await ada.store.get_item(["notes"], "first") is not None


async def test_crons_are_their_makers_and_run_as_them(server: Guarded):
    ada, bob = server.sdk("ada"), server.sdk("bob")
    thread_id = (await ada.threads.create())["thread_id"]
    cron = await ada.crons.create("look", schedule="0 0 1 1 *", input={}, on_run_completed="keep")
    assert (cron["user_id"], cron["metadata"]["owner"]) == ("ada", "ada")
    assert await status(bob.crons.create_for_thread(thread_id, "look", schedule="0 0 1 1 *")) == 404
    assert await status(bob.crons.update(cron["cron_id"], enabled=False)) == 404
    assert await status(bob.crons.delete(cron["cron_id"])) == 404
    assert (await bob.crons.search(), await bob.crons.count()) == ([], 0)
    assert [found["cron_id"] for found in await ada.crons.search()] == [cron["cron_id"]]
    (fired,) = await server.app.crons.tick(_after(cron["next_run_date"]))
    assert fired.run_id is not None
    await server.app.runs.wait(fired.run_id)
    (thread,) = await ada.threads.search(metadata={"graph_id": "look"})
    seen = (await ada.threads.get_state(thread["thread_id"]))["values"]["seen"]
    assert (seen["identity"], seen["configurable"]["langgraph_auth_permissions"]) == ("ada", [])


async def test_cancelling_all_stops_only_ones_own(server: Guarded):
    ada, bob = server.sdk("ada"), server.sdk("bob")
    thread_id = (await ada.threads.create())["thread_id"]
    run = await ada.runs.create(thread_id, "look", input={}, after_seconds=3600)
    assert await status(bob.runs.cancel_many(status="all")) == 404
    assert (await ada.runs.get(thread_id, run["run_id"]))["status"] == "pending"
    await ada.runs.cancel_many(status="all")
    assert (await ada.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"


async def test_pruning_and_deleting_an_assistants_threads_spares_others(server: Guarded):
    ada, bob = server.sdk("ada"), server.sdk("bob")
    hers, his = (await ada.threads.create())["thread_id"], (await bob.threads.create())["thread_id"]
    assert (await bob.threads.prune([hers, his]))["pruned_count"] == 1
    assert (await ada.threads.get(hers))["thread_id"] == hers
    assistant_id = (await bob.assistants.create("look"))["assistant_id"]
    await ada.threads.update(hers, metadata={"assistant_id_of": assistant_id})
    await bob.assistants.delete(assistant_id, delete_threads=True)
    assert (await ada.threads.get(hers))["thread_id"] == hers


def _after(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text) + dt.timedelta(seconds=1)
