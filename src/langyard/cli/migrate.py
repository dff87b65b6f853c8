"""`langyard migrate`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Annotated

import typer

from langyard.cli.flags import Home
from langyard.cli.progress import Progress
from langyard.cli.storage import Storage
from langyard.config import load


def migrate(
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be applied, and change nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail unless the schema is exactly what is needed.")
    ] = False,
    home: Home = None,
) -> None:
    """Bring the database to the schema that this Langyard needs.

    The database is that of DATABASE_URL, or else Langyard's own. Safe to run at any time and by many at once: one
    applies what is missing, the others wait. LangGraph's own tables are set up with it.
    """
    if plan and check:
        raise typer.BadParameter("--plan and --check exclude each other.")
    from langyard.postgres import migrations

    settings = load(overrides={"home": home})
    progress = Progress(as_json=settings.log.format == "json")
    with contextlib.closing(Storage(settings, progress)) as storage:
        if check:
            asyncio.run(migrations.check(storage.url))
            names: list[str] = []
        elif plan:
            names = [migration.name for migration in asyncio.run(migrations.plan(storage.url))]
        else:
            names = storage.migrate(progress)
    verb = "would apply" if plan else "applied"
    lines = [f"{verb} {name}" for name in names] or ["The database is up to date."]
    sys.stdout.write("\n".join([*lines, ""]))
