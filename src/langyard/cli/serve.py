"""`langyard serve`: gateway and worker, in one process or several on one port, from the first line to a clean end."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langyard.cli.flags import Config, Home, LogFormat, LogLevel, Strict, option
from langyard.cli.progress import Progress
from langyard.cli.storage import Storage, opened
from langyard.config import Project, Settings, start

if TYPE_CHECKING:
    from langyard.app import App
    from langyard.cli.supervised.child import Child

log = logging.getLogger(__name__)


def serve(
    host: Annotated[str | None, option("gateway.host", "--host", metavar="ADDRESS")] = None,
    port: Annotated[str | None, option("gateway.port", "--port", metavar="PORT")] = None,
    processes: Annotated[str | None, option("gateway.processes", "--processes", metavar="N")] = None,
    config: Config = None,
    home: Home = None,
    strict: Strict = None,
    no_worker: Annotated[
        bool,
        typer.Option("--no-worker", help="Execute no runs in this process, as LANGYARD_WORKER_SLOTS=0 does."),
    ] = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    child: Annotated[str | None, typer.Option("--child", hidden=True)] = None,
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
        "gateway.processes": processes,
        "config": config,
        "home": home,
        "strict": strict,
        "worker.slots": 0 if no_worker else None,
        "log.level": log_level,
        "log.format": log_format,
        "database.migrate": False if child else None,
    }
    settings, project = start(overrides=overrides)
    as_json = settings.log.json
    logs.configure(settings.log.level, "json" if as_json else "text")
    if child is not None:
        from langyard.cli.supervised.child import adopt

        _serve_as(adopt(child), settings, project)
        return
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
        if settings.gateway.processes > 1:
            _supervise(storage, project, sockets, progress)
            return
        with progress.step(f"Loading the workflows of {project.path}"):
            from langyard.app import build
            from langyard.cli.server import Server

            app = build(storage.settings, project)

        def announce(address: str | None) -> None:
            announce_on(progress, facts_of(app, storage, address))

        Server(app, sockets, announce=announce, say=progress.say, abandon=storage.close).run()


def _supervise(storage: Storage, project: Project, sockets: list[Any], progress: Progress) -> None:
    from langyard.cli import listening
    from langyard.cli.supervised.processes import Processes

    count, worker = storage.settings.gateway.processes, storage.settings.worker
    address = listening.address(storage.settings.gateway.host, sockets[0])

    def announce(facts: dict[str, Any]) -> None:
        announce_on(progress, {**facts, "data": storage.place, "processes": count})

    with progress.step(f"Starting {count} processes for the workflows of {project.path}"):
        drain_s = worker.drain_delay_seconds + worker.drain_grace_seconds
        supervised = Processes(count, sockets, drain_s=drain_s, announce=announce, say=progress.say)
    log.debug("supervising", extra={"address": address, "processes": count})
    supervised.run()


def _serve_as(child: Child, settings: Settings, project: Project) -> None:
    """One of several processes: its parent holds the port, keeps the database and speaks for all."""
    silent = Progress(silent=True)
    with contextlib.ExitStack() as stack:
        for each in (child.line, *child.sockets):
            stack.enter_context(each)
        storage = stack.enter_context(opened(settings, silent))
        from langyard.app import build
        from langyard.cli.server import Server

        app = build(storage.settings, project)

        def announce(address: str | None) -> None:
            child.ready(facts_of(app, storage, address))

        Server(app, child.sockets, announce=announce, say=silent.say, abandon=storage.close, child=child).run()


def facts_of(app: App, storage: Storage, address: str | None) -> dict[str, Any]:
    """What is said of a process once it is up."""
    docs = f"{address}{app.settings.gateway.mount_prefix}/docs"
    return {
        "address": address,
        "docs": docs,
        "workflows": app.graphs.names(),
        "broken": sorted(app.graphs.broken),
        "data": storage.place,
    }


def announce_on(progress: Progress, facts: dict[str, Any]) -> None:
    """Say it, for people or for programs."""
    if progress.as_json:
        log.info("serving", extra=facts)
        return
    listed = ", ".join(facts["workflows"]) or "none"
    if facts["broken"]:
        listed += f" (broken, see above: {', '.join(facts['broken'])})"
    lines = {"Address": facts["address"], "Docs": facts["docs"], "Workflows": listed, "Data": facts["data"]}
    if "processes" in facts:
        lines["Processes"] = facts["processes"]
    lines["Stop"] = "Ctrl-C"
    progress.say("\n".join(f"  {name:10} {value}" for name, value in lines.items()))
