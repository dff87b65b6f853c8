"""The command `langyard runs`: look after runs, on the database; the server need not answer, or be up."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer

from langyard.cli.flags import Home
from langyard.cli.progress import Progress
from langyard.cli.runs.printing import described, show, table
from langyard.cli.storage import opened
from langyard.config import Settings, load
from langyard.model.errors import Invalid

if TYPE_CHECKING:
    from langyard.postgres.database import Database

T = TypeVar("T")


class Action(enum.StrEnum):
    """What is to be done."""

    list = "list"
    show = "show"
    cancel = "cancel"
    retry = "retry"
    repair = "repair"


class Status(enum.StrEnum):
    """How a run stands."""

    pending = "pending"
    running = "running"
    success = "success"
    error = "error"
    timeout = "timeout"
    interrupted = "interrupted"


def runs(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="list, show, cancel, retry or repair.")],
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="Which run, for show, cancel and retry.")] = None,
    status: Annotated[Status | None, typer.Option(help="list: only runs that stand so.")] = None,
    thread: Annotated[str | None, typer.Option(metavar="ID", help="list: only runs on this thread.")] = None,
    graph: Annotated[str | None, typer.Option(metavar="NAME", help="list: only runs of this graph.")] = None,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="list: only runs under which workers died too often.")
    ] = False,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="list: only runs made longer ago: 30s, 10m, 2h, 7d.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="list: at most this many.")] = 50,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="cancel: delete the run and its checkpoints as well.")
    ] = False,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="ID", help="retry: go on from this checkpoint of the thread.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="repair: say what is wrong, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    home: Home = None,
) -> None:
    """Look after runs: list and show them, cancel one, drive one again, put right what is wrong.

    list shows the newest first. show tells attempts, worker, lease, error and checkpoints. cancel stops a run wherever
    it is. retry drives an ended run again, as a new run on its thread: from --checkpoint, else from its own last
    checkpoint, else from its input. repair takes over runs of dead workers and recounts threads. Works on the database
    of DATABASE_URL, or else Langyard's own.
    """
    from langyard.ops import runs as ops

    settings = load(overrides={"home": home})
    if action is Action.list:
        wanted = ops.Wanted(
            status=status.value if status is not None else None,
            thread_id=_uuid(thread, "--thread") if thread is not None else None,
            graph_id=graph,
            quarantined=quarantined,
            older_s=_seconds(older_than) if older_than is not None else None,
            limit=limit,
        )
        found = _on_database(settings, lambda database: ops.search(database, wanted))
        show(found if as_json else table(found), as_json=as_json)
    elif action is Action.repair:
        ttl_s, most = settings.worker.lease_ttl_seconds, settings.runs.max_attempts
        repairs = _on_database(
            settings, lambda database: ops.repair(database, ttl_s=ttl_s, max_attempts=most, dry_run=dry_run)
        )
        listed = [{"what": each.what, "id": each.id, "done": each.done} for each in repairs]
        lines = [f"{each.id}  {each.what}: {each.done}" for each in repairs] or ["Nothing is wrong."]
        show(listed if as_json else "\n".join(lines), as_json=as_json)
    elif run_id is None:
        raise typer.BadParameter(f"`langyard runs {action}` needs a RUN.")
    else:
        _one(settings, action, _uuid(run_id, "RUN"), rollback=rollback, checkpoint=checkpoint, as_json=as_json)


def _one(
    settings: Settings, action: Action, run_id: UUID, *, rollback: bool, checkpoint: str | None, as_json: bool
) -> None:
    """What is done with one run."""
    from langyard.ops import runs as ops

    if action is Action.show:
        shown = _on_database(settings, lambda database: ops.show(database, run_id))
        show(shown if as_json else described(shown), as_json=as_json)
    elif action is Action.cancel:
        state = _on_database(settings, lambda database: ops.cancel(database, run_id, rollback=rollback))
        said = "It has ended." if state == "ended" else "It is told to stop."
        show({"run_id": run_id, "state": state} if as_json else said, as_json=as_json)
    else:
        made = _on_database(settings, lambda database: ops.retry(database, run_id, checkpoint_id=checkpoint))
        show({"run_id": made, "retry_of": run_id} if as_json else str(made), as_json=as_json)


def _on_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """What `work` gives, on a database that is opened for it."""
    from langyard.postgres.database import Database

    async def run(url: str, pooler: bool) -> T:
        database = Database(url, name="runs", max_size=2, transaction_pooler=pooler)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    with opened(settings, Progress(as_json=settings.log.format == "json")) as storage:
        return asyncio.run(run(storage.url, settings.database.pooler == "transaction"))


def _uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(f"{name} is {text[:50]!r}, which is no id.") from None


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or len(number) > 9 or unit not in units:
        raise Invalid(f"--older-than is {text[:50]!r}; accepted: a whole number with s, m, h or d, as in 10m.")
    return float(number) * units[unit]
