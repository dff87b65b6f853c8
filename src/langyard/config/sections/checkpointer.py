"""`checkpointer` of `langgraph.json` (contract D.1) as far as it is read: how long threads are kept; for `app`."""

from __future__ import annotations

from langyard.config.project import Project
from langyard.config.ttl import ThreadTtl, read_ttl
from langyard.model.errors import ConfigurationError


def thread_ttl_section(project: Project | None) -> ThreadTtl:
    """The section of the project's file, its defaults where it says nothing. Raises ConfigurationError."""
    given = project.section("checkpointer").get("ttl") if project is not None else None
    try:
        return read_ttl({} if given is None else given)
    except ValueError as wrong:
        raise ConfigurationError(f"`checkpointer.ttl` is wrong: {wrong}.") from None
