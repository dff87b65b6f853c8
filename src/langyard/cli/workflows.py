"""`langyard workflows`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langyard.cli.flags import Config, Strict
from langyard.config import start
from langyard.model.errors import ConfigurationError

if TYPE_CHECKING:
    from langyard.graphs import Description, Graphs


def workflows(
    config: Config = None,
    strict: Strict = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the JSON that GET /workflows answers, with every schema.")
    ] = False,
) -> None:
    """List the workflows of a project, and what is wrong with those that cannot be loaded.

    Ends with code 1 when none can be loaded, or with --strict when one cannot.
    """
    from langyard.graphs import Graphs
    from langyard.telemetry import logs

    settings, project = start(overrides={"config": config, "strict": strict})
    logs.configure("critical", "text")  # what is broken is listed below
    graphs = Graphs()
    graphs.load(project)
    found = asyncio.run(_described(graphs))
    if as_json:
        sys.stdout.write(json.dumps({"workflows": _listed(graphs, found)}, ensure_ascii=False, indent=2) + "\n")
    else:
        width = max((len(each.name) for each in found), default=0)
        for each in found:
            fields = ", ".join((each.schemas.input or {}).get("properties", {})) or "-"
            about = f"  {each.description}" if each.description else ""
            sys.stdout.write(f"{each.name:{width}}  input: {fields}{about}\n")
    sys.stdout.flush()
    for name, why in sorted(graphs.broken.items()):
        sys.stderr.write(f"{name} is broken: {why}\n")
    if graphs.broken and (settings.strict or not found):
        raise ConfigurationError(f"{len(graphs.broken)} of {len(project.graphs)} workflows cannot be loaded.")


async def _described(graphs: Graphs) -> list[Description]:
    from langyard.graphs import describe

    return [await describe(graphs.get(name)) for name in graphs.names()]


def _listed(graphs: Graphs, found: list[Description]) -> list[dict[str, Any]]:
    listed = [
        {"name": each.name, "description": each.description, "available": True, "schemas": asdict(each.schemas)}
        for each in found
    ]
    listed += [{"name": name, "description": None, "available": False, "schemas": None} for name in graphs.broken]
    return sorted(listed, key=lambda each: str(each["name"]))
