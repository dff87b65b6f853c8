"""Runs the import fence (.importlinter) on the tree, and on a planted tree in which every contract must break."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = "Look down, never up, never sideways"

# Contract to what breaks it and nothing else.
OFFENDERS = {
    LAYERS: {"runs.py": "import langyard.gateway\n"},
    "No cycles, in no room": {
        "runs/__init__.py": "",
        "runs/a.py": "import langyard.runs.b\n",
        "runs/b.py": "import langyard.runs.a\n",
    },
    "The model is plain data": {"model/events.py": "import orjson\n"},
    "Only the gateway knows HTTP": {"threads.py": "from fastapi import HTTPException\n"},
    "Only postgres knows the database driver": {"threads.py": "import psycopg\n"},
    "Only streams, cache and limits know Redis": {"threads.py": "import redis.asyncio\n"},
    "Only graphs, worker, cache and postgres know LangGraph": {"threads.py": "from langgraph.types import Command\n"},
}
SOUND = {
    "__init__.py": "",
    "model/__init__.py": "",
    "model/ids.py": "",
    "postgres/__init__.py": "import psycopg\nfrom langgraph.types import Command\n",
    "gateway/__init__.py": "",
    "gateway/runs.py": "import langyard.model.ids\nfrom fastapi import HTTPException\nimport starlette\n",
    "cache/__init__.py": "import redis\n",
}


def lint(folder: Path) -> dict[str, str]:
    """Contract to KEPT or BROKEN, for the tree in which `folder` holds the package."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("lint-imports"),
        "--no-logo",
        "--no-cache",
        "--config",
        ROOT / ".importlinter",
    ]
    environ = {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", done.stdout, re.MULTILINE))
    assert verdicts, done.stdout + done.stderr
    return verdicts


def plant(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / "langyard" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def contracts() -> set[str]:
    config = ConfigParser()
    config.read(ROOT / ".importlinter", "utf-8")
    return {config[section]["name"] for section in config.sections() if "contract" in section}


def test_the_tree_keeps_every_contract():
    assert lint(ROOT / "src") == dict.fromkeys(contracts(), "KEPT")


def test_a_sound_tree_is_left_alone(tmp_path):
    plant(tmp_path, SOUND)
    assert lint(tmp_path) == dict.fromkeys(contracts(), "KEPT")


@pytest.mark.parametrize("contract", OFFENDERS)
def test_an_offender_breaks_its_contract(contract, tmp_path):
    plant(tmp_path, SOUND | OFFENDERS[contract])
    assert [name for name, verdict in lint(tmp_path).items() if verdict == "BROKEN"] == [contract]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("brokers.py", ""),  # no room appears without a decision
        ("gateway/crons.py", "import langyard.worker\n"),  # sideways
        ("threads.py", "import langyard.runs\n"),  # up
        ("postgres/runs.py", "import langyard.telemetry\n"),
        ("serde.py", "import langyard.postgres\n"),
    ],
)
def test_an_offender_breaks_the_layers(name, text, tmp_path):
    rooms = {"worker/__init__.py": "", "runs.py": "", "telemetry/__init__.py": ""}
    plant(tmp_path, SOUND | rooms | {name: text})
    assert lint(tmp_path)[LAYERS] == "BROKEN"


def test_every_contract_has_an_offender():
    assert contracts() == set(OFFENDERS)
