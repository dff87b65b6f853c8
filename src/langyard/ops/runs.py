"""Runs from the operator's side: found, looked at, stopped, driven again, and put right. Called by `langyard runs`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from langyard.model.errors import Conflict, NotFound
from langyard.model.ids import uuid7
from langyard.model.runs import ENDED, RunRequest
from langyard.postgres import runs as rows
from langyard.postgres import starts
from langyard.postgres.database import Database, Row
from langyard.postgres.rows import cancelling, oversight
from langyard.postgres.rows.workers import bury

REASON = "it was stopped by the operator"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs are meant; what is None does not matter. `older_s` is seconds since they were made."""

    status: str | None = None
    thread_id: UUID | None = None
    graph_id: str | None = None
    quarantined: bool = False
    older_s: float | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that is wrong, and what was done, or would be."""

    what: str
    id: UUID
    done: str


async def search(database: Database, wanted: Wanted) -> list[dict[str, Any]]:
    """The runs that are meant, the newest first."""
    return [dict(row) for row in await oversight.search(database, asdict(wanted))]


async def show(database: Database, run_id: UUID) -> dict[str, Any]:
    """All that is known of a run, with the checkpoints of its thread. Raises `NotFound`."""
    row = await _get(database, run_id)
    return {**row, "checkpoints": [dict(each) for each in await oversight.checkpoints(database, row["thread_id"])]}


async def cancel(database: Database, run_id: UUID, *, rollback: bool = False) -> str:
    """Stop a run wherever it is: `ended`, or `asked` when a worker has yet to. Raises `NotFound`, `Conflict`."""
    state = await cancelling.cancel(database, run_id, action="rollback" if rollback else "interrupt", reason=REASON)
    if state is None:
        row = await _get(database, run_id)
        raise Conflict(f"Run {run_id} is not under way: it is {row['status']}.", code="run_not_active")
    return state


async def retry(database: Database, run_id: UUID, *, checkpoint_id: str | None = None) -> UUID:
    """Drive an ended run again, as a new run on its thread: from the checkpoint that is named, else from its own last
    one, else from its input. The new run's id. Raises `NotFound`, `Conflict`."""
    row = await _get(database, run_id)
    if row["status"] not in ENDED:
        raise Conflict(f"Run {run_id} is {row['status']}; only one that has ended can be driven again.")
    kwargs = {name: value for name, value in row["kwargs"].items() if name not in ("temporary", "checkpoint")}
    known = await oversight.checkpoints(database, row["thread_id"], limit=10_000 if checkpoint_id else 1)
    if checkpoint_id is not None:
        if checkpoint_id not in {each["checkpoint_id"] for each in known}:
            raise NotFound(f"The thread of run {run_id} has no checkpoint {checkpoint_id!r}.", code="not_found")
        kwargs["checkpoint"] = {"checkpoint_id": checkpoint_id}
    if checkpoint_id is not None or (known and known[0]["run_id"] == str(run_id)):
        # It has taken its input, or answer, in already.
        kwargs = {**kwargs, "input": None, "command": None}
    elif row["kwargs"].get("checkpoint"):
        kwargs["checkpoint"] = row["kwargs"]["checkpoint"]
    request = RunRequest(
        run_id=uuid7(),
        graph_id=row["graph_id"],
        kwargs=kwargs,
        user_id=row["user_id"],
        thread_id=row["thread_id"],
        assistant_id=row["assistant_id"],
        metadata={**row["metadata"], "retry_of": str(run_id)},
        priority=row["priority"],
    )
    if await starts.start(database, request, None) is None:
        raise NotFound(f"The thread of run {run_id} is not there any more.", code="thread_not_found")
    return request.run_id


async def repair(database: Database, *, ttl_s: float, max_attempts: int, dry_run: bool = False) -> list[Repair]:
    """Put right what is wrong: runs of workers that do not live, threads whose counter or status is not what their runs
    say, runs that nobody lets into the queue. With `dry_run` it is only said."""
    if dry_run:
        found = [
            Repair("running without a worker", run_id, "would be taken over") for run_id in await _orphans(database)
        ]
        found += [
            Repair(_wrong(row), row["thread_id"], "would be recounted") for row in await oversight.miscounted(database)
        ]
        return found
    taken = await bury(database, ttl_s=ttl_s, max_attempts=max_attempts)
    found = [Repair("running without a worker", run_id, f"is {status}") for run_id, status in taken]
    for row in await oversight.miscounted(database):
        if (now := await oversight.recount(database, row["thread_id"])) is not None:
            found.append(Repair(_wrong(row), row["thread_id"], f"is {now['status']} with {now['open_runs']} open"))
    after: UUID | None = None
    while True:
        healed, after = await rows.heal(database, after)
        if healed:
            found.append(Repair(f"{healed} runs waiting for nobody", UUID(int=0), "are let into the queue"))
        if after is None:
            break
    if found:
        await oversight.wake(database)
    return found


async def _orphans(database: Database) -> list[UUID]:
    return await oversight.orphans(database)


def _wrong(row: Row) -> str:
    return f"thread {row['status']} with {row['open_runs']} open runs counted, {row['counted']} there"


async def _get(database: Database, run_id: UUID) -> Row:
    row = await oversight.find(database, run_id)
    if row is None:
        raise NotFound(f"There is no run {run_id}.", code="run_not_found")
    return row
