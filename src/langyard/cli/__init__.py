"""The command line `langyard`: a file per command, imported only when it is called, so that help and version are quick."""

from __future__ import annotations

import importlib
import signal
import sys
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from langyard.model.errors import LangyardError

COMMANDS = {
    "serve": "Serve the workflows of a project over HTTP, and run them.",
    "run": "Run one workflow here and print what it gave; no server is needed.",
    "workflows": "List the workflows of a project, and what is wrong with those that cannot be loaded.",
    "init": "Write a small working project.",
    "migrate": "Bring the database to the schema that this Langyard needs.",
    "version": "Print the version.",
}
"""Every command, in the order of the help; `langyard.cli.<command>` has a function of that name."""

EPILOG = (
    "Every option stands above its environment variable, which stands above the default. "
    "`langyard COMMAND --help` names them."
)


class Commands(TyperGroup):
    """The commands of the table, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None where the table has none."""
        if cmd_name not in COMMANDS:
            return None
        program = typer.Typer(add_completion=False, rich_markup_mode=None)
        program.command(cmd_name)(getattr(importlib.import_module(f"langyard.cli.{cmd_name}"), cmd_name))
        return get_command(program)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """From the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def program() -> Any:
    """The command line as an object with a `main`."""
    root = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, no_args_is_help=True)
    root.callback(epilog=EPILOG)(_root)
    return get_command(root)


def main() -> None:
    """Run the command that `sys.argv` names. Ends the process: 0 done, 1 a sentence says why not, 2 called wrongly."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        program().main(prog_name="langyard")
    except LangyardError as error:
        sys.stderr.write(f"langyard: {error.detail}\n")
        sys.exit(1)


def _root() -> None:
    """Runs the LangGraph workflows of a project, durably, on a real PostgreSQL."""


def _terminate(signum: int, frame: FrameType | None) -> None:
    """End as after Ctrl-C, so that what was opened is closed; Python's default would leave it lying."""
    sys.exit(128 + signum)
