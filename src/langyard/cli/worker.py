"""`langyard worker`: executes runs of any process on the same database, without HTTP but for its health if asked."""

from __future__ import annotations

import contextlib
import logging
from typing import Annotated

from langyard.cli.flags import Config, Home, LogFormat, LogLevel, Strict, option
from langyard.cli.progress import Progress
from langyard.cli.storage import opened
from langyard.config import Project, Settings, start
from langyard.model.errors import ConfigurationError

log = logging.getLogger(__name__)


def worker(
    slots: Annotated[str | None, option("worker.slots", "--slots", metavar="N")] = None,
    health_port: Annotated[str | None, option("worker.health_port", "--health-port", metavar="PORT")] = None,
    config: Config = None,
    home: Home = None,
    strict: Strict = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Execute runs without serving HTTP.

    It takes runs that any server on the same database has accepted; `langyard serve --no-worker` is the other half.
    Ctrl-C or SIGTERM lets runs end, hands back the rest and stops; a second Ctrl-C stops at once.
    """
    from langyard.telemetry import logs

    settings, project = start(
        overrides={
            "worker.slots": slots,
            "worker.health_port": health_port,
            "config": config,
            "home": home,
            "strict": strict,
            "log.level": log_level,
            "log.format": log_format,
        }
    )
    as_json = settings.log.json
    logs.configure(settings.log.level, "json" if as_json else "text")
    for warning in (*settings.warnings, *project.warnings):
        log.warning(warning)
    if settings.worker.slots == 0:
        raise ConfigurationError("A worker with no slots executes nothing; set LANGYARD_WORKER_SLOTS or --slots.")
    _work(settings, project, Progress(as_json=as_json))


def _work(settings: Settings, project: Project, progress: Progress) -> None:
    from langyard.cli import listening

    with contextlib.ExitStack() as stack:
        port = settings.worker.health_port
        sockets = listening.bind(settings.gateway.host, port) if port is not None else []
        for each in sockets:
            stack.enter_context(each)
        storage = stack.enter_context(opened(settings, progress))
        with progress.step(f"Loading the workflows of {project.path}"):
            from langyard.app import build
            from langyard.cli.server import Server

            app = build(storage.settings, project)

        def announce(address: str | None) -> None:
            names, broken = app.graphs.names(), sorted(app.graphs.broken)
            facts = {"workflows": names, "broken": broken, "slots": settings.worker.slots, "data": storage.place}
            if progress.as_json:
                log.info("working", extra={**facts, "health": address})
                return
            health = {} if address is None else {"Health": f"{address}{settings.gateway.mount_prefix}/health/ready"}
            lines = {"Workflows": ", ".join(names) or "none", "Slots": settings.worker.slots, "Data": storage.place}
            shown = {**lines, **health, "Stop": "Ctrl-C"}
            progress.say("\n".join(f"  {name:10} {value}" for name, value in shown.items()))

        server = Server(
            app, sockets, announce=announce, say=progress.say, abandon=storage.close, probes_only=True
        )  # fmt: skip
        server.run()
