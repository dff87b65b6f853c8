"""Named statements out of the SQL files beside this module: `-- name: claim` starts one.

What several statements have in common is in `parts.sql` and stands in them as its name in braces.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

# `%(name)s`, and `%%` for a per cent sign, as psycopg has them.
_PLACEHOLDER = re.compile(r"%(?:%|\((\w+)\)s)")


def load(noun: str) -> dict[str, LiteralString]:
    """The statements of `sql/<noun>.sql` by name; shipped with the package, hence literal for psycopg."""
    return {name: _whole(body) for name, body in _named(noun)}


def _whole(body: LiteralString) -> LiteralString:
    for name, part in _parts():
        body = body.replace(f"{{{name}}}", part)
    return body


@lru_cache(maxsize=1)
def _parts() -> list[tuple[LiteralString, LiteralString]]:
    return _named("parts")


def _named(file: str) -> list[tuple[LiteralString, LiteralString]]:
    text = files("langyard.postgres").joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    parts = [cast(LiteralString, part.strip().rstrip(";")) for part in _NAME.split(text)]
    return list(zip(parts[1::2], parts[2::2], strict=True))


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
