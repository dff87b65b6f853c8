"""Runs told to stop, one or many. Called by the rules in `runs` and by `ops`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from langyard.postgres.arrays import Uuids
from langyard.postgres.database import Database, Row
from langyard.postgres.queries import load

_CANCEL = load("runs")["cancel"]
_WAITING = _CANCEL.format(patience="")
_FREE = _CANCEL.format(patience="skip locked")
_AT_ONCE = 500


async def cancel(database: Database, run_id: UUID, *, action: str, reason: str) -> str | None:
    """End a run that nobody has begun, or ask it to stop. `ended`, `asked`, or None when there is nothing to stop."""
    return (await cancel_many(database, [run_id], action=action, reason=reason)).get(run_id)


async def cancel_many(database: Database, run_ids: Sequence[UUID], *, action: str, reason: str) -> dict[UUID, str]:
    """The same for many: what became of those that could be stopped.

    Those of a thread that somebody holds come last and one by one: who waits while holding others may be waited for.
    """
    said, found = {"action": action, "reason": reason}, dict[UUID, str]()
    several = run_ids if len(run_ids) > 1 else ()
    left = [] if several else list(run_ids)
    for start in range(0, len(several), _AT_ONCE):
        some = Uuids(several[start : start + _AT_ONCE])
        rows = await database.fetch(_FREE, {**said, "run_ids": some})
        found |= {row["run_id"]: _stopped(row) for row in rows if not row["left"]}
        left += [row["run_id"] for row in rows if row["left"]]
    for run_id in left:
        rows = await database.fetch(_WAITING, {**said, "run_ids": Uuids([run_id])})
        found |= {row["run_id"]: _stopped(row) for row in rows}
    return found


def _stopped(row: Row) -> str:
    return "ended" if row["ended"] else "asked"
