"""Holds requirements/ to what an installer relies on: pinned, hashed, complete, without addresses or paths."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RUNTIME = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["embedded"]]
DEV = [*RUNTIME, *PROJECT["dependency-groups"]["dev"], *PROJECT["build-system"]["requires"]]
DECLARED = {"runtime.txt": RUNTIME, "dev.txt": DEV}


def lines(text: str) -> list[str]:
    """One line for each entry: continuations joined, comments left out."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


def pins(text: str) -> dict[str, set[Version]]:
    """Name to the versions pinned; there are several where Python versions need different ones."""
    found: dict[str, set[Version]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", "\n".join(lines(text)), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


def faults(text: str, declared: list[str]) -> list[str]:
    found = [
        f"an address or a path: {line}"
        for line in text.splitlines()
        if re.search(r"://|(^|[\s=])/\w|^\s*-", line) and not re.match(r"\s+--hash=sha256:[0-9a-f]{64}( \\)?$", line)
    ]
    for line in lines(text):
        if not re.match(r"[\w.-]+==\S+\s", line):
            found.append(f"not pinned: {line[:80]}")
        if "--hash=sha256:" not in line:
            found.append(f"no hash: {line[:80]}")
    pinned = pins(text)
    for requirement in map(Requirement, declared):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        if not versions or not all(requirement.specifier.contains(version) for version in versions):
            found.append(
                f"{requirement} is declared and {[str(v) for v in versions] or 'nothing'} pinned: run make lock"
            )
    return found


@pytest.mark.parametrize("name", DECLARED)
def test_the_lock_is_sound(name):
    assert not faults((ROOT / "requirements" / name).read_text("utf-8"), DECLARED[name])


def test_dev_is_the_runtime_and_more():
    runtime, dev = (pins((ROOT / "requirements" / name).read_text("utf-8")) for name in ("runtime.txt", "dev.txt"))
    assert runtime.items() < dev.items()


def test_no_other_file_lies_beside_them():
    assert {path.name for path in (ROOT / "requirements").iterdir()} == set(DECLARED)


HASH = " \\\n    --hash=sha256:" + "0" * 64
GOOD = f"# comment\nrich==15.0.0{HASH}\nnumpy==2.4.6 ; python_full_version < '3.12'{HASH}{HASH}\n"


def test_a_sound_lock_has_no_faults():
    assert not faults(GOOD, ["rich>=14", "numpy"])


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        (GOOD + "--index-url https://mirror.example/simple\n", []),
        (GOOD + "--find-links wheels\n", []),
        (GOOD + "-i http://mirror.example/simple\n", []),
        (GOOD + f"rich @ https://mirror.example/rich.whl{HASH}\n", []),
        (GOOD + f"rich @ file:///srv/rich.whl{HASH}\n", []),
        (GOOD + "# via -r /srv/checkout/pyproject.toml\n", []),
        (GOOD + f"typer>=0.20{HASH}\n", []),
        (GOOD + "typer==0.29.2\n", []),
        (GOOD, ["typer"]),
        (GOOD, ["rich>=16"]),
    ],
)
def test_a_fault_is_caught(text, declared):
    assert faults(text, declared)
