"""What a running Langyard says of itself: logs. Set up by the command line; every room writes with the standard library's
`logging` and never asks how."""

from __future__ import annotations
