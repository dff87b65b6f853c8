"""One round of a loop that must never end: what goes wrong in it is logged, and the next round comes. For all rooms."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TypeVar

from langyard.model.errors import LangyardError

T = TypeVar("T")


async def survived(log: logging.Logger, what: str, work: Awaitable[T]) -> T | None:
    """The result of `work`; None when it failed, which is logged as that one could not do `what`."""
    try:
        return await work
    except LangyardError as error:
        log.warning("cannot %s: %s", what, error.detail)
    except Exception:  # a loop that dies is noticed days later: whatever it was, it goes on
        log.exception("could not %s", what)
    return None
