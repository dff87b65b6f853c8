"""Rows of one thread without a server, for tests of statements on runs; the fixture `bench` gives one."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

from langyard.model.ids import uuid7
from langyard.model.runs import ClaimedRun, RunRequest
from langyard.postgres import runs as rows
from langyard.postgres import starts
from langyard.postgres.database import Database
from langyard.postgres.rows.workers import Heartbeat, bury

ASKED = {"reason": "somebody asked"}
BLOCKED = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@dataclass
class Bench:
    """Rows without a server: a database, a worker's row, and a thread."""

    database: Database
    url: str
    worker_id: uuid.UUID
    thread_id: uuid.UUID

    async def start(self, *, claimed: bool = False, **more: Any) -> ClaimedRun:
        request = RunRequest(
            run_id=uuid7(), graph_id="g", kwargs={"input": {}}, thread_id=self.thread_id, may_create=True, **more
        )
        started = await starts.start(self.database, request, self.worker_id if claimed else None)
        assert started is not None
        if claimed:
            assert started.claimed is not None
            return started.claimed
        return ClaimedRun(request.run_id, self.thread_id, "g", {}, 0, 0)

    async def claim(self) -> list[ClaimedRun]:
        return await rows.claim(self.database, self.worker_id, ["g"], 10)

    async def run(self, claimed: ClaimedRun) -> dict[str, Any] | None:
        return await self.database.fetch_one(
            "select * from langyard.runs where run_id = %(id)s", {"id": claimed.run_id}
        )

    async def thread(self) -> dict[str, Any]:
        row = await self.database.fetch_one(
            "select * from langyard.threads where thread_id = %(id)s", {"id": self.thread_id}
        )
        assert row is not None
        return row

    async def put_checkpoint(self, claimed: ClaimedRun) -> None:
        """As its execution would, but at once."""
        versions = '{"channel_versions": {"log": "1"}, "v": 4}'
        thread = {"thread": str(claimed.thread_id), "run": str(claimed.run_id), "document": versions}
        for sql in (
            (
                "insert into checkpoints (thread_id, checkpoint_id, checkpoint, metadata) "
                "values (%(thread)s, 'c1', %(document)s::jsonb, jsonb_build_object('run_id', %(run)s::text))"
            ),
            "insert into checkpoint_blobs (thread_id, channel, version, type) values (%(thread)s, 'log', '1', 'empty')",
            (
                "insert into checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, blob) "
                "values (%(thread)s, 'c1', 't', 0, 'log', '')"
            ),
        ):
            await self.database.fetch(sql, thread)

    async def traces(self) -> int:
        """Rows of LangGraph's tables and events that belong to the thread."""
        row = await self.database.fetch_one(
            "select (select count(*) from checkpoints where thread_id = %(name)s)"
            " + (select count(*) from checkpoint_blobs where thread_id = %(name)s)"
            " + (select count(*) from checkpoint_writes where thread_id = %(name)s)"
            " + (select count(*) from langyard.events where thread_id = %(id)s) as n",
            {"name": str(self.thread_id), "id": self.thread_id},
        )
        return row["n"] if row else -1

    async def die(self) -> None:
        """The worker's lease lapses and somebody looks."""
        await self.database.execute("update langyard.workers set expires_at = now() - interval '1 second'")
        await bury(self.database, ttl_s=0.0, max_attempts=3)
        self.worker_id = uuid.uuid4()
        await asyncio.to_thread(register, self.url, self.worker_id)


def register(url: str, worker_id: uuid.UUID) -> None:
    heartbeat = Heartbeat(url, worker_id, 60.0)
    heartbeat.register(host="h", pid=1, version="0", slots=9, graphs=["g"])
    heartbeat.close()
