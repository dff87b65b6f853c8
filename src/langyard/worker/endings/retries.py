"""Which errors of a node are the infrastructure's, so that the same run may succeed a moment later; for executions.

Told by the names of their classes: no library is imported to ask whether an error is its own. What the user's code
raises by itself is never among them, whatever it derives from.
"""

from __future__ import annotations

import asyncio

from langyard import serde
from langyard.model.errors import LeaseLost, Unavailable
from langyard.model.runs import ClaimedRun
from langyard.postgres import runs as rows
from langyard.postgres.writer import Lease
from langyard.worker import events
from langyard.worker.means import Again, Means

RETRIABLE = frozenset(
    {
        "builtins.ConnectionError",
        "socket.gaierror",
        "langyard.model.errors.Unavailable",
        "psycopg.OperationalError",
        "psycopg.InterfaceError",
        "psycopg.errors.ReadOnlySqlTransaction",
        "psycopg_pool.PoolTimeout",
        "httpx.ConnectError",
        "httpx.ConnectTimeout",
        "httpx.ReadError",
        "httpx.ReadTimeout",
        "httpx.WriteError",
        "httpx.WriteTimeout",
        "httpx.PoolTimeout",
        "httpx.RemoteProtocolError",
        "httpx.ProxyError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "aiohttp.client_exceptions.ClientConnectionError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "openai.APIConnectionError",
        "anthropic.APIConnectionError",
        "botocore.exceptions.EndpointConnectionError",
        "botocore.exceptions.ConnectTimeoutError",
        "botocore.exceptions.ReadTimeoutError",
    }
)
"""Classes, by module and name, with those of the same package that derive from them."""

# Derived from one of those, and no fault of a connection: the same statement takes as long, or is as much, again.
_NOT = frozenset({"psycopg.errors.QueryCanceled", "psycopg.errors.ProgramLimitExceeded"})


def is_retriable(error: BaseException) -> bool:
    """Whether the error is one of RETRIABLE. A class of another package that derives from one is its author's own."""
    own = type(error)
    package = own.__module__.partition(".")[0]
    if _name(own) in _NOT:
        return False
    return any(_name(each) in RETRIABLE and _package(each) == package for each in own.__mro__)


async def put_back(claimed: ClaimedRun, lease: Lease, means: Means, again: Again) -> None:
    """Back to pending for a while, which is told to nobody as an error. Waits for a database that is away.

    Raises `LeaseLost`.
    """
    error = serde.dumps(events.failure(again.error))
    await means.writer.commit(lease)
    while True:
        try:
            put = await rows.retry(
                means.database, claimed.run_id, claimed.fence,
                delay_s=again.delay_s, error=error, followed=means.bus.wanted(claimed.run_id),
            )  # fmt: skip
            break
        except Unavailable:
            await asyncio.sleep(1.0)
    if not put:
        raise LeaseLost(f"The lease on run {claimed.run_id} is lost.")
    means.counters.retried += 1
    means.bus.hand_over(claimed.run_id)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
