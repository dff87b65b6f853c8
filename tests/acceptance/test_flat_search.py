"""Searching and listing cost the same however much there is: every statement a route really sends, on big tables."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from langyard.postgres.database import Database
from langyard.postgres.migrations import index_values
from langyard.postgres.queries import load
from tests.unit.gateway.serving import Served, serve

pytestmark = pytest.mark.slow

THREADS, CHECKPOINTS, RUNS, OTHERS = 100_000, 1_000_000, 200_000, 20_000
BIG = {
    "threads", "runs", "checkpoints", "checkpoint_blobs", "checkpoint_writes", "events", "sessions", "crons", "store",
}  # fmt: skip
# Rows read for a page of ten: some that a filter throws away, groups of equal times, a look ahead.
MOST = 2_000
BUILD = f"""
insert into langyard.assistants (assistant_id, graph_id, name, metadata, created_at, updated_at)
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'g' || n % 20, 'Assistant ' || n,
    jsonb_build_object('team', n % 500), now() - n * interval '1 minute', now() - n * interval '1 second'
from generate_series(1, {OTHERS}) n;
insert into langyard.threads (thread_id, status, metadata, "values", interrupts, created_at, updated_at,
    state_updated_at)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
    case when n % 1000 = 0 then 'interrupted' when n % 997 = 0 then 'error' else 'idle' end,
    jsonb_build_object('owner', 'user' || n % 2000, 'graph_id', 'echo', 'nested', jsonb_build_object('n', n % 5000)),
    jsonb_build_object('x', n % 10, 'rare', n, 'text', repeat('word ', 20)), '{{}}',
    now() - n * interval '1 minute', now() - n * interval '1 second', now() - n * interval '2 seconds'
from generate_series(1, {THREADS}) n;
insert into langyard.runs (run_id, thread_id, assistant_id, graph_id, user_id, status, kwargs, metadata, created_at,
    started_at, finished_at)
select ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid,
    ('00000000-0000-7000-8000-' || lpad((n % {THREADS} + 1)::text, 12, '0'))::uuid,
    '00000000-0000-4000-8000-000000000001', 'echo', 'user' || n % 2000, 'success', '{{}}', '{{}}',
    now() - n * interval '1 second', now() - n * interval '1 second', now() - n * interval '1 second'
from generate_series(1, {RUNS}) n;
insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata)
select '00000000-0000-7000-8000-' || lpad((n % {THREADS} + 1)::text, 12, '0'), '', lpad(n::text, 12, '0'),
    '{{"v": 4, "channel_versions": {{}}, "channel_values": {{}}}}', '{{"step": 1}}'
from generate_series(1, {CHECKPOINTS}) n;
insert into checkpoint_blobs (thread_id, channel, version, type, blob)
select '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), 'x', '1', 'msgpack', 'x'
from generate_series(1, {OTHERS}) n;
insert into checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, type, blob)
select '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), '1', 't', 0, 'x', 'msgpack', 'x'
from generate_series(1, {OTHERS}) n;
insert into langyard.events (run_id, seq, thread_id, event, data)
select ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 1,
    ('00000000-0000-7000-8000-' || lpad((n % {THREADS} + 1)::text, 12, '0'))::uuid, 'values', 'x'
from generate_series(1, {OTHERS}) n;
insert into langyard.sessions (session_id, user_id, thread_id, ttl, expires_at, last_accessed)
select 's' || n, 'user' || n % 500, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, interval '1 day',
    now() + interval '1 day', now() - n * interval '1 second'
from generate_series(1, {OTHERS}) n;
insert into langyard.crons (cron_id, assistant_id, thread_id, schedule, payload, metadata, next_run_date, end_time,
    created_at, updated_at, enabled)
select ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid,
    ('00000000-0000-4000-8000-' || lpad((n % 1000 + 1)::text, 12, '0'))::uuid,
    ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '0 0 1 1 *', '{{}}',
    jsonb_build_object('k', n % 1000), now() + interval '1 day' + n * interval '1 second',
    now() + interval '9 days' + n * interval '1 second', now() - n * interval '1 second',
    now() - n * interval '1 minute', n % 2 = 0
from generate_series(1, {OTHERS}) n;
insert into store (prefix, key, value, updated_at)
select 'users.u' || n % 1000, 'k' || n, jsonb_build_object('n', n), now() - n * interval '1 second'
from generate_series(1, {OTHERS}) n;
"""


# Explained, a change would be made twice.
_CHANGES = re.compile(r"\b(insert into|update \w|delete from|for update)", re.IGNORECASE)


class Watching:
    """Explains every question before it is asked, with the parameters it is asked with."""

    def __init__(self) -> None:
        self.plans: list[tuple[str, dict[str, Any]]] = []

    @contextlib.contextmanager
    def looking(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        asked = Database.fetch

        async def fetch(database: Database, sql: Any, params: Mapping[str, Any] | None = None) -> Any:
            if not _CHANGES.search(sql):
                explain: Any = f"explain (analyze, timing off, format json) {sql}"
                async with database.pool.connection() as connection:
                    row = await (await connection.execute(explain, params)).fetchone()
                assert row is not None
                self.plans.append((sql, row["QUERY PLAN"][0]["Plan"]))
            return await asked(database, sql, params)

        with monkeypatch.context() as patch:
            patch.setattr(Database, "fetch", fetch)
            yield


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def check(what: str, sql: str, plan: dict[str, Any], *, most: int | None = MOST) -> None:
    """No big table is read whole, and no more of it than a small multiple of the page."""
    told = f"{what}\n{sql}\n{json.dumps(plan, indent=1)[:6000]}"
    read = 0.0
    for node in nodes(plan):
        table = node.get("Relation Name")
        assert not (node["Node Type"] == "Seq Scan" and table in BIG), f"{table} is read whole\n{told}"
        if "Scan" in node["Node Type"] and table in BIG:
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            read += (node["Actual Rows"] + removed) * node["Actual Loops"]
    assert most is None or read <= most, f"{read:g} rows are read\n{told}"


@pytest.fixture
async def big(database: str) -> AsyncIterator[tuple[Served, str]]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(BUILD)
        connection.execute("vacuum analyze")
    async with serve(database) as served:
        yield served, database


def asked() -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Every route that searches or lists, with every order and every kind of filter."""
    thread_id = "00000000-0000-7000-8000-000000000500"
    threads: list[dict[str, Any]] = [
        {}, {"status": "interrupted"}, {"status": "idle"}, {"metadata": {"owner": "user7"}},
        {"metadata": {"graph_id": "echo"}}, {"metadata": {"nested": {"n": 7}}}, {"values": {"x": 3}},
        {"ids": [thread_id]}, {"metadata": {"owner": "user7"}, "status": "idle"},
        {"metadata": {"owner": "nobody"}},
    ]  # fmt: skip
    for by in ("thread_id", "status", "created_at", "updated_at", "state_updated_at"):
        for order in ("asc", "desc"):
            for filters in threads:
                yield "POST", "/threads/search", {**filters, "sort_by": by, "sort_order": order}
    yield "POST", "/threads/search", {"offset": 500, "limit": 100}
    yield "POST", "/threads/search", {"extract": {"a": "values.x"}, "select": ["thread_id"]}
    for filters in threads:
        # To count what all have is to read all.
        if not {"ids", "values"} & filters.keys() and filters != {"metadata": {"graph_id": "echo"}}:
            yield "POST", "/threads/count", filters
    for path in (
        "",
        "?include=ttl",
        "/storage",
        "/runs",
        "/runs?status=success",
        "/runs?status=error&limit=5",
    ):
        yield "GET", f"/threads/{thread_id}{path}", None
    yield "GET", "/runs/00000000-0000-7000-9000-000000000001", None
    yield "GET", "/sessions?user_id=user7", None


def asked_of_the_smaller() -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """The same of assistants and crons."""
    thread_id = "00000000-0000-7000-8000-000000000500"
    for by in ("assistant_id", "graph_id", "name", "created_at", "updated_at"):
        for order in ("asc", "desc"):
            for filters in ({}, {"graph_id": "g3"}, {"metadata": {"team": 7}}, {"name": "Assistant 1999"}):
                yield "POST", "/assistants/search", {**filters, "sort_by": by, "sort_order": order}
    crons = ("cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at")
    kinds: list[dict[str, Any]] = [
        {}, {"assistant_id": "00000000-0000-4000-8000-000000000007"}, {"thread_id": thread_id},
        {"metadata": {"k": 7}}, {"enabled": True},
    ]  # fmt: skip
    for by in crons:
        for order in ("asc", "desc"):
            for kind in kinds:
                yield "POST", "/runs/crons/search", {**kind, "sort_by": by, "sort_order": order}
    yield "POST", "/runs/crons/count", {"thread_id": thread_id}


async def test_no_list_is_found_by_reading_a_whole_table(
    big: tuple[Served, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, url = big
    for method, path, body in (*asked(), *asked_of_the_smaller()):
        watching = Watching()
        with watching.looking(monkeypatch):
            answer = await served.http.request(method, path, json=body)
        assert answer.status_code == 200, f"{method} {path} {body}: {answer.text}"
        assert watching.plans, f"{method} {path} asked nothing"
        # A count reads what it counts: of an index, and no more of it.
        most = None if path.endswith("/count") else MOST
        for sql, plan in watching.plans:
            check(f"{method} {path} {body}", sql, plan, most=most)

    # By values that are rare, with the index that is there if one asks for it.
    await index_values(url)
    await index_values(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze langyard.threads")
    for path in ("/threads/search", "/threads/count"):
        watching = Watching()
        with watching.looking(monkeypatch):
            answer = await served.http.request("POST", path, json={"values": {"rare": 77_777}})
        found = answer.json()
        assert found == 1 or [row["thread_id"] for row in found] == ["00000000-0000-7000-8000-000000077777"]
        for sql, plan in watching.plans:
            check(path, sql, plan)
    await check_history(url)
    await check_sweeps(served)


async def check_history(url: str) -> None:
    """LangGraph's own question for a page of history, as its saver words it."""
    config: Any = {"configurable": {"thread_id": "00000000-0000-7000-8000-000000000500", "checkpoint_ns": ""}}
    async with AsyncPostgresSaver.from_conn_string(url) as saver:
        where, args = saver._search_where(config, None, None)
        sql = f"{saver.SELECT_SQL}{where} order by checkpoint_id desc limit 10"
        with psycopg.connect(url) as connection:
            row = connection.execute(f"explain (analyze, format json) {sql}", args).fetchone()
    assert row is not None
    check("history", sql, row[0][0]["Plan"])


async def check_sweeps(served: Served) -> None:
    """A sweep that finds nothing has read next to nothing."""
    counts = "select coalesce(sum(seq_tup_read), 0)::int8 as n from pg_stat_xact_user_tables where relname = any(%s)"
    database = served.app.database
    sweeps: list[tuple[LiteralString, dict[str, Any]]] = [
        (load("threads")["due"], {"limit": 50, "paused": False}),
        (load("agent_runs")["due"], {"grace_s": 600.0, "limit": 500}),
        (load("agent_runs")["forget_outcomes"], {"after_s": 600.0, "limit": 500}),
        (load("agent_runs")["expire"], {"after_s": 1e7, "limit": 500, "before": UUID(int=0)}),
        (load("events")["sweep"], {"retention_s": 600.0, "limit": 5000}),
        (load("webhooks")["claim"], {"hold_s": 60.0, "limit": 16}),
        (load("sessions")["due"], {"grace_s": 0.0, "limit": 100}),
    ]
    for sql, params in sweeps:
        async with database.connection() as connection, connection.transaction():
            await connection.execute(sql, params)
            row = await (await connection.execute(counts, [list(BIG)])).fetchone()
            assert row is not None
            assert row["n"] <= MOST, sql
