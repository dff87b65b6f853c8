"""Starts the reference server in a scratch environment. It is only spoken to over HTTP: never imported, never read."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PACKAGES = ("langgraph-cli[inmem]==0.4.40", "langgraph-api==0.16.7", "langgraph==1.2.22")
SCRATCH = Path(__file__).parents[2] / ".scratch/reference"
PROJECT = Path(__file__).parent / "project"
START_S = 120.0


def installed() -> Path:
    """The reference server's command, installed once for each list of packages."""
    mark, wanted = SCRATCH / "installed", "\n".join(PACKAGES)
    if not mark.exists() or mark.read_text("utf-8") != wanted:
        print("· Installing the reference server (a minute, once)", flush=True)
        shutil.rmtree(SCRATCH, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", SCRATCH / "env"], check=True)
        pip: list[str | Path] = [
            SCRATCH / "env/bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, *PACKAGES], check=True)
        mark.write_text(wanted, "utf-8")
    return SCRATCH / "env/bin/langgraph"


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a reference server that serves a copy of the project in `folder`, without a key or telemetry."""
    command, port = installed(), free_port()
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LANGGRAPH_", "LANGSMITH_"))}
    quiet = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "NO_COLOR": "1"}
    flags = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--n-jobs-per-worker", "10", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [command, "dev", *flags],
            cwd=folder,
            env={**kept, **quiet},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, process, folder / "server.log")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            if httpx.get(f"{address}/ok", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the reference server does not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")
        time.sleep(0.2)
