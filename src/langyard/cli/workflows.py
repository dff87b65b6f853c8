"""`langyard workflows`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any

import typer

from langyard.cli.flags import Config, Strict
from langyard.config import start
from langyard.model.errors import ConfigurationError


def workflows(
    config: Config = None,
    strict: Strict = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list with the schemas of input, output and state.")
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
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        width = max((len(each["name"]) for each in found), default=0)
        for each in found:
            fields = ", ".join((each["input_schema"] or {}).get("properties", {})) or "-"
            about = f"  {each['description']}" if each["description"] else ""
            sys.stdout.write(f"{each['name']:{width}}  input: {fields}{about}\n")
    sys.stdout.flush()
    for name, why in sorted(graphs.broken.items()):
        sys.stderr.write(f"{name} is broken: {why}\n")
    if graphs.broken and (settings.strict or not found):
        raise ConfigurationError(f"{len(graphs.broken)} of {len(project.graphs)} workflows cannot be loaded.")


async def _described(graphs: Any) -> list[dict[str, Any]]:
    from langyard.graphs import describe

    found = [await describe(graphs.get(name)) for name in graphs.names()]
    return [
        {
            "name": each.name,
            "description": each.description,
            "input_schema": each.schemas.input,
            "output_schema": each.schemas.output,
            "state_schema": each.schemas.state,
        }
        for each in found
    ]
