"""The command line `langyard`: its table of commands, each a file that is imported only when it is called."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from langyard.model.errors import LangyardError

COMMANDS = {
    "serve": "Serve the workflows of a project over HTTP, and run them.",
    "worker": "Execute runs without serving HTTP.",
    "run": "Run one workflow here and print what it gave; no server is needed.",
    "workflows": "List the workflows of a project, and what is wrong with those that cannot be loaded.",
    "init": "Write a small working project.",
    "runs": "Look after runs: list and show them, cancel one, drive one again, put right what is wrong.",
    "migrate": "Bring the database to the schema that this Langyard needs.",
    "version": "Print the version.",
}
"""Every command, in the order of the help; `langyard.cli.<command>` has a function of that name."""


def main() -> None:
    """Run the command that `sys.argv` names. Ends the process: 0 done, 1 a sentence says why not, 2 called wrongly."""
    if sys.argv[1:] in (["version"], ["--version"]):  # asked by scripts, which should not wait for an argument parser
        from langyard.cli.version import version

        version()
        return
    from langyard.cli.program import program

    signal.signal(signal.SIGTERM, _terminate)
    try:
        program().main(prog_name="langyard")
    except LangyardError as error:
        sys.stderr.write(f"langyard: {error.detail}\n")
        sys.exit(1)


def _terminate(signum: int, frame: FrameType | None) -> None:
    """End as after Ctrl-C, so that what was opened is closed; Python's default would leave it lying."""
    sys.exit(128 + signum)
