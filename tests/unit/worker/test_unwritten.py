"""What a run tells while the database is away takes no more memory than is said; who reads of it later is told so."""

from __future__ import annotations

import asyncio
import threading
from urllib.parse import urlsplit

import psycopg
import pytest
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph

from tests.unit.gateway.serving import until
from tests.unit.worker.running import State, yard

COUNT, MOST = 2000, 200_000


async def test_events_that_cannot_be_stored_are_counted_and_the_live_reader_misses_none(
    database: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("langyard.postgres.writer.CROWDED", MOST)
    begun, release = threading.Event(), threading.Event()

    async def talk(state: State) -> State:
        tell = get_stream_writer()
        begun.set()
        await asyncio.to_thread(release.wait, 60)
        for number in range(COUNT):
            tell({"number": number, "text": "x" * 1000})
        return {"x": 1}

    graph = StateGraph(State).add_node("talk", talk).add_edge(START, "talk")
    async with yard(database) as made:
        made.app.graphs.register("talk", graph)
        thread = (await made.sdk.threads.create())["thread_id"]
        stream = made.sdk.runs.stream(thread, "talk", input={}, stream_mode="custom", stream_resumable=True)
        run = (await anext(stream)).data["run_id"]
        assert await asyncio.to_thread(begun.wait, 20)
        assert made.app.worker is not None
        await made.app.worker.settle()
        writer = made.app.worker._means.writer
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
            name = urlsplit(database).path.strip("/")
            await admin.execute(f'alter database "{name}" allow_connections false')
            cut = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s"
            await admin.execute(cut, [name])
            release.set()
            waiting = lambda: [batch for batch in (writer._sending, writer._batch) if batch is not None]  # noqa: E731
            try:
                await until(lambda: any(batch.finishes for batch in waiting()))
                sizes = [batch.size for batch in waiting()]
            finally:
                await admin.execute(f'alter database "{name}" allow_connections true')
            assert max(sizes) < MOST + 10_000
        live = [part async for part in stream]
        assert [part.data["number"] for part in live if part.event == "custom"] == list(range(COUNT))
        assert [part.event for part in live if part.event != "custom"] == ["end"]
        # Who comes later has it from the log.
        later = [part async for part in made.sdk.runs.join_stream(thread, run, last_event_id="0-0")]
        kept = [part.data["number"] for part in later if part.event == "custom"]
        (gap,) = [part.data for part in later if part.event == "gap"]
        assert gap == {"lost": COUNT - len(kept)}
        assert 0 < len(kept) < COUNT
        assert kept == list(range(len(kept)))
        assert later[-1].event == "end"
        async with asyncio.timeout(20):
            async for part in await made.sdk.threads.join_stream(thread, last_event_id="0-0"):
                if part.event == "gap":
                    assert part.data == gap
                    break
        # Whoever has read up to here misses nothing.
        assert [part.event async for part in made.sdk.runs.join_stream(thread, run, last_event_id=live[-2].id)] == [
            "end"
        ]
