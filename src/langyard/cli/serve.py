"""`langyard serve`: a process with gateway and worker, from its first line to its clean end."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from langyard.cli.flags import Config, Home, LogFormat, LogLevel, Strict, option
from langyard.cli.progress import Progress
from langyard.cli.storage import Storage, opened
from langyard.config import Project, Settings, start

if TYPE_CHECKING:
    from langyard.app import App

log = logging.getLogger(__name__)


def serve(
    host: Annotated[str | None, option("gateway.host", "--host", metavar="ADDRESS")] = None,
    port: Annotated[str | None, option("gateway.port", "--port", metavar="PORT")] = None,
    config: Config = None,
    home: Home = None,
    strict: Strict = None,
    no_worker: Annotated[
        bool,
        typer.Option("--no-worker", help="Execute no runs in this process, as LANGYARD_WORKER_SLOTS=0 does."),
    ] = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Serve the workflows of a project over HTTP, and run them.

    Without DATABASE_URL a PostgreSQL of its own is started under --home, shared with every Langyard of that folder, and
    stopped with the last of them. Ctrl-C or SIGTERM lets runs end, hands back the rest and stops; a second Ctrl-C stops
    at once.
    """
    from langyard.telemetry import logs

    overrides: dict[str, object] = {
        "gateway.host": host,
        "gateway.port": port,
        "config": config,
        "home": home,
        "strict": strict,
        "worker.slots": 0 if no_worker else None,
        "log.level": log_level,
        "log.format": log_format,
    }
    settings, project = start(overrides=overrides)
    as_json = settings.log.json
    logs.configure(settings.log.level, "json" if as_json else "text")
    for warning in (*settings.warnings, *project.warnings):
        log.warning(warning)
    _serve(settings, project, Progress(as_json=as_json))


def _serve(settings: Settings, project: Project, progress: Progress) -> None:
    from langyard.cli import listening

    # Claimed first: a port in use should be said before a database is started for nothing.
    with contextlib.ExitStack() as stack:
        sockets = listening.bind(settings.gateway.host, settings.gateway.port)
        for each in sockets:
            stack.enter_context(each)
        storage = stack.enter_context(opened(settings, progress))
        with progress.step(f"Loading the workflows of {project.path}"):
            from langyard.app import build
            from langyard.cli.server import Server

            app = build(storage.settings, project)

        def announce(address: str) -> None:
            _announce(address, app, storage, progress)

        Server(app, sockets, announce=announce, say=progress.say, abandon=storage.close).run()


def _announce(address: str, app: App, storage: Storage, progress: Progress) -> None:
    docs = f"{address}{app.settings.gateway.mount_prefix}/docs"
    broken = sorted(app.graphs.broken)
    names = app.graphs.names()
    if app.settings.log.json:
        facts = {"address": address, "docs": docs, "workflows": names, "broken": broken, "data": storage.place}
        log.info("serving", extra=facts)
        return
    listed = ", ".join(names) or "none"
    if broken:
        listed += f" (broken, see above: {', '.join(broken)})"
    lines = {"Address": address, "Docs": docs, "Workflows": listed, "Data": storage.place, "Stop": "Ctrl-C"}
    progress.say("\n".join(f"  {name:10} {value}" for name, value in lines.items()))
