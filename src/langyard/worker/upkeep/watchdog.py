"""Notices, from a thread of its own, that a node blocks the worker's event loop, and says where. Kept by the worker."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from langyard.worker.upkeep.counters import Counters

log = logging.getLogger(__name__)

# How deep the stack of a blocked loop is told, innermost last.
_FRAMES = 40


class Watchdog:
    """Asks the loop for a sign of life; when none comes for `limit_s` seconds, logs its stack, once a blockage.

    `runs` gives the facts of the runs that execute, which may be asked from any thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        limit_s: float,
        counters: Counters,
        runs: Callable[[], list[Mapping[str, Any]]],
    ) -> None:
        self._loop = loop
        self._limit_s = limit_s
        self._counters = counters
        self._runs = runs
        self._alive = threading.Event()
        self._stop = threading.Event()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="langyard watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch the thread that calls this, which must be the loop's. With a limit of 0 nothing is watched."""
        self._watched = threading.get_ident()
        if self._limit_s:
            self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._alive.set()

    def _run(self) -> None:
        while not self._stop.wait(self._limit_s / 2):
            self._alive.clear()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # the loop is closed
                return
            if self._alive.wait(self._limit_s):
                continue
            self._tell()
            self._alive.wait()
            self._counters.blocked_seconds += time.monotonic() - asked
            if not self._stop.is_set():
                log.warning("loop_free", extra={"blocked_seconds": round(time.monotonic() - asked, 3)})

    def _tell(self) -> None:
        self._counters.blockages += 1
        frame = sys._current_frames().get(self._watched)
        facts = self._runs()
        culprit = _run_id_in(frame)
        blamed = [each for each in facts if each["run_id"] == culprit] or (facts if len(facts) == 1 else [])
        log.warning(
            "loop_blocked",
            extra={
                "limit_seconds": self._limit_s,
                "running": len(facts),
                **(blamed[0] if blamed else {}),
                "stack": "".join(traceback.format_stack(frame)[-_FRAMES:]) if frame is not None else "",
            },
        )


def _run_id_in(frame: FrameType | None) -> str | None:
    """The run whose node is on the stack: LangGraph's frames hold its config."""
    for each in _outwards(frame):
        config = each.f_locals.get("config")
        # Plain dictionaries only: a user's own mapping may do anything when it is asked.
        if type(config) is dict and type(config.get("configurable")) is dict:
            found = config["configurable"].get("run_id")
            if found is not None:
                return str(found)
    return None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
