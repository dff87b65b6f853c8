"""Holds requirements/ to what an installer relies on: pinned, hashed, complete, without addresses or paths."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RUNTIME = [*PROJECT["project"]["dependencies"], *chain(*PROJECT["project"]["optional-dependencies"].values())]
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


def imported(folder: Path) -> dict[str, Path]:
    """Top-level packages that the code below imports, but for the standard library and what lies in the tree itself."""
    found: dict[str, Path] = {}
    for path in folder.rglob("*.py"):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            found |= {package: path for name in names if not own(package := name.partition(".")[0], path, folder)}
    return {package: path for package, path in found.items() if package not in sys.stdlib_module_names}


def own(package: str, path: Path, folder: Path) -> bool:
    """Whether the tree itself holds it: beside the importing file or above, in a folder that is no package."""
    roots = [ROOT, ROOT / "src", *(parent for parent in path.parents if parent.is_relative_to(folder))]
    return any(
        (root / package).is_dir() or (root / f"{package}.py").is_file()
        for root in roots
        if not (root / "__init__.py").exists()
    )


def undeclared(folder: Path, declared: list[str]) -> Iterator[str]:
    """What is imported and stands in the environment only because something else happens to need it."""
    requirements = [Requirement(each) for each in declared]
    names = {canonicalize_name(requirement.name) for requirement in requirements}
    for requirement in requirements:  # psycopg[pool] declares psycopg-pool
        for extra in requirement.extras:
            brought = [Requirement(each) for each in requires(requirement.name) or []]
            # Because of the extra, not of the Python that runs this.
            names |= {
                canonicalize_name(r.name)
                for r in brought
                if r.marker and r.marker.evaluate({"extra": extra}) and not r.marker.evaluate({"extra": ""})
            }
    distributions = packages_distributions()
    for package, path in imported(folder).items():
        if not names & {canonicalize_name(name) for name in distributions.get(package, [])}:
            yield f"{path.relative_to(folder)} imports {package}, which pyproject.toml does not declare"


@pytest.mark.parametrize(
    ("folder", "declared"), [("src", RUNTIME), ("tests", DEV), ("examples", DEV), ("benchmarks", DEV), ("scripts", DEV)]
)
def test_what_is_imported_is_declared(folder, declared):
    found = list(undeclared(ROOT / folder, declared))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text", ["import httpcore", "def f():\n    from httpcore import Request", "import nowhere.there"]
)
def test_an_undeclared_import_is_caught(text, tmp_path):
    (tmp_path / "offender.py").write_text(text, "utf-8")
    assert list(undeclared(tmp_path, ["httpx"]))


def test_a_declared_import_is_left_alone(tmp_path):
    (tmp_path / "innocent.py").write_text("import os, offender, psycopg_pool, dotenv\nfrom . import x\n", "utf-8")
    (tmp_path / "offender.py").touch()
    assert not list(undeclared(tmp_path, ["psycopg[pool]", "python-dotenv"]))


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
