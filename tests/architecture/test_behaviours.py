"""Each of the forty behaviours that clients of the Agent Server API rely on has a test that bears its number.

The numbers are those of the list in docs/reference/agent-server/behaviours.md.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/reference/agent-server/behaviours.md"
BEHAVIOURS = range(1, 41)


def numbered(folder: Path) -> dict[int, list[str]]:
    """The tests of each number: `test_i07_i08_…` bears two."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""
            if bears := re.match(r"test((?:_i\d\d)+)_", name):
                for number in re.findall(r"\d\d", bears[1]):
                    found[int(number)].append(f"{path.relative_to(folder)}::{name}")
    return found


def test_each_behaviour_has_a_test():
    found = numbered(TESTS)
    assert [number for number in BEHAVIOURS if number not in found] == []
    assert [number for number in found if number not in BEHAVIOURS] == []


def test_each_behaviour_is_on_the_page_and_nothing_else_is():
    rows = re.findall(r"^\| (\d+) \| .+ \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [int(number) for number in rows] == list(BEHAVIOURS)


def test_a_number_without_a_test_is_noticed(tmp_path: Path):
    (tmp_path / "test_some.py").write_text("async def test_i01_i03_both(): ...\ndef test_other(): ...\n", "utf-8")
    assert sorted(numbered(tmp_path)) == [1, 3]
