"""Requests made up from our own OpenAPI document: no answer above 499, none that the document does not have.

`FUZZ_SECONDS` is how long (15 if not set), `FUZZ_SEED` from which seed (chosen by the day if not set).
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.serving import Served, environ

PROJECT = Path(__file__).parents[1] / "differential/project"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "15"))
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# What lasts as long as its run or for ever, and what speaks a protocol of its own in its bodies.
LASTING = r"(/stream|/events|/join|/wait)$|^/workflow|^/mcp|^/a2a"


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 3 + 240)
def test_requests_made_up_from_our_own_document_get_the_answers_it_has(tmp_path: Path, database: str):
    seed = os.environ.get("FUZZ_SEED", str(dt.datetime.now(dt.UTC).date().toordinal()))
    shutil.copytree(PROJECT, tmp_path / "project")
    served = Served(tmp_path / "project", DATABASE_URL=database)
    flags = {
        "--checks": CHECKS,
        "--exclude-path-regex": LASTING,
        "--phases": "examples,fuzzing,stateful" if SECONDS < 60 else "examples,coverage,fuzzing,stateful",
        "--max-examples": "3" if SECONDS < 60 else "100",
        "--max-time": str(SECONDS),
        "--seed": seed,
        "--request-timeout": "30",
        "--generation-database": "none",
        "--suppress-health-check": "all",
        "--warnings": "off",
    }
    try:
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                *("--no-color", "run", f"{served.address}/openapi.json", "--continue-on-failure", "--no-shrink"),
                *(part for flag in flags.items() for part in flag),
            ],
            cwd=tmp_path,
            env=environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS * 3 + 120,
            check=False,
        )
    finally:
        served.kill()
    said = done.stdout.decode("utf-8", "replace")
    print(said[-3000:])
    assert done.returncode == 0, f"seed {seed}\n{said}"
    made = re.search(r"(\d+) generated", said)
    assert made is not None, said
    assert int(made[1]) > 50, said
