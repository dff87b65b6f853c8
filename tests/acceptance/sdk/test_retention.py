"""What is thrown away and when, by the official SDK: contract A.3 (ttl, prune) and D.1, peers 25, 35 and 36."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, TypedDict
from uuid import UUID, uuid4

from langgraph.channels import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph
from langgraph_sdk.errors import APIStatusError

from langyard.model.errors import LangyardError
from langyard.postgres.rows import idempotency as keys
from langyard.postgres.rows import runs as rows
from tests.acceptance.sdk.agents import Agents, parent, serving
from tests.acceptance.sdk.test_threads import left

DAY = {"ttl": {"strategy": "delete", "default_ttl": 1440}}
# What is not swept, because it is not data: the schema's own history, and what there is for each graph and process.
STANDING = {
    "langyard.migrations", "langyard.workers", "langyard.assistants", "langyard.assistant_versions",
    "public.checkpoint_migrations", "public.store_migrations",
}  # fmt: skip


class Deltas(TypedDict, total=False):
    log: Annotated[list[str], DeltaChannel(lambda state, writes: [*state, *(one for some in writes for one in some)])]
    x: int


def deltas() -> StateGraph[Deltas]:
    """A state that is stored as the changes since some earlier checkpoint."""
    graph = StateGraph(Deltas)
    graph.add_node("add", lambda state: {"log": [f"x={state['x']}"]})
    graph.add_edge(START, "add")
    return graph


async def expire(agents: Agents, *thread_ids: str) -> None:
    """As if their time were over."""
    await agents.app.database.execute(
        "update langyard.threads set expires_at = now() - interval '1 second', updated_at = now() - ttl "
        "where ttl is not null and (%(all)s or thread_id = any(%(ids)s))",
        {"ids": [UUID(one) for one in thread_ids], "all": not thread_ids},
    )


async def ttl_of(agents: Agents, thread_id: str) -> Any:
    ttl = (await agents.sdk.threads.get(thread_id, include=["ttl"]))["ttl"]
    return ttl and (ttl["strategy"], ttl["ttl_minutes"])


async def full(agents: Agents) -> dict[str, int]:
    """Rows of every table that has any, whoever made it."""
    tables = await agents.app.database.fetch(
        "select schemaname || '.' || tablename as name from pg_tables where schemaname in ('langyard', 'public')"
    )
    found = {}
    for table in sorted({row["name"] for row in tables} - STANDING):
        (row,) = await agents.app.database.fetch(f"select count(*) as n from {table}")
        if row["n"]:
            found[table] = row["n"]
    return found


async def test_threads_made_on_every_way_get_the_projects_time_unless_they_have_their_own(database: str):
    async with serving(database, sections={"checkpointer": DAY}) as agents:
        sdk = agents.sdk
        made = (await sdk.threads.create())["thread_id"]
        own = (await sdk.threads.create(ttl={"ttl": 5, "strategy": "keep_latest"}))["thread_id"]
        by_run, kept = str(uuid4()), (await sdk.runs.create(None, "echo", input={}, on_completion="keep"))["thread_id"]
        await sdk.runs.wait(by_run, "echo", input={}, if_not_exists="create")
        copied = (await sdk.threads.copy(own))["thread_id"]
        assert [await ttl_of(agents, one) for one in (made, by_run, kept, copied)] == [("delete", 1440)] * 4
        assert await ttl_of(agents, own) == ("keep_latest", 5)

        # A session has a life of its own, and takes its thread with it.
        await agents.served.execute("echo", session_id="s")
        (row,) = await agents.app.database.fetch(
            "select t.ttl from langyard.threads t join langyard.sessions using (thread_id)"
        )
        assert row["ttl"] is None


async def test_a_run_gives_its_thread_the_whole_time_again(database: str):
    async with serving(database, sections={"checkpointer": DAY}) as agents:
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        await expire(agents, thread_id)
        before = (await agents.sdk.threads.get(thread_id, include=["ttl"]))["ttl"]["expires_at"]
        await agents.sdk.runs.wait(thread_id, "echo", input={})
        assert (await agents.sdk.threads.get(thread_id, include=["ttl"]))["ttl"]["expires_at"] > before
        await agents.app.retention.sweep_threads()
        assert await agents.sdk.threads.get(thread_id)


async def test_one_that_waits_for_an_answer_is_not_deleted_unless_it_is_said(database: str):
    async with serving(database, sections={"checkpointer": DAY}) as agents:
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        await agents.sdk.runs.wait(thread_id, "ask", input={})
        await expire(agents, thread_id)
        assert await agents.app.retention.sweep_threads() == 1
        # Not looked at again before its time is over once more.
        assert await agents.app.retention.sweep_threads() == 0
        await agents.sdk.runs.wait(thread_id, "ask", command={"resume": "yes"})
        assert (await agents.sdk.threads.get(thread_id))["values"]["log"] == ["yes", "x=0"]

        await agents.sdk.runs.wait(thread_id, "ask", input={})
    async with serving(database, retention={"expire_paused_threads": True}) as agents:
        await expire(agents, thread_id)
        await agents.app.retention.sweep_threads()
        assert await left(agents, thread_id) == {}


async def test_one_that_somebody_is_still_to_be_told_of_is_not_deleted(database: str):
    async with serving(database, sections={"checkpointer": DAY}) as agents:
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        await agents.sdk.runs.wait(thread_id, "echo", input={})
        await agents.app.database.execute("update langyard.runs set webhook_at = now() + interval '1 hour'")
        await expire(agents, thread_id)
        await agents.app.retention.sweep_threads()
        assert await agents.sdk.threads.get(thread_id)
        await agents.app.database.execute("update langyard.runs set webhook_at = null")
        await expire(agents, thread_id)
        await agents.app.retention.sweep_threads()
        assert await left(agents, thread_id) == {}


async def test_a_thread_whose_history_was_dropped_is_answered_even_in_a_subgraph(database: str):
    async with serving(
        database, sections={"checkpointer": {"ttl": {"strategy": "keep_latest", "default_ttl": 1}}}
    ) as agents:
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        for _ in range(2):
            await agents.sdk.runs.wait(thread_id, "echo", input={"x": 1})
        await agents.sdk.runs.wait(thread_id, "parent", input={"x": 1})
        before = await agents.sdk.threads.get_state(thread_id, subgraphs=True)
        many = (await left(agents, thread_id))["checkpoints"]
        await expire(agents, thread_id)
        await agents.app.retention.sweep_threads()
        # The latest of each namespace: the root's and the subgraph's.
        assert (await left(agents, thread_id))["checkpoints"] == 2 < many
        after = await agents.sdk.threads.get_state(thread_id, subgraphs=True)
        assert (after["values"], after["next"], after["interrupts"]) == (
            before["values"], before["next"], before["interrupts"],
        )  # fmt: skip

        async with AsyncPostgresSaver.from_conn_string(database) as saver:
            graph = parent().compile(checkpointer=saver)
            config: Any = {"configurable": {"thread_id": thread_id}}
            state = await graph.aget_state(config, subgraphs=True)
            assert (state.next, [task.name for task in state.tasks]) == (("child",), ["child"])
        await agents.sdk.runs.wait(thread_id, "parent", command={"resume": "answer"})
        state = await agents.sdk.threads.get_state(thread_id)
        assert (state["next"], state["values"]["x"]) == ([], 1)


async def test_what_later_checkpoints_are_made_of_is_not_deleted_with_a_run(database: str):
    async with serving(database) as agents:
        agents.app.graphs.register("deltas", deltas())
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        made = []
        for x in range(3):
            run = await agents.sdk.runs.create(thread_id, "deltas", input={"x": x})
            await agents.sdk.runs.join(thread_id, run["run_id"])
            made.append(run["run_id"])
        whole = ["x=0", "x=1", "x=2"]
        for run_id in made[:2]:
            await agents.sdk.runs.delete(thread_id, run_id)
            state = await agents.sdk.threads.get_state(thread_id)
            assert state["values"]["log"] == whole
        # Nor is its history pruned, of which the latest state is made.
        assert await agents.sdk.threads.prune([thread_id], strategy="keep_latest") == {"pruned_count": 0}
        copied = (await agents.sdk.threads.copy(thread_id))["thread_id"]
        for one in (thread_id, copied):
            await agents.sdk.runs.wait(one, "deltas", input={"x": 3})
            assert (await agents.sdk.threads.get_state(one))["values"]["log"] == [*whole, "x=3"]


async def test_a_fork_is_not_told_what_its_sibling_did(database: str):
    async with serving(database) as agents:
        agents.app.graphs.register("deltas", deltas())
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        await agents.sdk.runs.wait(thread_id, "deltas", input={"x": 0})
        fork = (await agents.sdk.threads.get_state(thread_id))["checkpoint"]
        await agents.sdk.runs.wait(thread_id, "deltas", input={"x": 1})
        await agents.sdk.runs.wait(thread_id, "deltas", input={"x": 2}, checkpoint=fork)
        assert (await agents.sdk.threads.get_state(thread_id))["values"]["log"] == ["x=0", "x=2"]


async def test_deleting_a_run_leaves_the_rest_of_its_thread(database: str):
    async with serving(database) as agents:
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        run = await agents.sdk.runs.create(thread_id, "echo", input={"x": 1}, stream_resumable=True)
        await agents.sdk.runs.join(thread_id, run["run_id"])
        await agents.sdk.runs.wait(thread_id, "echo", input={"x": 5})
        before = await left(agents, thread_id)
        await agents.sdk.runs.delete(thread_id, run["run_id"])
        after = await left(agents, thread_id)
        assert after["checkpoints"] == before["checkpoints"] - 3
        assert "events" not in after
        assert (await agents.sdk.threads.get_state(thread_id))["values"]["log"] == ["x=1", "x=5"]


async def test_everything_is_made_expires_and_leaves_every_table_empty(database: str):
    times = {"ttl_seconds": 1, "grace_seconds": 0.0}
    sections = {"checkpointer": DAY, "store": {"ttl": {"default_ttl": 1}}}
    async with serving(database, sections=sections, sessions=times, streams={"event_retention_seconds": 0.0}) as agents:
        sdk, app = agents.sdk, agents.app
        thread_id = (await sdk.threads.create())["thread_id"]
        for graph in ("echo", "fail", "ask"):
            async for _ in sdk.runs.stream(thread_id, graph, input={"x": 1}, stream_resumable=True):
                pass
        await sdk.threads.update_state(thread_id, {"x": 9})
        asking = (await sdk.threads.create())["thread_id"]
        await sdk.runs.wait(asking, "parent", input={"x": 1})
        await sdk.runs.wait(asking, "parent", command={"resume": "yes"})
        await sdk.threads.copy(thread_id)
        cron = await sdk.crons.create_for_thread(thread_id, "echo", schedule="0 0 1 1 *")
        assert cron["thread_id"] == thread_id
        for kept in ("delete", "keep"):
            await sdk.runs.wait(None, "echo", input={"x": 1}, on_completion=kept)
            temporary = await sdk.runs.create(None, "echo", input={}, on_completion=kept, stream_resumable=True)
            await app.runs.wait(UUID(temporary["run_id"]))
        await sdk.store.put_item(["a"], "k", {"v": 1})
        await agents.served.execute("ask", session_id="s", headers={"Idempotency-Key": "k"})
        made = await full(agents)
        assert {
            "langyard.threads", "langyard.runs", "langyard.sessions", "langyard.events", "langyard.idempotency_keys",
            "langyard.crons", "public.store", "public.checkpoints", "public.checkpoint_blobs",
            "public.checkpoint_writes",
        } <= made.keys()  # fmt: skip

        await app.database.execute("update langyard.sessions set expires_at = now() - interval '1 minute'")
        await app.database.execute("update store set expires_at = now() - interval '1 minute'")
        await expire(agents)
        await app.database.execute("update langyard.threads set status = 'idle' where status = 'interrupted'")
        await keys.sweep(app.database, retention_s=0.0)
        for sweep in (app.sessions.sweep, app.retention.sweep_threads, app.retention.sweep_runs, app.items.sweep):
            await sweep()
        await app.retention.sweep_events()
        assert await full(agents) == {}


async def test_rows_of_ended_runs_go_before_their_thread_where_it_is_said(database: str):
    async with serving(database, retention={"run_seconds": 0.001}) as agents:
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        await agents.sdk.runs.wait(thread_id, "echo", input={"x": 1})
        running = await agents.start("gate", thread_id, {"input": {}})
        await agents.served.gate.reached()
        assert await agents.app.retention.sweep_runs() == 1
        assert [run["run_id"] for run in await agents.sdk.runs.list(thread_id)] == [str(running)]
        agents.served.gate.open.set()
        await agents.app.runs.wait(running)
        assert (await agents.sdk.threads.get_state(thread_id))["values"]["log"] == ["x=1", "x=2", "through"]


async def test_a_state_kept_for_readers_elsewhere_is_kept_once_when_they_have_had_their_time(database: str):
    async with serving(database) as agents:
        thread_id = (await agents.sdk.threads.create())["thread_id"]
        run_id = await agents.start("echo", thread_id, {"input": {"x": 1}}, lasting=True)
        await agents.app.runs.wait(run_id)
        sql = "select outcome from langyard.runs where outcome is not null"
        assert len(await agents.app.database.fetch(sql)) == 1
        assert await rows.forget_outcomes(agents.app.database, after_s=600, limit=10) == 0
        assert await rows.forget_outcomes(agents.app.database, after_s=0, limit=10) == 1
        (run,) = await agents.sdk.runs.list(thread_id)
        assert (await agents.sdk.runs.join(thread_id, run["run_id"]))["x"] == 2


async def test_deleting_threads_under_fire_leaves_nothing_behind(database: str):
    """Runs that start, runs that write and states that are updated, all at once with the deletion."""
    async with serving(database) as agents:

        async def disturb(thread_id: str) -> None:
            for x in range(4):
                try:
                    await agents.app.runs.wait(await agents.start("echo", thread_id, {"input": {"x": x}}))
                    await agents.sdk.threads.update_state(thread_id, {"x": x})
                except (APIStatusError, LangyardError, AssertionError) as error:
                    # It is gone, or busy just now.
                    gone_or_busy = getattr(error, "status_code", 404) in (400, 404, 409)
                    if not gone_or_busy:
                        raise

        async def delete(thread_id: str) -> None:
            for _ in range(6):
                await asyncio.sleep(0)
                await agents.app.threads.delete([UUID(thread_id)])

        ids = [str(uuid4()) for _ in range(12)]
        await asyncio.gather(*(work(one) for one in ids for work in (disturb, disturb, delete)))
        for one in ids:
            await agents.sdk.threads.prune([one])
            assert await left(agents, one) == {}
