"""A PostgreSQL of the folder's own, started once and shared by its processes; `app.py` and the commands start it."""

from langyard.postgres.embedded.server import SETTINGS, EmbeddedServer, start

__all__ = ["SETTINGS", "EmbeddedServer", "start"]
