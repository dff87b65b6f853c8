"""The invariants, checked when everything has become quiet. Reads the database, the ledger and what the clients saw.

Honest about frozen processes: one that was frozen or cut off may compute on without knowing that it has lost its lease,
but nothing it writes may be let in; one that nothing was done to must not even compute.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.acceptance.chaos.history import History, Told

Rows = list[dict[str, Any]]


class Place(Protocol):
    """A server: where it is asked, which processes it was, and when harm was done to it."""

    @property
    def address(self) -> str: ...

    pids: set[int]
    harmed: list[tuple[float, float]]


class Scene(Protocol):
    """What is looked at: a yard, or a crossroads. `down` is when the database was away."""

    lease_s: float
    down: list[tuple[float, float]]

    @property
    def servers(self) -> Sequence[Place]: ...

    def connect(self) -> psycopg.Connection[Any]: ...

    def executions(self) -> list[dict[str, Any]]: ...


# How long after a harm it still excuses: until the lease lapsed, somebody looked, and the process heard of it.
_AFTER_S = 3.0
_CLOCK_S = 0.05

_OPEN = "select count(*) as n from langyard.runs where status in ('pending', 'running')"
_RUNS = "select run_id::text, thread_id::text, graph_id, status, temporary, kwargs, finished_at from langyard.runs"
_THREADS = """select thread_id::text, status, open_runs,
        "values" -> 'runs' as runs, metadata ->> 'graph_id' as graph_id,
        (select count(*) from langyard.runs r
        where r.thread_id = t.thread_id and status in ('pending', 'running')) as counted
    from langyard.threads t"""
_OWNED = """select run_id::text, thread_id::text, status, fence, attempt, pid, extract(epoch from at)::float8 as at
    from chaos.ownership order by id"""
_STRAYS = "select run_id, attempt, owner from chaos.strays"
_ORPHANS = {
    "events of no run": "select run_id::text as what from langyard.events e "
    "where not exists (select from langyard.runs r where r.run_id = e.run_id)",
    "checkpoints of no thread": "select thread_id as what from checkpoints c "
    "where not exists (select from langyard.threads t where t.thread_id::text = c.thread_id)",
    # Deleted while another was open on the thread, a run leaves those that the other goes on from.
    "checkpoints of no run": "select metadata ->> 'run_id' as what, thread_id as thread from checkpoints c "
    "where metadata ->> 'run_id' is not null "
    "and not exists (select from langyard.runs r where r.run_id::text = c.metadata ->> 'run_id')",
    # An answer on a thread where nothing ever ran: LangGraph writes it to a checkpoint that it never stores.
    "pending writes of no checkpoint": "select thread_id as what from checkpoint_writes w "
    "where channel <> '__resume__' and not exists ("
    "select from checkpoints c where (c.thread_id, c.checkpoint_ns, c.checkpoint_id) "
    "= (w.thread_id, w.checkpoint_ns, w.checkpoint_id))",
    "values of no checkpoint": "select thread_id || ' ' || channel as what from checkpoint_blobs b where not exists ("
    "select from checkpoints c where (c.thread_id, c.checkpoint_ns) = (b.thread_id, b.checkpoint_ns) "
    "and c.checkpoint -> 'channel_versions' ->> b.channel = b.version)",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """Which promise is broken, and by what."""

    promise: str
    what: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A worker process had a run from `since` to `until`, when it was perhaps `deleted` under it."""

    run_id: str
    thread_id: str
    pid: int | None
    since: float
    until: float
    deleted: bool = False


class Checker:
    """One look at a quiet yard: `check` gives what is wrong."""

    def __init__(self, scene: Scene, history: History, stalls: list[tuple[float, float]] | None = None) -> None:
        self._scene = scene
        self._history = history
        self._stalls = stalls or []
        with scene.connect() as connection:
            connection.row_factory = dict_row

            def rows(sql: str) -> Rows:
                return connection.execute(sql).fetchall()

            self._runs = {row["run_id"]: row for row in rows(_RUNS)}
            self._threads = rows(_THREADS)
            self._owned = rows(_OWNED)
            self._strays = rows(_STRAYS)
            self._orphans = {kind: rows(sql) for kind, sql in _ORPHANS.items()}
        self.holdings = list(_holdings(self._owned))

    async def check(self) -> list[Violation]:
        """Everything that is wrong."""
        found = [
            *self._ends(), *self._cancellations(), *self._overlaps(), *self._computing(), *self._late_writes(),
            *self._threads_agree(), *self._orphaned(), *self._truth(),
        ]  # fmt: skip
        return found + await self._states()

    def _ends(self) -> Iterator[Violation]:
        for row in self._runs.values():
            if row["status"] in ("pending", "running"):
                yield Violation("every accepted run ends", f"{row['run_id']} is {row['status']}")
        for run in self._history.accepted.values():
            gone = run.run_id not in self._runs
            if gone and run.thread_id is not None and not self._history.may_be_gone(run.run_id, run.thread_id):
                yield Violation("no accepted run is lost", f"{run.run_id} ({run.way}) is not there")

    def _cancellations(self) -> Iterator[Violation]:
        for run_id, action in self._history.cancelled.items():
            row = self._runs.get(run_id)
            if row is not None and (action == "rollback" or row["status"] != "interrupted"):
                said = f"{run_id} was to stop ({action}) and is {row['status']}"
                yield Violation("a cancellation that was accepted holds", said)

    def _overlaps(self) -> Iterator[Violation]:
        by_thread = defaultdict(list)
        for holding in self.holdings:
            by_thread[holding.thread_id].append(holding)
        for held in by_thread.values():
            held.sort(key=lambda holding: holding.since)
            for one, following in itertools.pairwise(held):
                if following.since < one.until:
                    said = f"{one.run_id} and {following.run_id} on {one.thread_id}"
                    yield Violation("a thread runs one run at a time", said)

    def _computing(self) -> Iterator[Violation]:
        """Nodes that ran in a process that had no lease on their run, though nothing had been done to it."""
        by_run = defaultdict(list)
        for holding in self.holdings:
            by_run[holding.run_id].append(holding)
        for entry in self._scene.executions():
            pid, at = entry["pid"], entry["at"]
            # One whose thread somebody deletes a moment after its claim hears of it at its next write.
            held = any(
                holding.pid == pid and holding.since - _CLOCK_S <= at
                and (at <= holding.until + _CLOCK_S or holding.deleted)
                for holding in by_run[entry["run_id"]]
            )  # fmt: skip
            if not held and not self._excused(pid, at):
                said = f"{entry['what']} of {entry['node']} of {entry['run_id']} by process {pid}"
                yield Violation("who computes has the lease", said)

    def _excused(self, pid: int, at: float) -> bool:
        server = next((server for server in self._scene.servers if pid in server.pids), None)
        harms = [*(server.harmed if server is not None else ()), *self._scene.down, *self._stalls]
        return any(began <= at <= ended + self._scene.lease_s + _AFTER_S for began, ended in harms)

    def _late_writes(self) -> Iterator[Violation]:
        for row in self._strays:
            said = f"attempt {row['attempt']} of {row['run_id']} wrote a checkpoint, which was {row['owner']}"
            yield Violation("who has lost the lease cannot write", said)

    def _threads_agree(self) -> Iterator[Violation]:
        for row in self._threads:
            if row["open_runs"] != row["counted"]:
                said = f"{row['thread_id']} counts {row['open_runs']}, has {row['counted']}"
                yield Violation("a thread knows its open runs", said)
            if (row["status"] == "busy") != (row["counted"] > 0):
                said = f"{row['thread_id']} is {row['status']} with {row['counted']} open"
                yield Violation("a thread is busy if and only if runs are open", said)

    def _orphaned(self) -> Iterator[Violation]:
        for kind, found in self._orphans.items():
            rows = [row for row in found if row.get("thread", row["what"]) not in self._history.mutilated]
            if rows:
                yield Violation("nothing is left behind", f"{len(rows)} {kind}: {rows[0]['what']}")

    def _truth(self) -> Iterator[Violation]:
        for surprise in self._history.surprises:
            yield Violation("every answer is one that is documented", surprise)
        for name in self._history.stuck:
            yield Violation("who waits is told", f"a {name} still waits")
        for told in self._history.told:
            if said := self._false(told):
                yield Violation("who waits is told the truth", f"{told.way} of {told.run_id}: {said}")

    def _false(self, told: Told) -> str | None:
        row = self._runs.get(told.run_id)
        accepted = self._history.accepted[told.run_id]
        stopped = accepted.thread_id is None or self._history.may_be_gone(told.run_id, accepted.thread_id)
        if row is None or row["temporary"]:
            if told.error is not None and told.way not in ("join", "join stream") and accepted.thread_id is None:
                return f"failed with {told.error}"
            return None if stopped else "it is gone"
        if told.error is not None:
            # A thread that is being deleted ends its readers before it goes; a reader may come too late for a run.
            return None if row["status"] in ("error", "timeout") or stopped else f"{told.error}, but {row['status']}"
        if told.status is not None and told.way != "workflow" and told.status != row["status"]:
            return f"told {told.status}, but {row['status']}"
        if row["thread_id"] in self._history.mutilated:
            return None
        if told.runs is not None and row["status"] == "success" and "command" not in row["kwargs"]:
            final = next((t["runs"] or [] for t in self._threads if t["thread_id"] == row["thread_id"]), [])
            if told.way != "join" and told.run_id not in told.runs:
                return "its own work is not in the state it was told"
            if list(told.runs) != final[: len(told.runs)]:
                return f"told {told.runs}, but the thread has {final}"
        return None

    async def _states(self) -> list[Violation]:
        """The state is the sum of the finished runs, in the snapshot and live."""
        found = []
        by_thread = defaultdict(list)
        for row in self._runs.values():
            by_thread[row["thread_id"]].append(row)
        asked = {(e["run_id"]) for e in self._scene.executions() if (e["what"], e["node"]) == ("end", "ask")}
        live = await self._live([row["thread_id"] for row in self._threads if row["graph_id"]])
        for thread in self._threads:
            rows = by_thread[thread["thread_id"]]
            if any(row["temporary"] for row in rows) or thread["thread_id"] in self._history.mutilated:
                continue
            summed = thread["runs"] or []
            done = [row for row in rows if row["status"] == "success"]
            must = [
                row["run_id"] for row in sorted(done, key=lambda row: row["finished_at"])
                if "command" not in row["kwargs"] or row["run_id"] in asked
            ]  # fmt: skip
            said = f"{thread['thread_id']} has {summed}"
            if len(set(summed)) < len(summed):
                found.append(Violation("a run's work is in the state once", said))
            if strangers := set(summed) - {row["run_id"] for row in rows}:
                found.append(Violation("what is rolled back is in no state", f"{said}, of them no run: {strangers}"))
            if [run_id for run_id in summed if run_id in set(must)] != must:
                found.append(Violation("the state is the sum of the finished runs", f"{said}, and must have {must}"))
            now = live.get(thread["thread_id"])
            if now is not None and (now["values"].get("runs") or []) != summed:
                found.append(Violation("the snapshot is the state", f"{said}, and live {now['values']}"))
            stands = thread["status"] != "error"  # what has failed may be gone on with or not
            if now is not None and stands and bool(now["next"]) != (thread["status"] == "interrupted"):
                said = f"{thread['thread_id']} is {thread['status']}, next is {now['next']}"
                found.append(Violation("a thread's status is that of its state", said))
        return found

    async def _live(self, thread_ids: list[str]) -> dict[str, dict[str, Any]]:
        async with httpx.AsyncClient(base_url=self._scene.servers[0].address, timeout=30, trust_env=False) as http:
            return {thread_id: (await http.get(f"/threads/{thread_id}/state")).json() for thread_id in thread_ids}


async def quiet(scene: Scene, wait_s: float = 60.0) -> bool:
    """Wait until nothing is open any more; False when it does not come to that."""
    deadline = time.monotonic() + wait_s
    with scene.connect() as connection:
        while time.monotonic() < deadline:
            row = connection.execute(_OPEN).fetchone()
            if row is not None and row[0] == 0:
                return True
            await asyncio.sleep(0.1)
    return False


def recoveries(kills: list[tuple[float, int]], holdings: list[Holding]) -> list[float]:
    """Seconds from each death to the next claim of each run that the dead process had."""
    found = []
    for at, pid in kills:
        for lost in holdings:
            if lost.pid == pid and lost.since <= at < lost.until:
                again = [held.since for held in holdings if held.run_id == lost.run_id and held.since >= lost.until]
                found += [min(again) - at] if again else []
    return sorted(found)


def _holdings(owned: Rows) -> Iterator[Holding]:
    last: dict[str, dict[str, Any]] = {}
    for row in owned:
        before = last.get(row["run_id"])
        if before is not None and before["status"] == "running":
            deleted = row["status"] == "deleted"
            yield Holding(row["run_id"], row["thread_id"], before["pid"], before["at"], row["at"], deleted)
        last[row["run_id"]] = row
    for row in last.values():
        if row["status"] == "running":
            yield Holding(row["run_id"], row["thread_id"], row["pid"], row["at"], time.time())
