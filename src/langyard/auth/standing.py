"""The project's `Priority` object (contract D.1): how urgent the runs of a thread are, and with whom they share turns.

Made by `app`, which has loaded the object; asked by `runs` before a run is made. It is asked at the first run of a
thread, and what it says is kept with the thread. Where it fails, the run goes on as any other and it is asked again.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from langgraph_sdk import Priority, PriorityContext

from langyard.auth.loop import Loop, Threads
from langyard.auth.users import remembered
from langyard.model.errors import ConfigurationError, Invalid, LangyardError
from langyard.model.runs import PRIORITIES, RunRequest
from langyard.postgres.database import Database
from langyard.postgres.rows import threads as rows

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0
_LONGEST_GROUP = 256


class Standing:
    """Raises ConfigurationError when the object is none that assigns priorities."""

    def __init__(self, priority: object, place: str, threads: Threads) -> None:
        if not isinstance(priority, Priority):
            raise ConfigurationError(f"`priority.path`: {place} is a {type(priority).__name__}, not a Priority.")
        if priority._assign_handler is None:
            raise ConfigurationError(f"`priority.path`: {place} has no @priority.assign.")
        self._assign = priority._assign_handler
        self._loop = Loop(threads, patience_s=_PATIENCE_S)

    async def placed(self, database: Database, request: RunRequest) -> tuple[RunRequest, bool]:
        """The run with the priority and the fairness group of its thread, and whether they are to be kept with it.

        Raises `Invalid` when the request brings a priority of its own.
        """
        if request.priority:
            raise Invalid("This server says itself how urgent a run is: leave `priority` out.")
        row = await rows.standing(database, request) or {}
        if row.get("priority") is not None:
            return replace(request, priority=row["priority"], fairness_group=row["fairness_group"]), False
        try:
            priority, group = _settings(
                await self._loop.call(self._assign, **{_name(self._assign): _context(request, row)})
            )
        except Exception as failure:  # user code, or it took too long: a run is worth more than its place
            reason = failure.detail if isinstance(failure, LangyardError) else repr(failure)[:500]
            log.error("@priority.assign failed, the run gets priority 0: %s", reason, exc_info=failure)
            return request, False
        return replace(request, priority=priority, fairness_group=group), not request.temporary

    async def keep(self, database: Database, thread_id: UUID, request: RunRequest) -> None:
        """Keep what was said of a run with the thread on which it was made."""
        await rows.keep_standing(database, thread_id, request.priority, request.fairness_group)

    def close(self) -> None:
        """Let go of the loop."""
        self._loop.close()


def _name(function: Any) -> str:
    """What the one parameter is called."""
    return next(iter(inspect.signature(function).parameters))


def _context(request: RunRequest, thread: Mapping[str, Any]) -> PriorityContext:
    told = (request.kwargs.get("config") or {}).get("configurable") or {}
    user = told.get("langgraph_auth_user") or {"identity": request.user_id or ""}
    known = thread.get("thread_id") or (None if request.temporary else request.thread_id)
    return PriorityContext(
        user=cast(Any, remembered(user)),
        permissions=list(told.get("langgraph_auth_permissions") or ()),
        thread_id=str(known) if known is not None else None,
        thread_metadata=dict(thread.get("metadata") or request.thread_metadata),
        assistant_id=str(request.assistant_id or ""),
        graph_id=request.graph_id,
        assistant_metadata=dict(request.inherited),
        run_metadata=dict(request.metadata),
        cron_id=None,
    )


def _settings(said: Any) -> tuple[int, str | None]:
    if said is None:
        return 0, None
    if not isinstance(said, Mapping):
        raise TypeError(f"it gave a {type(said).__name__}; a mapping with `priority` and `fairness_group` may be")
    priority, group = said.get("priority") or 0, said.get("fairness_group") or None
    if not isinstance(priority, int) or isinstance(priority, bool) or priority not in PRIORITIES:
        raise ValueError("it gave a priority that is no whole number from -5 to 5")
    if group is not None and (not isinstance(group, str) or len(group) > _LONGEST_GROUP or "\x00" in group):
        raise ValueError(f"it gave a fairness_group that is no text of at most {_LONGEST_GROUP} characters")
    return priority, group
