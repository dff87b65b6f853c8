"""Holds docs/reference/cli.md to what `--help` says. `python -m tests.docs.test_cli_documented` writes the page."""

from __future__ import annotations

from pathlib import Path

from langyard.cli import COMMANDS
from langyard.cli.program import program

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
WIDTH = 100
HEAD = """\
# The command line

<!-- Written by `python -m tests.docs.test_cli_documented` from src/langyard/cli: change the commands there. -->

`langyard` looks for `langgraph.json` in the folder it is called in, and for its database in `DATABASE_URL`, or else in
`.langyard/` there. An option that is a [setting](settings.md) names its environment variable and its default; the
option counts before the variable.

| Exit code | Means |
|---|---|
| 0 | Done. For `serve` and `worker`: it was told to stop, and did so in order. |
| 1 | Not done; the last line of standard error says why. |
| 2 | Called wrongly: an option that is not there, one that is missing. |
| 130 | Stopped by Ctrl-C; for `serve` and `worker`, by a second one. |
| 143 | Stopped by SIGTERM before it was up. |

Results go to standard output; progress, warnings and logs go to standard error. `LANGYARD_LOG_FORMAT=json` makes all
of standard error JSON, one event a line.
"""


def page() -> str:
    """A chapter for each command, with its help as it is printed."""
    commands = program()
    chapters = [HEAD]
    for name in COMMANDS:
        command = commands.get_command(None, name)
        with command.make_context(f"langyard {name}", [], resilient_parsing=True, max_content_width=WIDTH) as context:
            context.terminal_width = WIDTH
            text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        chapters.append(f"## langyard {name}\n\n```text\n{text}\n```\n")
    return "\n".join(chapters)


def test_the_page_is_what_help_says():
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.docs.test_cli_documented"


def test_every_command_has_a_chapter():
    text = PAGE.read_text("utf-8")
    for name in COMMANDS:
        assert f"\n## langyard {name}\n\n```text\nUsage: langyard {name} [OPTIONS]" in text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
