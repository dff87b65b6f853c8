"""The table of commands, what help says, what is imported for it, and how mistakes end."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from langyard import __version__, cli
from langyard.cli.flags import described
from langyard.cli.program import program
from langyard.config import catalogue
from langyard.model.errors import ConfigurationError, Unavailable

HEAVY = ("fastapi", "langchain_core", "langgraph", "psycopg", "rich", "structlog", "uvicorn", "langyard.app")
# What is asked of one command alone is no setting; everything else is one, and says which.
OWN = {
    *("--help", "--version", "--no-worker", "--input", "--resume", "--session", "--user", "--stream"),
    *("--plan", "--check", "--json"),
    *("--status", "--thread", "--graph", "--quarantined", "--older-than", "--limit"),
    *("--rollback", "--checkpoint", "--dry-run"),
}


def imported_by(*arguments: str, also: tuple[str, ...] = ()) -> set[str]:
    """Those of HEAVY that a command has imported when it ends."""
    code = f"""
import sys
sys.argv = ["langyard", *{arguments!r}]
from langyard.cli import main
try:
    main()
except SystemExit:
    pass
sys.stderr.write(" ".join(name for name in {(*HEAVY, *also)!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.split())


def test_version_is_printed_and_needs_nothing(langyard):
    for arguments in (["version"], ["--version"]):
        assert langyard(*arguments) == (0, f"{__version__}\n", "")
    assert imported_by("version", also=("typer", "asyncio", "langyard.config")) == set()
    assert langyard("version", "--help").code == 0


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in cli.COMMANDS)])
def test_help_needs_no_runtime(arguments):
    assert imported_by(*arguments) == set()


def test_the_table_says_what_the_commands_say():
    for name, sentence in cli.COMMANDS.items():
        command = getattr(importlib.import_module(f"langyard.cli.{name}"), name)
        assert (inspect.getdoc(command) or "").splitlines()[0] == sentence


def test_every_option_that_is_a_setting_says_so():
    known = {described(entry) for entry in catalogue().values()}
    found = set()
    for name in cli.COMMANDS:
        for option in program().get_command(None, name).params:
            flags = {*option.opts, *option.secondary_opts}
            if any(flag.startswith("--") for flag in flags) and not (flags & OWN or option.hidden):
                assert option.help in known, (name, flags)
                assert option.default is None, "without the flag, the environment holds"
                found |= flags
    assert {"--host", "--port", "--config", "--home", "--strict", "--log-level", "--log-format"} <= found


def test_without_arguments_there_is_help(langyard):
    done = langyard()
    assert "Usage: langyard [OPTIONS] COMMAND" in done.out + done.err
    for name in cli.COMMANDS:
        assert f"\n  {name} " in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope"], "No such command 'nope'"),
        (["serve", "--nope"], "No such option: --nope"),
        (["run"], "Missing argument 'NAME'"),
        (["run", "echo"], "Give either --input or --resume"),
        (["run", "echo", "--input", "{}", "--resume", "1"], "Give either --input or --resume"),
        (["run", "echo", "--resume", "1"], "--resume needs the --session"),
        (["migrate", "--plan", "--check"], "exclude each other"),
    ],
)
def test_a_wrong_call_ends_with_2(langyard, arguments, sentence):
    done = langyard(*arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err


@pytest.mark.parametrize("error", [ConfigurationError("It is wrong."), Unavailable("It is away.")])
def test_an_error_of_ours_is_a_sentence(langyard, monkeypatch, error):
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("langyard.cli.version.version", fail)
    assert langyard("version", "--help").code == 0
    monkeypatch.setattr("langyard.cli.migrate.load", fail)
    assert langyard("migrate") == (1, "", f"langyard: {error.detail}\n")


def test_an_interrupt_is_no_traceback(langyard, monkeypatch):
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("langyard.cli.migrate.load", interrupt)
    assert langyard("migrate") == (130, "", "")


def test_a_wrong_setting_is_told_by_its_flag(langyard, project):
    done = langyard("serve", "--port", "many", "--log-level", "loud")
    assert done.code == 1
    assert "LANGYARD_PORT, given on the command line, is 'many'; accepted: a whole number from 0 to 65535." in done.err
    assert "LANGYARD_LOG_LEVEL" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["serve", "workflows"])
def test_without_a_project_it_says_how_to_get_one(langyard, command):
    done = langyard(command)
    assert (done.code, done.out) == (1, "")
    assert "langyard init" in done.err


def test_the_script_is_installed():
    done = subprocess.run(
        [Path(sys.executable).with_name("langyard"), "version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{__version__}\n"
