"""Named statements out of the SQL files beside this module: `-- name: claim` starts one."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

# `%(name)s`, and `%%` for a per cent sign, as psycopg has them.
_PLACEHOLDER = re.compile(r"%(?:%|\((\w+)\)s)")


def load(noun: str) -> dict[str, LiteralString]:
    """The statements of `sql/<noun>.sql` by name, names in braces filled in from `parts.sql`; shipped: literal."""
    found = _read(noun)
    for name, part in _read("parts").items():
        found = {statement: body.replace(f"{{{name}}}", part) for statement, body in found.items()}
    return found


def _read(noun: str) -> dict[str, LiteralString]:
    text = files("langyard.postgres").joinpath("sql", f"{noun}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {
        name: cast(LiteralString, body.strip().rstrip(";")) for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


@lru_cache(maxsize=512)
def numbered(sql: LiteralString) -> tuple[LiteralString, tuple[str, ...]]:
    """The statement with PostgreSQL's own `$1`, `$2` … for its named parameters, and their names in that order.

    psycopg reads the text of a long statement anew at every execution; its raw cursor sends it as it is.
    """
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        name = found[1]
        return "%" if name is None else f"${names.setdefault(name, len(names) + 1)}"

    return _PLACEHOLDER.sub(number, sql), tuple(names)
