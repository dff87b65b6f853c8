"""A run under which the infrastructure fails is tried again, and nobody reads of an error; user errors are final."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest

from langyard.model.errors import Unavailable
from langyard.model.retries import RetryPolicy
from langyard.worker.endings.retries import is_retriable
from tests.unit.gateway.serving import until
from tests.unit.worker.running import Yard, yard

SOON = {"retry_backoff_seconds": 0.05, "retry_max_backoff_seconds": 0.1}


class OwnError(ConnectionError):
    """A user's error is not the infrastructure's, whatever it derives from."""


@pytest.fixture
async def quick(database: str) -> AsyncIterator[Yard]:
    async with yard(database, runs=SOON, worker={"poll_seconds": 0.05}) as made:
        yield made


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError("cut"), True),
        (httpx.ConnectTimeout("late"), True),
        (httpx.RemoteProtocolError("half an answer"), True),
        (psycopg.OperationalError("the server closed the connection"), True),
        (psycopg.errors.AdminShutdown("terminating"), True),
        (Unavailable("away"), True),
        (psycopg.errors.QueryCanceled("statement timeout"), False),
        (psycopg.errors.ReadOnlySqlTransaction("a standby by now"), True),
        (psycopg.errors.ProgramLimitExceeded("too much"), False),
        (psycopg.errors.UniqueViolation("twice"), False),
        (TimeoutError("a node's own"), False),
        (httpx.InvalidURL("what"), False),
        (OSError("disk full"), False),
        (ValueError("wrong"), False),
        (OwnError("declined"), False),
    ],
)
def test_what_is_the_infrastructures(error: BaseException, expected: bool):
    assert is_retriable(error) is expected


def test_the_pause_doubles_up_to_its_bound_and_is_spread():
    policy = RetryPolicy(max_attempts=5, backoff_s=1, max_backoff_s=3)
    assert [policy.delay_s(n, 1.0) for n in range(5)] == [1, 2, 3, 3, None]
    assert policy.delay_s(0, 0.0) == 0.5
    assert RetryPolicy(max_attempts=1).delay_s(0, 1.0) is None
    assert RetryPolicy(max_attempts=1000).delay_s(900, 1.0) == 30


async def test_a_run_is_tried_again_and_its_readers_read_of_no_error(quick: Yard):
    quick.trouble.failures = [ConnectionResetError("cut"), httpx.ReadTimeout("late")]
    thread = await quick.sdk.threads.create()
    told = [
        (part.event, part.data)
        async for part in quick.sdk.runs.stream(thread["thread_id"], "failing", input={}, stream_mode="values")
    ]
    names = [name for name, _ in told]
    assert "error" not in names
    assert names[-1] == "end"
    assert [data["attempt"] for name, data in told if name == "metadata"] == [1, 2, 3]
    assert told[-2] == ("values", {"x": 3})
    run = quick.rows("select * from langyard.runs")[0]
    assert (run["status"], run["attempt"], run["retries"], run["error"]) == ("success", 3, 2, None)
    assert quick.app.worker is not None
    assert quick.app.worker.counters.retried == 2


async def test_after_the_last_attempt_the_error_is_told(quick: Yard):
    quick.trouble.failures = [ConnectionResetError("cut") for _ in range(5)]
    thread = await quick.sdk.threads.create()
    with pytest.raises(Exception, match="ConnectionResetError"):
        await quick.sdk.runs.wait(thread["thread_id"], "failing", input={})
    run = quick.rows("select * from langyard.runs")[0]
    assert (run["status"], run["attempt"], quick.trouble.calls) == ("error", 3, 3)
    assert quick.thread(thread["thread_id"])["status"] == "error"


async def test_a_users_error_ends_the_run_at_once(quick: Yard):
    quick.trouble.failures = [OwnError("declined")]
    thread = await quick.sdk.threads.create()
    with pytest.raises(Exception, match="OwnError"):
        await quick.sdk.runs.wait(thread["thread_id"], "failing", input={})
    assert (quick.trouble.calls, quick.rows("select * from langyard.runs")[0]["attempt"]) == (1, 1)


async def test_a_run_that_waits_to_be_tried_again_can_be_cancelled(database: str):
    async with yard(database, runs={"retry_backoff_seconds": 600, "retry_max_backoff_seconds": 600}) as made:
        made.trouble.failures = [ConnectionResetError("cut")]
        thread = (await made.sdk.threads.create())["thread_id"]
        run = (await made.sdk.runs.create(thread, "failing", input={}))["run_id"]
        await until(lambda: made.run(run)["retries"] == 1)
        found = made.run(run)
        assert (found["status"], found["error"]["error"]) == ("pending", "ConnectionResetError")
        assert made.thread(thread)["status"] == "busy"
        await made.sdk.runs.cancel(thread, run, wait=True)
        assert made.run(run)["status"] == "interrupted"
        assert (made.thread(thread)["status"], made.thread(thread)["open_runs"]) == ("interrupted", 0)
        assert made.trouble.calls == 1


async def test_rolled_back_while_it_waits_a_run_leaves_no_checkpoint(database: str):
    async with yard(database, runs={"retry_backoff_seconds": 600, "retry_max_backoff_seconds": 600}) as made:
        made.trouble.failures = [ConnectionResetError("cut")]
        thread = (await made.sdk.threads.create())["thread_id"]
        run = (await made.sdk.runs.create(thread, "failing", input={}))["run_id"]
        await until(lambda: made.run(run)["retries"] == 1)
        assert made.rows("select 1 from checkpoints where thread_id = %s", thread)
        await made.sdk.runs.cancel(thread, run, action="rollback")
        await until(lambda: made.rows("select 1 from langyard.runs") == [])
        assert made.rows("select 1 from checkpoints where thread_id = %s", thread) == []
        assert (await made.sdk.runs.wait(thread, "failing", input={}))["x"] == 2
