"""Holds the documentation to its rules, runs its samples, and holds every rule to a planted fault."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import RULES, Page, pages

ROOT = Path(__file__).parents[2]
DECISION = "# 7. A thing\n\nAccepted, 2026-11-24.\n\n## Context\n\n## Decision\n\n## Consequences\n"

FAULTS = [
    ("links", {"README.md": "[here](docs/nowhere.md)\n"}, "leads nowhere"),
    ("links", {"README.md": "[here](../outside.md)\n"}, "leads nowhere"),
    ("links", {"README.md": "![picture](docs/none.svg)\n"}, "leads nowhere"),
    ("links", {"README.md": '<img src="none.svg">\n'}, "leads nowhere"),
    ("links", {"README.md": "[here][there]\n\n[there]: nowhere.md\n"}, "leads nowhere"),
    ("links", {"README.md": "[a](#two)\n# One\n"}, "no such heading"),
    ("links", {"README.md": "[a](docs/a.md#two)\n", "docs/a.md": "# One\n"}, "no such heading"),
    (
        "index",
        {"docs/README.md": "[a](a.md)\n", "docs/a.md": "", "docs/how-to/b.md": ""},
        "docs/how-to/b.md is not listed",
    ),
    ("index", {"docs/a.md": ""}, "docs/a.md is not listed"),
    ("samples", {"README.md": "```python\nasync def f() return\n```\n"}, "README.md:2: no python"),
    ("samples", {"README.md": "- x\n  ```json\n  {'a': 1}\n  ```\n"}, "README.md:3: no json"),
    ("samples", {"README.md": "```toml\na = \n```\n"}, "README.md:2: no toml"),
    ("decisions", {"docs/decisions/notes.md": DECISION}, "is named NNNN"),
    ("decisions", {"docs/decisions/0007-a.md": DECISION, "docs/decisions/0007-b.md": DECISION}, "the number is taken"),
    ("decisions", {"docs/decisions/0008-a.md": DECISION}, "begins with '# 8. '"),
    ("decisions", {"docs/decisions/0007-a.md": DECISION.replace("Accepted, ", "")}, "lacks a line"),
    ("decisions", {"docs/decisions/0007-a.md": DECISION.replace("## Context", "")}, "its parts are"),
    ("decisions", {"docs/decisions/0007-a.md": DECISION + "\n" * 80}, "at most 80"),
    ("translation", {"README.md": ""}, "missing"),
    ("translation", {"README.md": "## A\n", "README.zh-CN.md": "# 甲\n"}, "chapters"),
    ("translation", {"README.md": "```sh\na\n```\n", "README.zh-CN.md": "```sh\nb\n```\n"}, "this code"),
    ("translation", {"README.md": "[a](b)\n", "README.zh-CN.md": ""}, "the link b"),
]
SOUND = {
    "README.md": "# A\n## One `x`\n[b](docs/README.md#a-b) [zh](README.zh-CN.md)\n`[no](link.md)`\n"
    "```sh\n[no](link.md)\n```\n",
    "README.zh-CN.md": "# 甲\n## 一\n[乙](docs/README.md#a-b) [en](README.md) [一](#一) [甲](#甲)\n"
    "```sh\n[no](link.md)\n```\n",
    "docs/README.md": "# A, b!\n[d](decisions/0007-a.md) [web](https://example.org/x) [a](#a-b-1)\n## A, b!\n",
    "docs/decisions/0007-a.md": DECISION,
    "docs/.hidden/x.md": "[a](nowhere)",
    "examples/a/README.md": "```python\nawait f()\n```\n```json\n{}\n```\n```console\n$ ls\n```\n",
}


def book(folder: Path, files: dict[str, str]) -> list[Page]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return pages(folder)


def run(page: Page, folder: Path) -> None:
    """Runs the `python run` samples of a page as one program, top to bottom, in a folder of its own."""
    program = "\n".join(fence.body for fence in page.fences if fence.info[:2] == ["python", "run"])
    if not program:
        return
    environ = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "POSTGRES_URI", "REDIS_URL")
    }
    subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environ, check=True, timeout=240, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("rule", RULES)
def test_the_documentation_keeps(rule):
    faults = list(RULES[rule](pages(ROOT)))
    assert not faults, "\n".join(faults)


@pytest.mark.timeout(900)
def test_the_samples_run(tmp_path):
    for number, page in enumerate(pages(ROOT)):
        (folder := tmp_path / str(number)).mkdir()
        run(page, folder)


def test_the_documentation_is_looked_at():
    assert {"README.md", "CONTRIBUTING.md", "docs/README.md", "docs/decisions/0001-record-decisions.md"} <= {
        page.name for page in pages(ROOT)
    }


@pytest.mark.parametrize(("rule", "files", "fault"), FAULTS)
def test_a_fault_is_caught(rule, files, fault, tmp_path):
    assert fault in "\n".join(RULES[rule](book(tmp_path, files)))


@pytest.mark.parametrize("rule", RULES)
def test_sound_pages_are_left_alone(rule, tmp_path):
    assert not list(RULES[rule](book(tmp_path, SOUND)))


def test_every_rule_has_a_fault():
    assert {rule for rule, *_ in FAULTS} == set(RULES)


def test_a_failing_sample_is_caught(tmp_path):
    page = book(tmp_path, {"README.md": "```python run\nx = 1\n```\ntext\n```python run\nassert x == 2\n```\n"})[0]
    with pytest.raises(subprocess.CalledProcessError):
        run(page, tmp_path)
