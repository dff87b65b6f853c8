"""Throw-away environments for rivals, so that none is ever a dependency, and the folder for all that is left behind."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import Unavailable

FOLDER = Path(__file__).parent / ".scratch"
_INSTALL_SECONDS = 900


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Ends the program when another invocation is at work here: each would measure the other."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another invocation is measuring here; run this one when it is done.")
        yield


def environment(name: str, requirement: str, python: str = sys.executable) -> Path:
    """The `bin` of an environment that holds the requirement; made at the first call and kept for later invocations."""
    folder = FOLDER / name
    done = folder / "installed"
    if not done.exists() or done.read_text() != requirement:
        print(f"{name}: installing {requirement} into benchmarks/.scratch", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        _run([python, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement])
        done.write_text(requirement)
    return folder / "bin"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Unavailable(f"its environment could not be made: {' '.join(last)[:300]}")


def python_since(minor: int) -> str:
    """An interpreter of Python 3.<minor> or later: this one, one on PATH, or one of pyenv's."""
    if sys.version_info >= (3, minor):
        return sys.executable
    for version in range(minor, minor + 3):
        found = sorted(Path.home().glob(f".pyenv/versions/3.{version}.*/bin/python"))
        for candidate in filter(None, [shutil.which(f"python3.{version}"), *map(str, found)]):
            # A shim of pyenv is there for versions that are not switched on, and then only says so.
            if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
                return candidate
    raise Unavailable(f"it needs Python 3.{minor} or later, and none was found on PATH or in ~/.pyenv")


def project(name: str) -> Path:
    """A fresh folder with the graphs and their `langgraph.json`, for a server that writes beside them."""
    folder = FOLDER / f"{name}-project"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in ("graphs.py", "langgraph.json"):
        shutil.copy(FOLDER.parent / file, folder)
    return folder
