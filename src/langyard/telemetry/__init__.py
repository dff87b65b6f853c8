"""What a running Langyard says of itself. The command line sets it up; rooms write with Python's own `logging`."""

from __future__ import annotations
