"""LangGraph's published conformance kit for checkpointers, on what we ship: with a run's lease and without one."""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer

from langyard.postgres.checkpoints import Checkpointer, Scope
from langyard.postgres.database import Database
from langyard.postgres.writer import Lease, Writer

_RUN = """
with w as (
    insert into langyard.workers (worker_id, host, pid, version, slots, graphs, expires_at)
    values (%(worker)s, 'here', 1, '0', 1, '{}', now() + interval '1 hour')
), t as (
    insert into langyard.threads (thread_id, status, open_runs) values (%(thread)s, 'busy', 1) returning thread_id
)
insert into langyard.runs (run_id, thread_id, graph_id, kwargs, status, worker_id, fence, attempt)
select %(run)s, thread_id, 'kit', '{}', 'running', %(worker)s, 1, 1 from t
"""


async def _lease(database: Database) -> Lease:
    run, thread, worker = (UUID(int=uuid.uuid4().int) for _ in range(3))
    await database.execute(_RUN, {"run": run, "thread": thread, "worker": worker})
    return Lease(run, thread, 1)


def _kit(url: str, *, leased: bool, wait: bool) -> RegisteredCheckpointer:
    name = f"Checkpointer {'of a run' if leased else 'of nobody'}, {'waiting' if wait else 'writing behind'}"

    @checkpointer_test(name)
    async def made() -> AsyncGenerator[Checkpointer, None]:
        database = Database(url, name="kit")
        await database.open()
        writer = Writer(database)
        writer.start()
        lease = await _lease(database) if leased else None
        yield Checkpointer(database, writer, Scope(lease=lease, wait=wait))
        await writer.close()
        await database.close()

    return made


@pytest.mark.parametrize(
    ("leased", "wait"), [(False, True), (True, True), (True, False)], ids=["nobody", "run-waiting", "run-write-behind"]
)
async def test_every_capability_of_the_kit(database, leased, wait, record_property):
    report = await validate(_kit(database, leased=leased, wait=wait))

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        report.print_report()
    record_property("conformance", said.getvalue())
    failures = [failure for result in report.results.values() for failure in result.failures]
    assert report.conformance_level() == "FULL", "\n".join([said.getvalue(), *failures])
    assert {name for name, result in report.results.items() if result.passed} == {c.value for c in ALL_CAPABILITIES}
