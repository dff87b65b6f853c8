"""`langyard version`."""

from __future__ import annotations

import sys

from langyard import __version__


def version() -> None:
    """Print the version."""
    sys.stdout.write(f"{__version__}\n")
