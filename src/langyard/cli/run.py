"""`langyard run`: one workflow, in this process, on the same sessions as the server's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langyard.cli.flags import Config, Home, LogLevel
from langyard.cli.progress import Progress
from langyard.cli.storage import opened
from langyard.config import Project, Settings, start
from langyard.model.errors import Invalid, NotFound

if TYPE_CHECKING:
    from langyard.app import App
    from langyard.conversations import Outcome, Turn

log = logging.getLogger(__name__)

USER = "local"
_TOLD_BY_THE_RESULT = ("end", "error")


@dataclass(frozen=True, slots=True)
class _Ask:
    """What is to be run. Exactly one of `input` and `answer` counts, by `resume`."""

    workflow: str
    input: dict[str, Any] | None
    answer: Any
    resume: bool
    user_id: str
    session_id: str | None
    stream: bool


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The workflow, as langgraph.json names it.")],
    input: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="The input, a JSON object; @FILE reads it from a file, - from standard input."
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Instead of an input: the answer to what the session's workflow waits for."),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Go on with this session, or begin it; without it a new one is made."),
    ] = None,
    user: Annotated[str, typer.Option(metavar="ID", help="Whose session it is.")] = USER,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print each event on standard error as it comes, as a line of JSON.")
    ] = False,
    config: Config = None,
    home: Home = None,
    log_level: LogLevel = None,
) -> None:
    """Run one workflow here and print what it gave; no server is needed.

    Standard output gets one JSON object: status (success or interrupted), result, interrupts, execution_time,
    session_id, run_id. A workflow that fails says why on standard error and ends with code 1. Ctrl-C cancels the run;
    the session keeps what was reached.
    """
    if (input is None) == (resume is None):
        raise typer.BadParameter("Give either --input or --resume.")
    if resume is not None and session is None:
        raise typer.BadParameter("--resume needs the --session that waits.")
    ask = _Ask(
        workflow=name,
        input=None if input is None else _object(input),
        answer=None if resume is None else _parsed(resume, "--resume"),
        resume=resume is not None,
        user_id=user,
        session_id=session,
        stream=stream,
    )
    settings, project = start(
        overrides={"config": config, "home": home, "log.level": log_level, "worker.slots": 1, "strict": True}
    )
    sys.exit(_run(ask, settings, _only(project, name)))


def _run(ask: _Ask, settings: Settings, project: Project) -> int:
    from langyard.telemetry import logs

    as_json = settings.log.format == "json"
    # What a server tells its log is told here by the result; warnings and the user's own words remain.
    logs.configure("warning" if settings.log.level == "info" else settings.log.level, "json" if as_json else "text")
    for warning in (*settings.warnings, *project.warnings):
        log.warning(warning)
    progress = Progress(as_json=as_json)
    with opened(settings, progress) as storage:
        with progress.step(f"Loading {ask.workflow}"):
            import uvloop

            from langyard.app import build

            logging.getLogger("langyard.graphs").setLevel(logging.CRITICAL)  # the error that is raised says it all
            app = build(storage.settings, project)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_converse(app, ask, progress))


async def _converse(app: App, ask: _Ask, progress: Progress) -> int:
    """Start it, show its events, print its outcome; the exit code."""
    modes = ("updates", "custom") if ask.stream else ()
    async with app:
        talk = app.conversations
        if ask.resume:
            assert ask.session_id is not None
            turn = await talk.start_resume(ask.session_id, ask.user_id, ask.answer, stream_mode=modes)
        else:
            turn = await talk.start(
                ask.workflow, ask.input, user_id=ask.user_id, session_id=ask.session_id, stream_mode=modes
            )
        with turn:
            outcome, stopped = await _until_stopped(app, turn, ask.stream)
    if outcome.failure is not None:
        progress.say(f"langyard: {_why(outcome)}\nThe session {outcome.session_id} keeps what was reached.")
        return 130 if stopped else 1
    shown = {
        "status": outcome.status,
        "result": outcome.result,
        "interrupts": list(outcome.interrupts),
        "execution_time": outcome.execution_time,
        "session_id": outcome.session_id,
        "run_id": str(outcome.run_id),
    }
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(shown, ensure_ascii=False, indent=indent) + "\n")
    return 0


async def _until_stopped(app: App, turn: Turn, stream: bool) -> tuple[Outcome, bool]:
    """The outcome, and whether it came by Ctrl-C or SIGTERM. A second signal ends the process as Python does."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: signal.Signals) -> None:
        stopped.set()
        loop.remove_signal_handler(number)

    async def cancel() -> None:
        await stopped.wait()
        await app.runs.cancel(turn.run_id, reason="it was stopped on the command line")

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    cancelling = asyncio.create_task(cancel())
    try:
        if stream:
            async for event in turn.reader:
                if event.name not in _TOLD_BY_THE_RESULT:
                    sys.stderr.write(f'{{"event":{json.dumps(event.name)},"data":{event.data.decode()}}}\n')
        return await turn.outcome(), stopped.is_set()
    finally:
        cancelling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cancelling
        for number in numbers:
            loop.remove_signal_handler(number)


def _why(outcome: Outcome) -> str:
    """The graph's own words, since who reads them here started it."""
    assert outcome.failure is not None
    if outcome.failure.code != "workflow_failed" or not outcome.error:
        return outcome.failure.detail
    return f"The workflow {outcome.workflow!r} failed. {outcome.error.get('error')}: {outcome.error.get('message')}"


def _only(project: Project, name: str) -> Project:
    """The project with this one graph: others need not be imported, and their runs not be claimed."""
    if name not in project.graphs:
        known = ", ".join(sorted(project.graphs))
        raise NotFound(f"There is no workflow {name!r}. Those there are: {known}.", code="workflow_not_found")
    return replace(project, graphs={name: project.graphs[name]})


def _object(text: str) -> dict[str, Any]:
    value = _parsed(text, "--input")
    if not isinstance(value, dict):
        raise Invalid(f"--input is a JSON {type(value).__name__}; a workflow takes a JSON object.")
    return value


def _parsed(text: str, flag: str) -> Any:
    """The JSON of an option. Raises Invalid."""
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).expanduser().read_text(encoding="utf-8-sig")
        return json.loads(text)
    except json.JSONDecodeError as wrong:
        raise Invalid(f"{flag} is not JSON at line {wrong.lineno}, column {wrong.colno}: {wrong.msg}.") from None
    except RecursionError:
        raise Invalid(f"{flag} is nested too deeply.") from None
    except (OSError, UnicodeDecodeError) as wrong:
        raise Invalid(f"{flag} cannot be read: {wrong}.") from wrong
