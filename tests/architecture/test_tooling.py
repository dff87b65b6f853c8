"""Holds the Makefile, the bootstrap and the entrance of continuous integration to what CONTRIBUTING.md says of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash") or "bash"


@pytest.fixture
def bare(tmp_path):
    """A folder that is the whole PATH of a bare machine: what the bootstrap calls, and no Python."""
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "/usr/bin/dirname")
    return tmp_path


def install(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!{BASH}\n{body}\n")
    (folder / name).chmod(0o755)


def which(path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BASH, ROOT / "scripts/bootstrap.sh", "--which"],
        env={"PATH": str(path), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_shim_that_fails_is_passed_over(bare):
    install(bare, "python3.13", "echo 'command not found' >&2; exit 127")
    install(bare, "python3.12", "exit 1")
    install(bare, "python3", f'exec {sys.executable} "$@"')
    assert which(bare).stdout == "python3\n"


def test_the_newest_python_is_taken(bare):
    for name in ("python3", "python3.12", "python3.11"):
        install(bare, name, f'exec {sys.executable} "$@"')
    assert which(bare).stdout == "python3.12\n"


def test_no_python_is_said_in_a_sentence(bare):
    done = which(bare)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No Python 3.11, 3.12 or 3.13 found.")


def test_python_can_be_chosen(bare):
    install(bare, "python3", "exit 1")
    assert which(bare, PYTHON=sys.executable).stdout == f"{sys.executable}\n"
    refused = which(bare, PYTHON="python3")
    assert refused.returncode == 1
    assert refused.stderr.startswith("PYTHON=python3 does not run")


def test_a_folder_that_is_no_environment_is_left_alone(bare, tmp_path):
    (precious := tmp_path / "precious").mkdir()
    (precious / "file").touch()
    for program in ("cat", "cksum", "head"):
        (bare / program).symlink_to(shutil.which(program) or program)
    environ = {"PATH": str(bare), "PYTHON": sys.executable, "VENV": str(precious)}
    done = subprocess.run(
        [BASH, ROOT / "scripts/bootstrap.sh"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "is no environment" in done.stderr
    assert (precious / "file").exists()


def test_help_is_the_map_and_the_default():
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(
        ["make"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    for target in ("help", "setup", "demo", "serve", "test", "check", "bench", "format", "lock", "clean"):
        assert re.search(rf"^  make {target} +\w", shown, re.MULTILINE), target


def test_every_target_is_phony_and_explained_or_a_part():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert targets == set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert targets - explained == {"format-check"}


@pytest.mark.parametrize("script", [".ci/run", "scripts/bootstrap.sh", "scripts/lock.sh"])
def test_a_script_is_executable_and_careful(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert "\nset -euo pipefail\n" in path.read_text("utf-8")
    subprocess.run([BASH, "-n", path], check=True)


@pytest.mark.parametrize("failing", [False, True])
def test_continuous_integration_ends_with_the_summary(failing, tmp_path):
    """.ci/run over a stand-in for make that prints what make and pytest print."""
    summary = "1 failed, 1 passed in 0.12s" if failing else "2 passed in 0.12s"
    last = "echo 'make: *** [Makefile:1: test] Error 1' >&2; exit 2" if failing else ":"
    install(tmp_path, "make", f"echo \"$@\"; echo '===== {summary} ====='; {last}")
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CI": "true"}
    done = subprocess.run(
        [ROOT / ".ci/run"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout.splitlines()[-1] == f"===== {summary} ====="
    assert done.stdout.splitlines()[0].split()[-1] == "check"
    assert done.returncode == (2 if failing else 0)
