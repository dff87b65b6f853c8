"""Turn after turn on one thread, each with a stream of its own: the SDK takes no other run's end for that of its run.

Its watcher subscribes when the stream is entered, usually before the run it is to watch has been made (contract A.14).
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import uuid4

import psycopg
import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from langgraph_sdk import get_client, get_sync_client
from typing_extensions import TypedDict

from langyard.gateway.agent.protocol import feeds
from tests.acceptance.sdk.agents import Agents
from tests.acceptance.sdk.running import running
from tests.acceptance.sdk.test_event_envelopes import command, opened, said, until

DEADLINE_S = 60.0
TRANSPORTS = pytest.mark.parametrize("transport", ["sse", "websocket"])


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with running(database) as found:
        yield found


@asynccontextmanager
async def streaming(agents: Agents, **asked: Any) -> AsyncIterator[Any]:
    """The SDK's stream of a thread, over a client of its own."""
    async with get_client(url=str(agents.served.http.base_url)) as sdk, sdk.threads.stream(**asked) as thread:
        yield thread


@TRANSPORTS
async def test_twenty_turns_each_end_with_their_own_state(agents: Agents, transport: str):
    thread_id = str(uuid4())
    for turn in range(1, 22):
        async with (
            asyncio.timeout(DEADLINE_S),
            streaming(agents, thread_id=thread_id, assistant_id="sleeping", transport=transport) as thread,
        ):
            await thread.run.start(input={"x": 30})
            assert await thread.output == {"x": 30, "log": ["slept"] * turn}


async def test_turns_at_one_server_and_the_other(agents: Agents, database: str, monkeypatch: pytest.MonkeyPatch):
    """What one has told a watcher the other does not know."""
    monkeypatch.setattr(feeds, "_GLANCE_S", 2.0)  # a busy machine may take longer than a moment
    thread_id = str(uuid4())
    async with running(database) as other:
        for turn in range(1, 11):
            async with (
                asyncio.timeout(DEADLINE_S),
                streaming((agents, other)[turn % 2], thread_id=thread_id, assistant_id="sleeping") as thread,
            ):
                await thread.run.start(input={"x": 30})
                assert await thread.output == {"x": 30, "log": ["slept"] * turn}


async def test_turns_of_the_synchronous_client(agents: Agents):
    thread_id = str(uuid4())
    sync = get_sync_client(url=str(agents.served.http.base_url))

    def turn() -> Any:
        with sync.threads.stream(thread_id=thread_id, assistant_id="sleeping") as thread:
            thread.run.start(input={"x": 30})
            return thread.output

    async with asyncio.timeout(DEADLINE_S):
        for number in range(1, 5):
            assert await asyncio.to_thread(turn) == {"x": 30, "log": ["slept"] * number}


async def test_who_comes_back_to_a_thread_hears_how_its_last_run_failed(agents: Agents):
    thread_id = str(uuid4())
    for _ in range(2):
        async with (
            asyncio.timeout(DEADLINE_S),
            streaming(agents, thread_id=thread_id, assistant_id="value-error") as thread,
        ):
            await thread.run.start(input={"x": 1})
            with pytest.raises(RuntimeError, match="bad value"):
                await thread.output
    async with (
        asyncio.timeout(DEADLINE_S),
        streaming(agents, thread_id=thread_id, assistant_id="value-error") as thread,
    ):
        with pytest.raises(RuntimeError, match="bad value"):
            await thread.output


async def ended(agents: Agents, thread_id: str, assistant_id: str, *, ago_s: float, **given: Any) -> None:
    """A run that has ended some time ago."""
    started = await command(agents, thread_id, "run.start", assistant_id=assistant_id, **given)
    await agents.sdk.runs.join(thread_id, started["result"]["run_id"])
    async with await psycopg.AsyncConnection.connect(agents.app.database.url, autocommit=True) as connection:
        await connection.execute(
            "update langyard.runs set created_at = created_at - make_interval(secs => %(ago)s),"
            " finished_at = finished_at - make_interval(secs => %(ago)s) where run_id = %(run)s",
            {"ago": ago_s, "run": started["result"]["run_id"]},
        )


WATCH = ["lifecycle", "input"]


async def test_who_begins_late_after_a_good_end_hears_nothing_of_it(database: str):
    async with running(database, heartbeat_seconds=0.1) as agents:
        thread_id = str(uuid4())
        await ended(agents, thread_id, "sleeping", input={"x": 1}, ago_s=60.0)
        path = f"/threads/{thread_id}/stream/events"
        async with (
            asyncio.timeout(DEADLINE_S),
            agents.served.http.stream("POST", path, json={"channels": WATCH}) as answer,
        ):
            lines = answer.aiter_lines()
            # Longer than what is held back would be.
            assert [await anext(lines) for _ in range(60)].count(": heartbeat") >= 25
            started = await command(agents, thread_id, "run.start", assistant_id="sleeping", input={"x": 1})
            told = [line async for line in first(lines, 2, "data: ")]
        assert [started["result"]["run_id"] in line for line in told] == [True, True]
        assert ['"running"' in told[0], '"completed"' in told[1]] == [True, True]


async def test_a_watcher_that_nobody_follows_with_a_run_is_told_what_was(agents: Agents):
    thread_id = str(uuid4())
    await ended(agents, thread_id, "sleeping", input={"x": 1}, ago_s=5.0)
    async with opened(agents, thread_id, channels=WATCH) as found:
        assert [said(one) for one in await until(found, "completed")] == ["running", "completed"]


class Asked(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def insisting() -> StateGraph[Asked]:
    """A graph that asks twice."""
    graph = StateGraph(Asked)
    graph.add_node("a", lambda state: {"log": [interrupt("first?")]})
    graph.add_node("b", lambda state: {"log": [interrupt("second?")]})
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    return graph


async def test_an_answer_in_a_stream_of_its_own_hears_of_the_next_question_only(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feeds, "_GLANCE_S", 2.0)
    agents.app.graphs.register("insisting", insisting())
    for _ in range(3):
        thread_id = str(uuid4())
        asked: list[Any] = []
        answers: list[Any] = [{}, "one", "two"]
        for given in answers:
            async with (
                asyncio.timeout(DEADLINE_S),
                streaming(agents, thread_id=thread_id, assistant_id="insisting") as thread,
            ):
                await thread.run.start(input=given)
                async for _values in thread.values:
                    pass
                asked.append([one["value"] for one in thread.interrupts])
        assert asked == [["first?"], ["second?"], []]
        assert (await agents.sdk.threads.get_state(thread_id))["values"] == {"log": ["one", "two"]}


async def test_a_run_that_was_over_before_it_could_be_watched_is_told_soon(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
):
    thread_id = str(uuid4())
    monkeypatch.setattr(feeds, "_FRESH_S", 60.0)
    monkeypatch.setattr(feeds, "_PATIENCE_S", 600.0)
    await ended(agents, thread_id, "sleeping", input={"x": 1}, ago_s=0.0)
    async with opened(agents, thread_id, channels=WATCH) as found:
        assert [said(one) for one in await until(found, "completed")] == ["running", "completed"]


async def test_questions_of_earlier_runs_are_not_asked_again(agents: Agents):
    thread_id = str(uuid4())
    await ended(agents, thread_id, "asking", input={"x": 1}, ago_s=60.0)
    async with opened(agents, thread_id, channels=WATCH) as found:
        assert [one["method"] for one in await until(found, "interrupted")] == [
            "lifecycle", "input.requested", "lifecycle",
        ]  # fmt: skip
    await ended(agents, thread_id, "asking", input="yes", ago_s=30.0)
    await command(agents, thread_id, "run.start", assistant_id="sleeping", input={"x": 200})
    async with opened(agents, thread_id, channels=WATCH) as found:
        seen = await until(found, "completed")
    assert "input.requested" not in [one["method"] for one in seen]
    assert [said(one) for one in seen][-1:] == ["completed"]


async def first(lines: AsyncIterator[str], count: int, prefix: str) -> AsyncIterator[str]:
    """The next lines that begin so."""
    while count:
        if (line := await anext(lines)).startswith(prefix):
            count -= 1
            yield line
