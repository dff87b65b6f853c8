"""Says on standard error what a command is at: by a spinner on a terminal, else by a line, or by a log event."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

log = logging.getLogger("langyard.cli")


class Progress:
    """The steps of a command that take long enough to wonder."""

    def __init__(self, *, as_json: bool = False, silent: bool = False) -> None:
        self.as_json = as_json
        self._silent = silent

    def say(self, sentence: str) -> None:
        """One line."""
        if self._silent:
            return
        if self.as_json:
            log.info(sentence)
        else:
            sys.stderr.write(f"{sentence}\n")
            sys.stderr.flush()

    @contextlib.contextmanager
    def step(self, sentence: str) -> Iterator[None]:
        """Show `sentence` while the step lasts, and leave it there."""
        if self._silent or self.as_json or not sys.stderr.isatty():
            self.say(sentence)
            yield
            return
        from rich.console import Console
        from rich.text import Text

        console = Console(stderr=True, highlight=False, markup=False)
        with console.status(Text(sentence)):
            yield
        console.print(sentence, soft_wrap=True)
