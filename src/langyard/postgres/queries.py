"""Named statements out of the SQL files beside this module: `-- name: claim` starts one."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load(noun: str) -> dict[str, LiteralString]:
    """The statements of `sql/<noun>.sql` by name; shipped with the package, hence literal for psycopg."""
    text = files("langyard.postgres").joinpath("sql", f"{noun}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {
        name: cast(LiteralString, body.strip().rstrip(";")) for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
