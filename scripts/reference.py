"""Writes the reference pages that the code itself knows; with `--check` only says which are stale. For contributors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

from langyard.config import Setting, Settings, catalogue

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

SETTINGS = """\
# Settings

<!-- Written by scripts/reference.py from src/langyard/config/settings.py: change a setting there. -->

Langyard reads its settings from environment variables, once, when it starts. `env` of
[langgraph.json](langgraph-json.md) counts as environment, under what is really set; a flag of the command line goes
before both. An empty variable is an unset one. All that is wrong is said at once, with the variable, its value and
what is accepted, and nothing starts.

A setting marked 🔒 is a secret: it is never printed or logged, and `<variable>_FILE` may name a file that holds it.
Where several variables set one thing, the first of them that is set holds; the later ones are names that LangGraph's
own server uses. A variable that begins with `LANGYARD_` and is no setting gets a warning at start-up.
"""


def settings_page() -> str:
    """Every setting: a chapter for each room, a row for each setting."""
    rooms: dict[str, list[tuple[str, Setting]]] = {}
    for key, known in catalogue().items():
        rooms.setdefault(key.rpartition(".")[0], []).append((key, known))
    return "\n".join([SETTINGS, *(line for room, entries in rooms.items() for line in _chapter(room, entries))])


def _chapter(room: str, entries: list[tuple[str, Setting]]) -> Iterator[str]:
    yield f"## {room.capitalize() or 'The process'}"
    if room:
        yield f"\n{get_type_hints(Settings)[room].__doc__}"
    yield "\n| Variable | Default | What it is | Accepted | In Python |\n|---|---|---|---|---|"
    for key, known in entries:
        names = " or ".join(
            f"`{name}`" + ("" if kind is known.kind else f" ({kind.accepts})") for name, kind in known.names
        )
        what = known.help.replace("|", "\\|")
        accepted = known.kind.accepts.replace("|", "\\|").replace("*", "\\*")
        yield f"| {names}{' 🔒' if known.secret else ''} | {_default(known)} | {what} | {accepted} | `{key}` |"
    yield ""


def _default(known: Setting) -> str:
    value: Any = known.default
    if value in (None, "", ()):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    shown = f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)
    return f"`{shown}`" + (f" {known.unit}" if known.unit else "")


PAGES: dict[str, Callable[[], str]] = {"settings.md": settings_page}


def main() -> int:
    """Writes every page, or with `--check` names those that differ and returns 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not up to date")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pages lie")
    arguments = parser.parse_args()
    stale = []
    for name, page in PAGES.items():
        path, text = arguments.folder / name, page()
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if not arguments.check:
                path.write_text(text, "utf-8")
    if arguments.check and stale:
        print(f"Not up to date: {', '.join(stale)}. Run: python scripts/reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
