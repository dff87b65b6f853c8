"""`langyard init`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from langyard.model.errors import ConfigurationError

TEMPLATE = Path(__file__).with_name("template")
FILES = {
    "langgraph.json": "langgraph.json",
    "agent.py": "agent.py.txt",
    ".gitignore": "gitignore",
    "README.md": "README.md",
}
"""What is written, and the file of the template that it is."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An empty folder, or one to be made.")] = Path(),
) -> None:
    """Write a small working project.

    It is a workflow of two steps that needs no model key. Nothing is ever overwritten: a folder that holds anything
    but hidden files is refused.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(path.name for path in folder.iterdir() if path.name in FILES or not path.name.startswith("."))
        if there:
            held = ", ".join(there[:5]) + (", …" if len(there) > 5 else "")
            raise ConfigurationError(f"{folder} is not empty ({held}): name a new folder, as in `langyard init agent`.")
        for name, source in FILES.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write((TEMPLATE / source).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"Cannot write to {folder}: {error.strerror or error}.") from error
    enter = "" if folder.resolve() == Path.cwd() else f"  cd {shlex.quote(str(folder))}\n"
    sys.stdout.write(
        f"Wrote {', '.join(FILES)}. Next:\n\n{enter}"
        """  langyard run agent --input '{"text": "Boats, boats and herring"}' --session first\n"""
        "  langyard serve\n"
    )
