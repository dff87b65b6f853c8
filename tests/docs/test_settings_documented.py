"""Holds docs/reference/settings.md to the dataclasses, and the check itself to a planted difference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from langyard.config import catalogue

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "settings.md"


def reference(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(ROOT / "scripts" / "reference.py"), *arguments]
    return subprocess.run(program, capture_output=True, text=True, timeout=60)


def test_the_reference_is_up_to_date():
    done = reference("--check")
    assert done.returncode == 0, done.stderr


def test_every_setting_is_in_it_under_each_of_its_names():
    text = PAGE.read_text("utf-8")
    for key, known in catalogue().items():
        assert f"| `{key}` |" in text
        assert known.help in text
        for name, _ in known.names:
            assert f"`{name}`" in text


def test_a_difference_is_caught_and_mended(tmp_path):
    assert reference("--folder", str(tmp_path)).returncode == 0
    page = tmp_path / "settings.md"
    assert page.read_text("utf-8") == PAGE.read_text("utf-8")
    page.write_text(page.read_text("utf-8").replace("8000", "8001"), "utf-8")
    done = reference("--check", "--folder", str(tmp_path))
    assert (done.returncode, done.stderr.split(".")[0]) == (1, "Not up to date: settings")
    assert "8001" in page.read_text("utf-8")
    reference("--folder", str(tmp_path))
    assert reference("--check", "--folder", str(tmp_path)).returncode == 0


def test_every_setting_says_what_it_is():
    for key, known in catalogue().items():
        assert known.help[0].isupper() or known.help[0] == "`", key
        assert known.help.endswith("."), key
        assert known.unit or not isinstance(known.default, float), key
        assert known.kind.accepts, key
