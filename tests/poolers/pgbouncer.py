"""Langyard behind a real PgBouncer in transaction mode. `make test-poolers` runs it; it needs Debian's packages.

Not part of `make test`, since a machine without them could not run it. The PgBouncer is Debian's own, 1.18 on bookworm:
it knows nothing of prepared statements, which is the hardest case.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from langgraph_sdk import get_client
from psycopg import sql

from tests.acceptance.serving import QUICK, Served, Working, project
from tests.acceptance.test_gateway_and_worker import GRAPH, frames, numbers, thread

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
SERVERS = 3
"""Server connections for all clients together: fewer than any process of Langyard would like."""


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="langyard-pgbouncer-") as folder:
        Path(folder).chmod(0o755)  # another user runs it
        told = subprocess.run([ROOT / "scripts/pgbouncer.sh", folder], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        yield Path(told.stdout.strip())


@pytest.fixture(scope="module")
def direct(postgres_url: str) -> Iterator[str]:
    name = f"pooled_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield postgres_url.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def pooled(program: Path, direct: str) -> Iterator[str]:
    """The same database by way of the pooler."""
    folder = program.parents[3]
    at = urlsplit(direct)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    rules = folder / "pgbouncer.ini"
    rules.write_text(
        f"[databases]\n* = host={at.hostname} port={at.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {folder}/users\n"
        f"pool_mode = transaction\ndefault_pool_size = {SERVERS}\nmax_client_conn = 500\n"
    )
    (folder / "users").write_text(f'"{at.username}" "{at.password}"\n')
    libraries = ":".join(str(path) for path in (program.parents[1] / "lib").glob("*-linux-gnu"))
    with (folder / "log").open("wb") as said:
        process = subprocess.Popen(
            [program, rules], env={"LD_LIBRARY_PATH": libraries}, stdout=said, stderr=said, start_new_session=True,
            user="nobody" if os.getuid() == 0 else None,  # it refuses to be root
        )  # fmt: skip
    url = f"postgresql://{at.username}:{at.password}@127.0.0.1:{port}{at.path}"
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url, prepare_threshold=None).close()
            break
        except psycopg.OperationalError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
    yield url
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(10)


@pytest.fixture(scope="module")
def servers(direct: str, pooled: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Working]]:
    folder = tmp_path_factory.mktemp("behind")
    project(folder, GRAPH, **{name: f"./agent.py:{name}" for name in ("echo", "asking", "counting")})
    settings = {
        **QUICK,
        "DATABASE_URL": pooled,
        "LANGYARD_DB_DIRECT_URL": direct,
        "LANGYARD_DB_POOLER": "transaction",
    }
    with Served(folder, "--no-worker", **settings) as gateway, Working(folder, **settings) as worker:
        yield gateway, worker


def test_statements_go_through_the_pooler(servers: tuple[Served, Working], direct: str, pooled: str):
    with psycopg.connect(direct) as connection:
        [(several,)] = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and application_name in ('langyard gateway', 'langyard worker')"
        ).fetchall()
    assert 0 < several <= SERVERS


async def test_many_runs_share_few_servers(servers: tuple[Served, Working]):
    gateway, _ = servers
    async with httpx.AsyncClient(base_url=gateway.address, timeout=60) as http:

        async def conversation() -> list[str]:
            thread_id = (await http.post("/threads", json={})).json()["thread_id"]
            found = {}
            for _ in range(3):
                body = {"assistant_id": "echo", "input": {}}
                answer = await http.post(f"/threads/{thread_id}/runs/wait", json=body)
                assert answer.status_code == 200, answer.text
                found = answer.json()
            history = (await http.post(f"/threads/{thread_id}/history", json={"limit": 100})).json()
            assert len(history) >= 9
            return list(found["log"])

        found = await asyncio.gather(*(conversation() for _ in range(20)))
    assert [len(log) for log in found] == [3] * 20


def test_a_stream_comes_through(servers: tuple[Served, Working]):
    gateway, worker = servers
    (worker.folder / "pooled.open").touch()
    body = {"assistant_id": "counting", "input": {"name": "pooled"}, "stream_mode": ["custom"]}
    with gateway.http.stream("POST", f"/threads/{thread(gateway)}/runs/stream", json=body) as response:
        assert numbers(list(frames(response.iter_lines()))) == list(range(40))


def test_a_question_is_answered(servers: tuple[Served, Working]):
    gateway, _ = servers
    thread_id = thread(gateway)
    asked = gateway.http.post(f"/threads/{thread_id}/runs/wait", json={"assistant_id": "asking", "input": {}})
    assert asked.json()["__interrupt__"][0]["value"] == "Weiter?"
    body = {"assistant_id": "asking", "command": {"resume": "ja"}}
    assert gateway.http.post(f"/threads/{thread_id}/runs/wait", json=body).json()["log"] == ["ja"]


async def test_the_rest_of_the_api(servers: tuple[Served, Working]):
    """Whatever asks the database in a way of its own: the store, copies, states, search, crons, sessions."""
    gateway, _ = servers
    client = get_client(url=gateway.address)
    await client.store.put_item(["größe", "x"], "k", {"n": 1})
    assert (await client.store.get_item(["größe", "x"], "k"))["value"] == {"n": 1}
    assert len((await client.store.search_items(["größe"]))["items"]) == 1
    found = await client.threads.create(metadata={"pooled": "yes"})
    await client.runs.wait(found["thread_id"], "echo", input={})
    await client.threads.update_state(found["thread_id"], {"log": ["by hand"]}, as_node="say")
    state: Any = await client.threads.get_state(found["thread_id"])
    assert state["values"]["log"][-1] == "by hand"
    await client.threads.copy(found["thread_id"])
    assert len(await client.threads.search(metadata={"pooled": "yes"})) == 2
    cron: Any = await client.crons.create("echo", schedule="0 0 1 1 *", input={})
    await client.crons.delete(cron["cron_id"])
    body = {"workflow_type": "echo", "input_data": {}, "user_id": "ada", "session_id": "pooled"}
    for _ in range(3):
        answer = gateway.http.post("/workflow/execute", json=body, headers={"Idempotency-Key": "one"})
        assert answer.status_code == 200
    assert gateway.http.delete("/workflow/pooled", params={"user_id": "ada"}).status_code == 204


async def test_cancelling_is_heard_though_no_pooled_connection_can_listen(servers: tuple[Served, Working]):
    gateway, worker = servers
    client = get_client(url=gateway.address)
    found = await client.threads.create()
    run = await client.runs.create(found["thread_id"], "counting", input={"name": "unheard"})
    async with asyncio.timeout(30):
        while not (worker.folder / "unheard.half").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await client.runs.cancel(found["thread_id"], run["run_id"], wait=True)
    assert (await client.runs.get(found["thread_id"], run["run_id"]))["status"] == "interrupted"
