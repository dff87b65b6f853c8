"""Planted defects that the harness must find, each in a scenario that leaves nothing to luck."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.chaos.checker import Checker, quiet
from tests.acceptance.chaos.history import History
from tests.acceptance.chaos.yard import Server, Yard

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def until(holds: Callable[[], Any], wait_s: float = 60.0) -> Any:
    async with asyncio.timeout(wait_s):
        while not (found := holds()):  # noqa: ASYNC110 - a file and a database tell nobody
            await asyncio.sleep(0.02)
        return found


async def begin(server: Server, graph: str, **more: Any) -> tuple[str, str]:
    """Start a run at this very server, which takes it at once, being idle: thread and run."""
    thread_id = str(uuid.uuid4())
    async with httpx.AsyncClient(base_url=server.address, timeout=30, trust_env=False) as http:
        body = {"assistant_id": graph, "input": {"key": "k"}, "if_not_exists": "create", **more}
        answer = await http.post(f"/threads/{thread_id}/runs", json=body)
        assert answer.status_code == 200, answer.text
        return thread_id, answer.json()["run_id"]


def reached(yard: Yard, server: Server, what: str, node: str) -> bool:
    """Whether a node of this server has come so far, by the ledger."""
    return any((e["what"], e["node"]) == (what, node) and e["pid"] in server.pids for e in yard.executions())


def taken_over(yard: Yard, run_id: str) -> bool:
    with yard.connect() as connection:
        sql = "select 1 from chaos.ownership where run_id = %s and status = 'running' and attempt = 2"
        return connection.execute(sql, [run_id]).fetchone() is not None


def strayed(yard: Yard) -> bool:
    with yard.connect() as connection:
        return connection.execute("select 1 from chaos.strays").fetchone() is not None


async def promises_broken(yard: Yard) -> dict[str, str]:
    return {violation.promise: violation.what for violation in await Checker(yard, History()).check()}


async def freeze_and_wake(yard: Yard) -> None:
    """A worker is frozen within a node until another has its run, and wakes with the node's result in its hands."""
    frozen = yard.servers[0]
    _, run_id = await begin(frozen, "count")
    await until(lambda: reached(yard, frozen, "start", "two"))
    with frozen.harm():
        frozen.send(signal.SIGSTOP)
        await until(lambda: taken_over(yard, run_id))
        frozen.send(signal.SIGCONT)
    log = yard.folder / f"{frozen.name}.log"
    await until(lambda: "lost" in log.read_text() or strayed(yard))
    assert await quiet(yard)


async def test_writes_without_a_fence_are_found(tmp_path: Path):
    async with Yard(tmp_path, gateways=0, lease_s=1.5, defect="unfenced,noticed_late", CHAOS_NODE_S="0.8") as yard:
        await freeze_and_wake(yard)
        assert "who has lost the lease cannot write" in await promises_broken(yard)


async def test_with_the_fence_the_same_breaks_nothing(tmp_path: Path):
    async with Yard(tmp_path, gateways=0, lease_s=1.5, defect="noticed_late", CHAOS_NODE_S="0.8") as yard:
        await freeze_and_wake(yard)
        assert await promises_broken(yard) == {}
        assert reached(yard, yard.servers[0], "end", "two"), "it did not get to write what it must not"


async def test_a_lease_that_is_renewed_on_the_loop_of_the_nodes_is_found(tmp_path: Path):
    async with Yard(tmp_path, gateways=0, lease_s=1.5, defect="renewed_on_the_loop", CHAOS_BLOCK_S="5") as yard:
        blocked = yard.servers[0]
        _, run_id = await begin(blocked, "block")
        await until(lambda: taken_over(yard, run_id))
        await until(lambda: reached(yard, blocked, "awake", "stall"))
        async with asyncio.timeout(30):  # until both have told of what they compute
            while "who computes has the lease" not in await promises_broken(yard):  # noqa: ASYNC110
                await asyncio.sleep(0.5)


async def test_an_end_without_its_thread_and_a_rollback_that_forgets_are_found(tmp_path: Path):
    async with Yard(tmp_path, workers=1, gateways=0, defect="uncounted,remembered", CHAOS_NODE_S="0.3") as yard:
        (server,) = yard.servers
        await begin(server, "count")
        thread_id, run_id = await begin(server, "count", durability="sync")
        await until(lambda: any(e["run_id"] == run_id and e["node"] == "three" for e in yard.executions()))
        async with httpx.AsyncClient(base_url=server.address, timeout=30, trust_env=False) as http:
            path = f"/threads/{thread_id}/runs/{run_id}/cancel"
            assert (await http.post(path, params={"action": "rollback", "wait": "true"})).status_code == 200
        assert await quiet(yard)
        assert {"a thread knows its open runs", "nothing is left behind"} <= (await promises_broken(yard)).keys()
