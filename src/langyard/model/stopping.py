"""Ending asyncio's tasks for certain. For every room that starts any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

# Between two words to one that does not listen.
_PATIENCE_S = 1.0


async def stop(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel and wait until all have ended, with whatever they end; None is none.

    A cancellation may be lost: the `wait_for` of Python 3.11 answers with its result when both come at once (gh-86296),
    and the database driver waits by it. A loop would then go on for ever, and whoever waits for its end with it. So it
    is said again until it is heard.
    """
    left = {task for task in tasks if task is not None}
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=_PATIENCE_S)
        for task in ended:
            if not task.cancelled():
                task.exception()  # looked at, or Python complains that nobody did
