"""The argument parser over the table of commands; `main` and the documentation's test call it."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from langyard.cli import COMMANDS
from langyard.cli.version import version as print_version

EPILOG = "An option counts before its environment variable, and that before the default."


class Commands(TyperGroup):
    """The commands of the table."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None where the table has none."""
        if cmd_name not in COMMANDS:
            return None
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(getattr(importlib.import_module(f"langyard.cli.{cmd_name}"), cmd_name))
        return get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """From the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def program() -> Any:
    """The command line as an object with a `main`."""
    root = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, no_args_is_help=True)
    root.callback(epilog=EPILOG)(_root)
    return get_command(root)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_version()
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Runs the LangGraph workflows of a project, durably, on a real PostgreSQL."""
