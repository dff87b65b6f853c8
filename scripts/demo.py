"""Shows Langyard at work, from an empty folder to a report: `make demo`. Stops what it started, whatever happens.

It starts `langyard serve` on the research example with a database of its own in a temporary folder, sends the workflow
over HTTP and shows the agents' progress as it streams, asks a follow-up in the same session, lets a person (here: this
script) revise and approve a draft, and stops the server.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "examples" / "research" / "langgraph.json"
USER, SESSION = "demo", "first-report"
QUESTION = "What caused the double runs in February, how long did the incident last, and what was changed afterwards?"
FOLLOW_UP = "Did takeovers by mistake rise after the lease was shortened?"
APPROVED = "How long are backups kept, and how long does a restore take?"
NOTE = "how often restore drills are held"
READY_SECONDS, STOP_SECONDS, RUN_SECONDS = 180.0, 30.0, 300.0
COLOURS = {"research": "cyan", "analysis": "magenta", "summary": "yellow", "report": "green"}
OTHERS = ("DATABASE_URL", "POSTGRES_URI", "REDIS_URL", "LANGYARD_CONFIG", "LANGYARD_HOST", "LANGYARD_PORT")

console = Console(highlight=False, soft_wrap=True)


class Failed(Exception):
    """The demo cannot go on; the sentence says why."""


def main() -> int:
    """Runs the demo. 0 when all of it worked, 1 when something failed, 130 when interrupted."""
    asked = argparse.ArgumentParser(description="Start a server, send it the research workflow, watch it, stop it.")
    asked.add_argument("--question", default=QUESTION, help="what to ask (default: %(default)r)")
    asked.add_argument("--follow-up", default=FOLLOW_UP, help="what to ask next (default: %(default)r)")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    started = time.monotonic()
    try:
        with server() as address, httpx.Client(base_url=address, timeout=RUN_SECONDS) as client:
            first_report(client, given.question)
            follow_up(client, given.follow_up)
            status(client)
            approval(client)
    except Failed as failure:
        console.print(f"\n[bold red]The demo failed.[/] {failure}", markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything that was started has been stopped.")
        return 130
    console.print(
        f"\n[bold green]Done[/] in {time.monotonic() - started:.1f} s; the server and its database are stopped."
    )
    console.print("To go on by hand: [bold]make serve[/], then docs/tutorials/first-workflow.md.")
    return 0


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


# The four acts.


def first_report(client: httpx.Client, question: str) -> None:
    """POST /workflow/stream: the agents' progress as it happens, then the report."""
    heading("1", "A workflow, streamed", "POST /workflow/stream", question)
    end: dict[str, Any] = {}
    for name, data in events(client, body(question, documents=["corpus"])):
        if name == "metadata":
            console.print(f"   [dim]run {data.get('run_id', '')} in session {SESSION}[/]")
        elif name == "custom":
            agent = str(data.get("agent", "?"))
            console.print(f"   [{COLOURS.get(agent, 'white')}]{agent:<9}[/] ", end="")
            console.print(str(data.get("message", "")), markup=False)
        elif name == "error":
            raise Failed(sentence(data))
        elif name == "end":
            end = data
    if end.get("status") != "success":
        raise Failed(sentence(end) if end else "The stream broke off before its end.")
    console.print(f"   [dim]{end['execution_time']:.3f} s, every step of it committed to PostgreSQL[/]\n")
    show(end["result"]["report"])


def follow_up(client: httpx.Client, question: str) -> None:
    """POST /workflow/execute in the same session: no documents are sent, the session has them."""
    heading("2", "A follow-up in the same session", "POST /workflow/execute", question)
    answer = posted(client, "/workflow/execute", body(question))
    console.print(f"   [dim]{answer['status']} after {answer['execution_time']:.3f} s[/]\n")
    show(excerpt(answer["result"]["report"]))


def status(client: httpx.Client) -> None:
    """GET /workflow/{session_id}/status."""
    heading("3", "Where the session stands", f"GET /workflow/{SESSION}/status?user_id={USER}")
    answer = checked(client.get(f"/workflow/{SESSION}/status", params={"user_id": USER}))
    console.print_json(data=answer, indent=3)


def approval(client: httpx.Client) -> None:
    """A run that stops and waits for a person, is answered with a note, waits again and is approved."""
    heading("4", "A draft that waits for approval", "POST /workflow/execute", APPROVED)
    waiting = posted(client, "/workflow/execute", body(APPROVED, approval=True))
    draft = interrupted(waiting)["draft"]
    show(excerpt(draft))

    heading("", "", f"POST /workflow/{SESSION}/resume", f"revise: {NOTE}")
    answer = {"decision": "revise", "note": NOTE}
    waiting = posted(client, f"/workflow/{SESSION}/resume", {"user_id": USER, "answer": answer})
    revised = interrupted(waiting)["draft"].split("\n## What else")[0]
    show("\n\n".join(part for part in revised.split("\n\n") if part not in draft and not part.startswith(">")))

    heading("", "", f"POST /workflow/{SESSION}/resume", "approve")
    done = posted(client, f"/workflow/{SESSION}/resume", {"user_id": USER, "answer": "approve"})
    if done["status"] != "success":
        raise Failed(f"The approved run is {done['status']!r}.")
    show(done["result"]["report"].rstrip().rsplit("\n\n", 1)[-1])


def interrupted(answer: dict[str, Any]) -> dict[str, Any]:
    """What the run asks its reader."""
    if answer["status"] != "interrupted":
        raise Failed(f"The run was to wait for approval and is {answer['status']!r}.")
    (question,) = answer["interrupts"]
    console.print(f"   [dim]{answer['status']} after {answer['execution_time']:.3f} s; now it waits, however long[/]\n")
    value: dict[str, Any] = question["value"]
    return value


# HTTP.


def body(question: str, **given: Any) -> dict[str, Any]:
    """The body of execute and stream."""
    data = {"question": question, **given}
    return {"workflow_type": "research", "input_data": data, "user_id": USER, "session_id": SESSION}


def posted(client: httpx.Client, path: str, content: dict[str, Any]) -> dict[str, Any]:
    """The answer to a POST, or Failed with the server's sentence."""
    return checked(client.post(path, json=content))


def checked(response: httpx.Response) -> dict[str, Any]:
    """The body of a good answer."""
    try:
        answer: dict[str, Any] = response.json()
    except ValueError:
        raise Failed(f"{response.request.url} answered {response.status_code} without JSON.") from None
    if response.is_error:
        raise Failed(sentence(answer))
    return answer


def sentence(answer: dict[str, Any]) -> str:
    """What an error answer says."""
    return str(answer.get("detail") or answer)


def events(client: httpx.Client, content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events as (name, data). Lines end at line feeds only: JSON may hold other line separators."""
    with client.stream("POST", "/workflow/stream", json=content) as response:
        if response.is_error:
            response.read()
            checked(response)
        name, rest = "message", b""
        for chunk in response.iter_bytes():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                field, _, value = line.rstrip(b"\r").partition(b": ")
                if field == b"event":
                    name = value.decode()
                elif field == b"data":
                    yield name, json.loads(value)


# The server.


@contextmanager
def server() -> Iterator[str]:
    """A server of the example with a database of its own, and its address; both are gone afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = ["langyard", "serve", "--config", str(CONFIG.relative_to(ROOT)), "--port", address.rpartition(":")[2]]
    heading("0", "A server and its own PostgreSQL", " ".join(command))
    command[0] = str(Path(sys.executable).with_name(command[0]))
    child: subprocess.Popen[bytes] | None = None
    home: Path | None = None
    try:
        with undisturbed():
            home = Path(tempfile.mkdtemp(prefix="langyard-demo-"))
            child = start(command, home)
        wait_until_ready(child, address)
        yield address
    except (Failed, httpx.HTTPError) as failure:
        if home is not None:
            show_log(home)
        lost = "The connection to the server was lost: " if isinstance(failure, httpx.HTTPError) else ""
        raise Failed(f"{lost}{str(failure) or type(failure).__name__}") from None
    finally:
        for sign in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not leave anything running
            signal.signal(sign, signal.SIG_IGN)
        if child is not None and home is not None:
            stop(child, home)
        if home is not None:
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Holds interruptions back until the end of the block: what it starts is then known to who must stop it."""
    came: list[int] = []
    signs = (signal.SIGINT, signal.SIGTERM)
    before = {sign: signal.signal(sign, lambda number, _: came.append(number)) for sign in signs}
    try:
        yield
    finally:
        for sign, disposition in before.items():
            signal.signal(sign, disposition)
    if came:
        raise KeyboardInterrupt


def start(command: list[str], home: Path) -> subprocess.Popen[bytes]:
    """The server, in a session of its own: Ctrl-C reaches this script only, which then stops the server in order."""
    environ = {name: value for name, value in os.environ.items() if name not in OTHERS}
    environ |= {"LANGYARD_HOME": str(home), "LANGYARD_LOG_FORMAT": "text", "NO_COLOR": "1"}
    with (home / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def show_log(home: Path) -> None:
    """The last lines the server wrote."""
    log = home / "server.log"
    tail = log.read_text("utf-8", "replace").splitlines()[-20:] if log.exists() else []
    console.print("\n[dim]The end of the server's log:[/]")
    console.print("\n".join(f"   {line[:240]}" for line in tail) or "   (empty)", markup=False)


def wait_until_ready(child: subprocess.Popen[bytes], address: str) -> None:
    """Returns once GET /health/ready says so."""
    begun = time.monotonic()
    with console.status("   starting"):
        while time.monotonic() - begun < READY_SECONDS:
            if child.poll() is not None:
                raise Failed(f"The server ended at once with exit code {child.returncode}.")
            try:
                if httpx.get(f"{address}/health/ready", timeout=5).is_success:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        else:
            raise Failed(f"The server was not ready after {READY_SECONDS:.0f} s.")
    thinks = "a model" if os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL") else "no model"
    console.print(
        f"   [dim]ready after {time.monotonic() - begun:.1f} s at {address} (pid {child.pid}); {thinks} is used[/]"
    )


def stop(child: subprocess.Popen[bytes], home: Path) -> None:
    """Ends the server, and its database should the server not have been able to; by their pids, and waits for both."""
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pid_file in home.glob(".langyard/**/postmaster.pid"):
        number, folder = pid_file.read_text().splitlines()[:2]
        command = subprocess.run(["ps", "-o", "command=", "-p", number], capture_output=True, text=True, check=False)
        if folder not in command.stdout:  # the number belongs to another process by now
            continue
        os.kill(int(number), signal.SIGINT)  # PostgreSQL's fast shutdown
        until = time.monotonic() + STOP_SECONDS
        while pid_file.exists() and time.monotonic() < until:
            time.sleep(0.1)


# The terminal.


def heading(number: str, title: str, request: str, said: str = "") -> None:
    """What comes next and the request that asks for it."""
    if title:
        console.print(f"\n[bold]{number}. {title}[/]")
    console.print(f"   [blue]{request}[/]")
    if said:
        console.print(f"   “{said}”", markup=False, style="italic")


def show(text: str) -> None:
    """Markdown, laid out on a terminal and as it is elsewhere."""
    if console.is_terminal:
        console.print(Padding(Markdown(text), (0, 3)), width=min(console.width, 110), soft_wrap=False)
    else:
        console.print(text.rstrip(), markup=False)


def excerpt(report: str) -> str:
    """A report's answer and disagreements; the findings and sources are left out."""
    kept = re.split(r"\n## (?:What else|Sources)", report, maxsplit=1)[0].rstrip()
    return f"{kept}\n\n*(… {len(report.split())} words with findings and sources)*"


if __name__ == "__main__":
    sys.exit(main())
