"""Threads through the official SDK: contract A.3 but for state, and of section I numbers 20, 21 and 27."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError, NotFoundError, UnprocessableEntityError

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.test_assistants import detail

FIELDS = {
    "thread_id", "created_at", "updated_at", "state_updated_at", "metadata", "config", "status", "values",
    "interrupts", "error",
}  # fmt: skip
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


async def left(agents: Agents, thread_id: str) -> dict[str, int]:
    """Rows of the thread in every table that has any."""
    found = {}
    for table in TABLES:
        rows = await agents.app.database.fetch(f"select 1 from {table} where thread_id = %(id)s", {"id": thread_id})
        found[table] = len(rows)
    for table in ("threads", "runs", "events", "sessions"):
        sql = f"select 1 from langyard.{table} where thread_id = %(id)s"
        found[table] = len(await agents.app.database.fetch(sql, {"id": UUID(thread_id)}))
    return {table: number for table, number in found.items() if number}


async def test_a_thread_is_made_read_changed_and_deleted(agents: Agents):
    threads = agents.sdk.threads
    made = await threads.create(metadata={"a": 1, "thread_id": "spoofed"}, graph_id="echo")
    assert set(made) == FIELDS
    assert made["metadata"] == {"a": 1, "graph_id": "echo"}
    assert (made["status"], made["values"], made["interrupts"], made["error"]) == ("idle", None, {}, None)
    assert UUID(made["thread_id"]).version == 7
    assert await threads.get(made["thread_id"]) == made
    changed = await threads.update(made["thread_id"], metadata={"b": {"c": 2}})
    assert changed["metadata"] == {"a": 1, "b": {"c": 2}, "graph_id": "echo"}
    assert await threads.update(made["thread_id"], metadata={"d": 3}, return_minimal=True) is None
    assert (await threads.get(made["thread_id"]))["metadata"]["d"] == 3

    assert await threads.delete(made["thread_id"]) is None
    for call in (threads.get, threads.delete):
        with pytest.raises(NotFoundError) as gone:
            await call(made["thread_id"])
        assert detail(gone) == f"Thread with ID {made['thread_id']} not found"
    with pytest.raises(NotFoundError) as gone:
        await threads.update(made["thread_id"], metadata={})
    assert detail(gone) == "Not Found"
    with pytest.raises(UnprocessableEntityError) as wrong:
        await threads.get("no-uuid")
    assert detail(wrong) == "Invalid thread ID: must be a UUID"


async def test_i21_duplicates_and_copies_of_nothing_conflict(agents: Agents):
    wanted = str(uuid4())
    made = await agents.sdk.threads.create(thread_id=wanted, metadata={"a": 1})
    with pytest.raises(ConflictError) as taken:
        await agents.sdk.threads.create(thread_id=wanted)
    assert detail(taken) == f"Thread with ID {wanted} already exists"
    assert await agents.sdk.threads.create(thread_id=wanted, if_exists="do_nothing") == made
    with pytest.raises(ConflictError) as missing:
        await agents.sdk.threads.copy(str(uuid4()))
    assert detail(missing) == "Conflict"
    with pytest.raises(BadRequestError):
        await agents.sdk.threads.copy("no-uuid")


async def test_i20_values_interrupts_and_error_are_those_of_the_last_runs_end(agents: Agents):
    thread = await agents.sdk.threads.create()
    wanted = thread["thread_id"]
    await agents.run("ask", wanted)
    waiting = await agents.sdk.threads.get(wanted)
    assert waiting["status"] == "interrupted"
    ((task_id, asked),) = waiting["interrupts"].items()
    assert [set(entry) for entry in asked] == [{"id", "value"}]
    assert asked[0]["value"] == {"question": "may I?"}
    state = await agents.sdk.threads.get_state(wanted)
    assert state["tasks"][0]["id"] == task_id

    failing = (await agents.sdk.threads.create())["thread_id"]
    await agents.run("fail", failing, {"x": 1})
    failed = await agents.sdk.threads.get(failing)
    assert failed["status"] == "error"
    assert set(failed["error"]) == {"error", "message"}
    assert failed["values"]["x"] == 2


async def test_a_thread_is_deleted_with_all_that_is_its_own_even_while_it_runs(agents: Agents):
    thread = await agents.sdk.threads.create()
    wanted = thread["thread_id"]
    await agents.run("echo", wanted, {"x": 1})
    before = await left(agents, wanted)
    assert before["checkpoints"]
    assert before["runs"]
    await agents.start("gate", wanted, {"input": {}, "stream_resumable": True})
    await agents.served.gate.reached()
    agents.served.gate.open.set()
    await agents.sdk.threads.delete(wanted)
    assert await left(agents, wanted) == {}


async def test_search_by_everything(agents: Agents):
    threads = agents.sdk.threads
    ids = []
    for number in range(4):
        thread = await threads.create(metadata={"set": {"of": "four", "n": number}, "tags": ["a", f"t{number}"]})
        ids.append(thread["thread_id"])
    await agents.run("echo", ids[0], {"x": 7})
    await agents.run("ask", ids[1])

    assert [row["thread_id"] for row in await threads.search(metadata={"set": {"of": "four"}}, sort_by="created_at")] \
        == ids[::-1]  # fmt: skip
    assert [row["thread_id"] for row in await threads.search(metadata={"tags": ["t2"]})] == [ids[2]]
    assert [row["thread_id"] for row in await threads.search(values={"x": 8})] == [ids[0]]
    assert [row["thread_id"] for row in await threads.search(status="interrupted")] == [ids[1]]
    found = await threads.search(ids=[ids[3], ids[2], str(uuid4())], sort_by="thread_id", sort_order="asc")
    assert [row["thread_id"] for row in found] == ids[2:]
    assert [row["thread_id"] for row in await threads.search(limit=2)] == [ids[1], ids[0]]
    assert await threads.search(ids=ids[:1], select=["status", "values"]) == [
        {"status": "idle", "values": {"x": 8, "log": ["x=7"]}}
    ]
    assert await threads.count(metadata={"set": {"of": "four"}}) == 4
    assert await threads.count(values={"x": 8}) == 1
    assert await threads.count(status="interrupted") == 1
    for order in ("asc", "desc"):
        for by in ("thread_id", "status", "created_at", "updated_at", "state_updated_at"):
            rows = await threads.search(sort_by=by, sort_order=order)
            keys = [row[by] for row in rows]
            assert keys == sorted(keys, reverse=order == "desc")

    with pytest.raises(BadRequestError) as bad:
        await threads.search(ids=["bad"])
    assert detail(bad) == "Invalid thread ID bad"
    for wrong in ({"status": "asleep"}, {"limit": 0}, {"offset": -1}, {"sort_by": "values"}, {"select": ["x"]}):
        with pytest.raises(UnprocessableEntityError):
            await threads.search(**wrong)


async def test_search_extracts_what_is_deep_in_a_thread(agents: Agents):
    thread = await agents.sdk.threads.create(metadata={"deep": [{"er": 1}, {"er": 2}]})
    await agents.run("echo", thread["thread_id"], {"x": 1})
    await agents.run("echo", thread["thread_id"], {"x": 5})
    paths = {
        "a": "values.x", "b": "metadata.graph_id", "c": "values.log[0]", "d": "values.log[-1]", "e": "values.none",
        "f": "metadata.deep[1].er", "g": "interrupts", "h": "metadata['x",
    }  # fmt: skip
    with pytest.raises(UnprocessableEntityError):
        await agents.sdk.threads.search(extract=paths)
    paths.pop("h")
    (found,) = await agents.sdk.threads.search(extract=paths, select=["thread_id"])
    assert found == {
        "thread_id": thread["thread_id"],
        "extracted": {"a": 6, "b": "echo", "c": "x=1", "d": "x=5", "e": None, "f": 2, "g": {}},
    }
    with pytest.raises(UnprocessableEntityError) as wrong:
        await agents.sdk.threads.search(extract={"a": "kwargs.x"})
    assert detail(wrong) == "Extract path 'kwargs.x' must start with one of: config, interrupts, metadata, values"
    with pytest.raises(UnprocessableEntityError):
        await agents.sdk.threads.search(extract={str(number): "values.x" for number in range(11)})


async def test_i27_pages_of_threads(agents: Agents):
    for _ in range(3):
        await agents.sdk.threads.create(metadata={"page": 1})
    for offset, total, more in ((0, "3", "2"), (2, "3", None), (1, "3", None)):
        answer = await agents.served.http.post(
            "/threads/search", json={"metadata": {"page": 1}, "limit": 2, "offset": offset}
        )
        assert (answer.headers["x-pagination-total"], answer.headers.get("x-pagination-next")) == (total, more)


async def test_a_copy_has_the_whole_history_and_can_be_resumed(agents: Agents):
    threads = agents.sdk.threads
    source = (await threads.create(metadata={"a": 1}))["thread_id"]
    await agents.run("ask", source, {"x": 3})
    copied = await threads.copy(source)
    assert copied["thread_id"] != source
    assert UUID(copied["thread_id"]).version == 4
    assert copied["metadata"] == (await threads.get(source))["metadata"]
    assert copied["config"] == {}
    assert copied["values"]["x"] == 3
    theirs, ours = await threads.get_history(source), await threads.get_history(copied["thread_id"])
    assert [state["checkpoint_id"] for state in theirs] == [state["checkpoint_id"] for state in ours]
    assert {state["checkpoint"]["thread_id"] for state in ours} == {copied["thread_id"]}
    run_id = await agents.start("ask", copied["thread_id"], {"command": {"resume": "yes"}})
    end = await agents.app.runs.wait(run_id)
    assert end.status == "success"
    assert (await threads.get_state(copied["thread_id"]))["values"]["log"] == ["yes", "x=3"]
    assert (await threads.get_state(source))["next"] == ["ask"]


async def test_pruning_deletes_threads_or_their_history(agents: Agents):
    ids = [(await agents.sdk.threads.create())["thread_id"] for _ in range(3)]
    for wanted in ids:
        await agents.run("echo", wanted, {"x": 1})
        await agents.run("echo", wanted, {"x": 1})
    state = await agents.sdk.threads.get_state(ids[0])
    assert await agents.sdk.threads.prune([ids[0], str(uuid4())], strategy="keep_latest") == {"pruned_count": 1}
    assert len(await agents.sdk.threads.get_history(ids[0])) == 1
    assert (await left(agents, ids[0]))["checkpoints"] == 1
    kept = await agents.sdk.threads.get_state(ids[0])
    assert (kept["values"], kept["checkpoint_id"]) == (state["values"], state["checkpoint_id"])
    end = await agents.run("echo", ids[0], {"x": 9})
    assert end.status == "success"
    assert (await agents.sdk.threads.get(ids[0]))["values"]["log"] == ["x=1", "x=1", "x=9"]

    assert await agents.sdk.threads.prune([*ids[1:], str(uuid4())]) == {"pruned_count": 2}
    assert await left(agents, ids[1]) == {}
    with pytest.raises(UnprocessableEntityError):
        await agents.sdk.threads.prune(["bad"])


async def test_the_time_a_thread_is_kept(agents: Agents):
    threads = agents.sdk.threads
    made = await threads.create(ttl=5)
    assert "ttl" not in await threads.get(made["thread_id"])
    ttl = (await threads.get(made["thread_id"], include=["ttl"]))["ttl"]
    assert (ttl["strategy"], ttl["ttl_minutes"]) == ("delete", 5)
    assert ttl["expires_at"] > made["updated_at"]
    await threads.update(made["thread_id"], metadata={}, ttl={"ttl": 10, "strategy": "keep_latest"})
    ttl = (await threads.get(made["thread_id"], include=["ttl"]))["ttl"]
    assert (ttl["strategy"], ttl["ttl_minutes"]) == ("keep_latest", 10)
    answer = await agents.served.http.post("/threads", json={"ttl": 5})
    assert answer.status_code == 422
    assert (await threads.get((await threads.create())["thread_id"], include=["ttl"]))["ttl"] is None


async def test_the_sweep_does_what_is_due_and_leaves_nothing_behind(agents: Agents):
    threads, database = agents.sdk.threads, agents.app.database
    made = {}
    for name, ttl in (("gone", 1), ("kept", {"ttl": 1, "strategy": "keep_latest"}), ("used", 1), ("busy", 1)):
        made[name] = (await threads.create(ttl=ttl))["thread_id"]
        await agents.run("echo", made[name], {"x": 1})
    plain = (await threads.create())["thread_id"]
    past = "update langyard.threads set expires_at = now() - interval '1 second' where ttl is not null"
    await database.execute(past)
    used = "update langyard.threads set updated_at = now() - interval '2 minutes' where thread_id <> %(id)s"
    await database.execute(used, {"id": UUID(made["used"])})
    await agents.start("gate", made["busy"], {"input": {}})
    await agents.served.gate.reached()
    await database.execute(used, {"id": UUID(made["used"])})
    await agents.app.threads.sweep()

    assert await left(agents, made["gone"]) == {}
    assert (await left(agents, made["kept"]))["checkpoints"] == 1
    assert (await left(agents, made["used"]))["checkpoints"] > 1
    assert (await left(agents, made["busy"]))["runs"] == 2
    assert (await threads.get(plain))["status"] == "idle"
    due = "select thread_id from langyard.threads where expires_at <= now()"
    assert [str(row["thread_id"]) for row in await database.fetch(due)] == [made["busy"]]
    agents.served.gate.open.set()


async def test_sweeps_side_by_side_and_deletions_do_not_meet(agents: Agents):
    threads = agents.app.threads
    ids = [UUID((await agents.sdk.threads.create(ttl=1))["thread_id"]) for _ in range(120)]
    await agents.app.database.execute(
        "update langyard.threads set expires_at = now() - interval '1 hour', updated_at = now() - interval '1 hour'"
    )
    await asyncio.gather(threads.sweep(), threads.sweep(), threads.delete(ids[:60]))
    await threads.sweep()
    assert await agents.sdk.threads.count() == 0


async def test_what_a_thread_takes(agents: Agents):
    thread = await agents.sdk.threads.create()
    answer = await agents.served.http.get(f"/threads/{thread['thread_id']}/storage")
    nothing = answer.json()
    assert nothing["total_bytes"] == 0
    await agents.run("echo", thread["thread_id"], {"x": 1, "text": "long" * 1000})
    found = (await agents.served.http.get(f"/threads/{thread['thread_id']}/storage")).json()
    assert set(found) == {"thread_id", "total_bytes", "checkpoints", "channel_values", "pending_writes"}
    assert found["checkpoints"]["count"] == 3
    assert found["total_bytes"] > found["checkpoints"]["bytes"] > 0
    assert found["channel_values"]["by_channel"]["log"] > 0
    assert (await agents.served.http.get(f"/threads/{uuid4()}/storage")).status_code == 404


async def test_paths_heads_and_what_is_not_there(agents: Agents):
    http = agents.served.http
    answer = await http.post("/threads/?x=1", json={})
    assert (answer.status_code, answer.headers["location"]) == (307, "/threads?x=1")
    thread = await agents.sdk.threads.create()
    answer = await http.head(f"/threads/{thread['thread_id']}")
    assert (answer.status_code, answer.content) == (200, b"")
    for path in ("/ok", "/", "/info", "/assistants/echo/graph"):
        assert (await http.head(path)).status_code == 200
    assert (await http.get("/ok?check_db=1")).json() == {"ok": True, "services": {"postgres": "healthy"}}
    assert (await http.get("/")).json()["ok"] is True
    info = (await http.get("/info")).json()
    assert info["flags"]["assistants"] is True
    assert info["host"]["kind"] == "self-hosted"
    answer = await http.patch(f"/threads/{thread['thread_id']}/state", json={})
    assert answer.status_code == 405
    assert answer.headers["allow"]
