"""A fault of ours costs a run a few attempts and then an end with a sentence; never a loop, never a slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.gateway.serving import until
from tests.unit.worker.running import Yard, yard

# No end of a run is stored, however often it is tried.
STUBBORN = """
create function refuse() returns trigger language plpgsql as $$ begin
    if new.finished_at is not null and new.quarantined_at is null and new.graph_id = 'failing' then
        raise 'this table does not like ends';
    end if;
    return new;
end $$;
create trigger refuse before update on langyard.runs for each row execute function refuse();
"""


@pytest.fixture
async def made(database: str) -> AsyncIterator[Yard]:
    async with yard(database, worker={"poll_seconds": 0.1, "slots": 8}) as found:
        yield found


def free(made: Yard) -> int:
    assert made.app.worker is not None
    return made.app.worker._free


async def test_a_run_whose_end_cannot_be_stored_is_given_up(made: Yard):
    made.rows(STUBBORN)
    thread = (await made.sdk.threads.create())["thread_id"]
    async with asyncio.timeout(30):
        told = await made.sdk.runs.wait(thread, "failing", input={}, raise_error=False)
    assert told["__error__"]["error"] == "InternalError"
    assert "3 times in all; it is not tried again" in told["__error__"]["message"]
    (run,) = made.rows("select * from langyard.runs")
    assert (run["status"], run["deaths"], run["quarantined_at"] is not None) == ("error", 3, True)
    assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("error", 0)
    await until(lambda: free(made) == 8)
    # The thread is free for the next.
    made.rows("drop trigger refuse on langyard.runs")
    assert (await made.sdk.runs.wait(thread, "failing", input={}))["x"] >= 1


async def test_a_cancelled_run_that_cannot_be_rolled_back_is_given_up(made: Yard):
    made.rows("alter table langyard.run_bases rename to elsewhere")
    thread = (await made.sdk.threads.create())["thread_id"]
    run = (await made.sdk.runs.create(thread, "waiting", input={}))["run_id"]
    await made.begun()
    await made.sdk.runs.cancel(thread, run, action="rollback")
    found = await made.until(run, "error")
    assert (found["error"]["error"], found["deaths"]) == ("InternalError", 3)
    assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("error", 0)


async def test_a_row_that_is_not_understood_keeps_no_slot_and_no_other_run(made: Yard):
    thread = (await made.sdk.threads.create())["thread_id"]
    run = (await made.sdk.runs.create(thread, "failing", input={}, after_seconds=3600))["run_id"]
    made.rows(
        """update langyard.runs set kwargs = '{"stream_mode": [{}]}', available_at = now() where run_id = %s""", run
    )
    assert (await made.until(run, "error"))["error"]["error"] == "InternalError"
    await until(lambda: free(made) == 8)
    assert (await made.sdk.runs.wait(thread, "failing", input={}))["x"] == 1
