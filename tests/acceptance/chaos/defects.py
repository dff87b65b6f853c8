"""`langyard` with defects planted in it, as a program: the harness must find each of them.

`yard.Server` starts it in the place of `langyard`, with the defects' names before the arguments, commas between. Each
is one that somebody could build in good faith.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from langyard import cli
from langyard.postgres import runs, writer
from langyard.postgres.rows import workers
from langyard.worker.worker import Worker

Heartbeat = workers.Heartbeat


def unfenced() -> None:
    """Writes are let in whoever has the run by now."""
    for name in ("WRITE", "_WRITE_KEEPING"):
        setattr(writer, name, _without(getattr(writer, name), " and r.fence = g.fence"))


def noticed_late() -> None:
    """No defect: a process that was away hears of it only after a while, as may happen. The fence is all there is."""
    renew, called = Heartbeat.renew, list[float]()

    def late(self: Heartbeat) -> bool | None:
        if called and time.monotonic() - called[0] > 1.2:
            time.sleep(2.0)
        called[:] = [time.monotonic()]
        return renew(self)

    Heartbeat.renew = late  # type: ignore[method-assign]


def renewed_on_the_loop() -> None:
    """The lease is renewed by the loop that runs users' nodes."""
    enlist, renew, loops = Worker._enlist, Heartbeat.renew, list[asyncio.AbstractEventLoop]()

    async def remember(self: Worker) -> None:
        loops[:] = [asyncio.get_running_loop()]
        await enlist(self)

    def on_loop(self: Heartbeat) -> bool | None:
        async def here() -> bool | None:
            return renew(self)

        return asyncio.run_coroutine_threadsafe(here(), loops[0]).result()

    Worker._enlist = remember  # type: ignore[method-assign]
    Heartbeat.renew = on_loop  # type: ignore[method-assign]


def uncounted() -> None:
    """A run ends without its thread: what belongs into one transaction is forgotten."""
    for name in ("WRITE", "_WRITE_KEEPING"):
        setattr(writer, name, _without(getattr(writer, name), "        open_runs = t.open_runs - 1,\n"))


def remembered() -> None:
    """A rollback forgets the pending writes of the checkpoints it deletes."""
    runs._SQL["roll_back"] = _without(runs._SQL["roll_back"], "delete from checkpoint_writes w using dropped d\n", "select from dropped d, checkpoint_writes w\n")  # fmt: skip # noqa: E501


def _without(sql: Any, text: str, instead: str = "") -> Any:
    assert text in sql, f"the defect can no longer be planted: {text!r} is not there"
    return sql.replace(text, instead)


DEFECTS = {plant.__name__: plant for plant in (unfenced, noticed_late, renewed_on_the_loop, uncounted, remembered)}

if __name__ == "__main__":
    for defect in sys.argv.pop(1).split(","):
        DEFECTS[defect]()
    cli.main()
