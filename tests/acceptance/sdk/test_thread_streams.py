"""Reading a whole thread: every run's events, from whichever process, as long as the client stays (contract A.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running
from tests.unit.gateway.serving import events

DEADLINE_S = 30.0


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database, heartbeat_seconds=0.05) as found:
        yield found


@asynccontextmanager
async def opened(agents: Agents, path: str, **headers: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """The events of a stream that is open by the time this gives them: a comment has come."""
    async with (
        asyncio.timeout(DEADLINE_S),
        agents.served.http.stream("GET", path, headers={"Last-Event-ID": "", **headers}) as response,
    ):
        assert response.status_code == 200, await response.aread()
        found = events(response)
        assert (await anext(found))[0]
        yield (event async for event in found if event[0] != ":")


async def until_done(found: AsyncIterator[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Events up to a run's end."""
    seen = []
    async for event in found:
        seen.append(event)
        if event[0] == "metadata" and event[1].get("status") == "run_done":
            return seen
    raise AssertionError(f"the stream ended after {seen}")


async def test_a_thread_stream_has_the_events_of_every_run_and_does_not_end(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    async with opened(agents, f"/threads/{thread_id}/stream") as found:
        for _ in range(2):
            run = await agents.sdk.runs.create(thread_id, "steps", input={"x": 1}, stream_mode=["values", "updates"])
            seen = await until_done(found)
            assert [name for name, _ in seen] == [
                "metadata", "values", "updates", "values", "updates", "values", "metadata"
            ]  # fmt: skip
            assert seen[0][1] == {"run_id": run["run_id"], "attempt": 1}
            assert seen[-1][1] == {"status": "run_done", "run_id": run["run_id"]}


async def test_a_thread_stream_tells_of_runs_of_another_process(database: str, agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    async with running(database) as other, opened(agents, f"/threads/{thread_id}/stream") as found:
        run = await other.sdk.runs.create(thread_id, "speaking", input={"messages": []}, stream_mode="messages-tuple")
        seen = await until_done(found)
        assert seen[0][1]["run_id"] == run["run_id"]
        said = "".join(data[0]["content"] for name, data in seen if name == "messages")
        assert said == "hello brave new world"


async def test_a_thread_stream_joins_the_run_that_is_under_way(database: str, agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    async with running(database) as other:
        first = await other.sdk.runs.create(thread_id, "sleeping", input={"x": 1500}, stream_mode="updates")
        second = await other.sdk.runs.create(thread_id, "steps", input={"x": 1}, stream_mode="updates")
        async with opened(agents, f"/threads/{thread_id}/stream") as found:
            assert (await until_done(found))[-1][1]["run_id"] == first["run_id"]
            seen = await until_done(found)
            assert seen[-1][1]["run_id"] == second["run_id"]
            assert [name for name, _ in seen] == ["metadata", "updates", "updates", "metadata"]


async def test_a_thread_that_is_not_there_yet_can_be_read(database: str, agents: Agents):
    thread_id = str(uuid4())
    async with running(database) as other, opened(agents, f"/threads/{thread_id}/stream") as found:
        await other.sdk.threads.create(thread_id=thread_id)
        await other.sdk.runs.create(thread_id, "steps", input={"x": 1})
        assert [name for name, _ in await until_done(found)] == ["metadata", "values", "values", "values", "metadata"]


@pytest.mark.parametrize(
    "query",
    [
        "stream_mode=lifecycle&stream_mode=state_update",
        "stream_modes=lifecycle,state_update",
        "stream_mode=lifecycle,state_update",
    ],
)
async def test_i31_modes_of_a_thread_stream_under_both_names_and_in_both_forms(
    database: str, agents: Agents, query: str
):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    async with running(database) as other, opened(agents, f"/threads/{thread_id}/stream?{query}") as found:
        run = await other.sdk.runs.create(thread_id, "steps", input={"x": 1})
        assert await until_done(found) == [
            ("metadata", {"run_id": run["run_id"], "attempt": 1}),
            ("metadata", {"status": "run_done", "run_id": run["run_id"]}),
        ]
        await agents.sdk.runs.join(thread_id, run["run_id"])
        await other.sdk.threads.update_state(thread_id, {"x": 40})
        name, data = await anext(found)
        assert name == "state_update"
        assert data["thread_id"] == thread_id
        assert data["state"]["values"]["x"] == 40


async def test_run_modes_do_not_have_changes_of_the_state(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    await agents.run("steps", thread_id, {"x": 1})
    async with opened(agents, f"/threads/{thread_id}/stream") as found:
        await agents.sdk.threads.update_state(thread_id, {"x": 40})
        await agents.sdk.runs.create(thread_id, "steps", input={"x": 1})
        assert "state_update" not in [name for name, _ in await until_done(found)]


async def test_a_mode_that_there_is_not_and_an_id_that_is_none_are_refused(agents: Agents):
    path = f"/threads/{uuid4()}/stream"
    answer = await agents.served.http.get(f"{path}?stream_mode=bogus")
    assert (answer.status_code, answer.json()["detail"]) == (422, "Invalid stream mode: bogus")
    assert (await agents.served.http.get(path, headers={"Last-Event-ID": "x-1"})).status_code == 422
    assert (await agents.served.http.get("/threads/x/stream")).status_code == 422


async def with_ids(agents: Agents, thread_id: str, after: str, runs: int) -> list[tuple[str, str]]:
    """(id, event) up to the end of so many runs."""
    found: list[tuple[str, str]] = []
    name, ends = "", 0
    async with (
        asyncio.timeout(DEADLINE_S),
        agents.served.http.stream("GET", f"/threads/{thread_id}/stream", headers={"Last-Event-ID": after}) as response,
    ):
        async for line in response.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                ends += "run_done" in value
            elif field == "id":
                found.append((value, name))
                if ends == runs:
                    return found
    raise AssertionError("the stream ended")


async def test_i32_a_thread_stream_is_read_again_from_any_event_on(database: str, agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    for _ in range(3):
        async for _ in agents.sdk.runs.stream(thread_id, "steps", input={"x": 1}, stream_resumable=True):
            pass
    async with running(database) as other:
        everything = await with_ids(other, thread_id, "-", 3)
    assert [name for _, name in everything] == ["metadata", "values", "values", "values", "metadata"] * 3
    assert len({found for found, _ in everything}) == len(everything)
    assert await with_ids(agents, thread_id, "-", 3) == everything
    for start in (0, 4, 7, 11):
        assert await with_ids(agents, thread_id, everything[start][0], 3 - (start + 1) // 5) == everything[start + 1 :]


async def test_a_reader_that_comes_back_in_the_middle_of_a_run_misses_nothing(database: str, agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    async with running(database) as other:
        async for _ in other.sdk.runs.stream(thread_id, "steps", input={"x": 1}, stream_resumable=True):
            pass
        await other.sdk.runs.create(
            thread_id, "sleeping", input={"x": 700}, stream_mode="updates", stream_resumable=True
        )
        seen = await with_ids(agents, thread_id, "-", 2)
    first, second = ["metadata", "values", "values", "values", "metadata"], ["metadata", "updates", "metadata"]
    assert [name for _, name in seen] == [*first, *second]


async def test_the_sdk_reads_a_thread(agents: Agents):
    client = agents.sdk
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "steps", input={"x": 1})
    async for _ in client.runs.stream(thread_id, "steps", input={"x": 1}, stream_resumable=True):
        pass
    seen: list[str] = []
    reading = await client.threads.join_stream(thread_id, last_event_id="-", stream_mode=["lifecycle"])
    async with asyncio.timeout(DEADLINE_S), aclosing(reading):
        async for part in reading:
            seen.append(part.data.get("status", "begun"))
            if seen[-1] == "run_done":
                break
    assert seen == ["begun", "run_done"]


async def test_nobody_reading_costs_nothing(database: str, agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    await agents.sdk.runs.wait(thread_id, "steps", input={"x": 1})
    row = await agents.app.database.fetch_one(
        "select (select count(*) from langyard.events) as events, "
        "(select count(*) from langyard.thread_readers) as readers"
    )
    assert row == {"events": 0, "readers": 0}


async def test_many_readers_of_a_thread_are_one_follower(agents: Agents):
    thread_id = (await agents.sdk.threads.create())["thread_id"]
    async with asyncio.TaskGroup() as group:
        begun = [asyncio.Event() for _ in range(5)]

        async def read(begun: asyncio.Event) -> list[str]:
            async with opened(agents, f"/threads/{thread_id}/stream") as found:
                begun.set()
                return [name for name, _ in await until_done(found)]

        reading = [group.create_task(read(one)) for one in begun]
        for one in begun:
            await one.wait()
        await agents.sdk.runs.create(thread_id, "steps", input={"x": 1})
    assert {tuple(task.result()) for task in reading} == {("metadata", "values", "values", "values", "metadata")}
