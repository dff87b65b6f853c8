"""What /proc says of a process and its children, and that none outlives its server."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import Server, Unavailable, cpu_ms, rss_bytes

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
LISTEN = """
import socket, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
listener = socket.create_server(("127.0.0.1", int(sys.argv[2])))
print(child.pid, flush=True)
while True: listener.accept()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_cpu_counts_children_that_live_and_those_that_ended():
    burn = BURN.format(seconds=0.3)
    parent = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n"
        f"living = subprocess.Popen([sys.executable, '-c', {burn + 'input()'!r}], stdin=subprocess.PIPE)\n"
        "print('ready', flush=True)\ninput()\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        deadline = time.monotonic() + 30
        while (used := cpu_ms(process.pid)) < 540 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert used >= 540  # the kernel counts in ticks
        assert rss_bytes(process.pid) > 2 * 2**20
        process.kill()
    assert cpu_ms(process.pid) == 0


def test_the_cpu_of_a_process_is_what_its_clock_says():
    # Of one without children: ours, a PostgreSQL among them perhaps, work whenever they like.
    told = BURN.format(seconds=0.3) + "print(time.process_time(), flush=True)\ninput()\n"
    with subprocess.Popen([sys.executable, "-c", told], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        clock = float(process.stdout.readline())
        assert cpu_ms(process.pid) == pytest.approx(clock * 1000, abs=50)
        process.kill()


async def test_a_server_is_stopped_with_all_it_started(tmp_path):
    server = Server([sys.executable, "-c", LISTEN], tmp_path / "log", {})
    try:
        await server.listening()
        child = int((tmp_path / "log").read_text())
        assert alive(server.pid)
        assert alive(child)
    finally:
        server.stop()
    assert not alive(server.pid)
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)


async def test_a_server_that_ends_says_why(tmp_path):
    server = Server([sys.executable, "-c", "raise SystemExit('no licence')"], tmp_path / "log", {})
    with pytest.raises(Unavailable, match="ended at start-up with 1: no licence"):
        await server.listening()
    server.stop()
