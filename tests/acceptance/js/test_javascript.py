"""The official JavaScript client, unchanged, drives a real server: every method of it, in Node's own test runner."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.serving import Served, environ

HERE = Path(__file__).parent
PROJECT = HERE.parents[1] / "differential/project"
BIN = Path(sys.executable).parent  # node and npm are a wheel's, so that their version is pinned
INSTALL_S, TEST_S = 300.0, 100.0


def _run(*command: str, seconds: float, **settings: str) -> str:
    search = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command,
        cwd=HERE,
        env=environ(**search, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def installed() -> None:
    """What package-lock.json names, with the hashes it names, once for as long as it stays the same."""
    wanted = (HERE / "package-lock.json").read_text("utf-8")
    with (HERE / "package.json").open("rb") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        mark = HERE / "node_modules/.langyard-lock"
        if not mark.exists() or mark.read_text("utf-8") != wanted:
            _run(str(BIN / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", seconds=INSTALL_S)
            mark.write_text(wanted, "utf-8")


def test_what_is_installed_is_pinned_by_hash_and_comes_from_wherever_packages_come_from():
    lock = (HERE / "package-lock.json").read_text("utf-8")
    packages = json.loads(lock)["packages"]
    assert len(packages) > 5
    assert [name for name, package in packages.items() if name and not package.get("integrity")] == []
    assert re.findall(r"https?:", lock) == []


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S + TEST_S + 60)
def test_the_official_client_in_javascript(installed: None, tmp_path: Path, database: str):
    shutil.copytree(PROJECT, tmp_path, dirs_exist_ok=True)
    served = Served(tmp_path, DATABASE_URL=database)
    try:
        said = _run(str(BIN / "node"), "--test", "all.js", seconds=TEST_S, LANGYARD_ADDRESS=served.address)
    finally:
        served.kill()
    print(said)
    counted = {word: int(number) for word, number in re.findall(r"^ℹ (\w+) (\d+)$", said, re.MULTILINE)}
    assert counted["pass"] == counted["tests"] > 15, said
    assert counted["skipped"] == counted["todo"] == 0, said
