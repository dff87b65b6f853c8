"""Who may read a thread that need not be there yet. Used by the streams of whole threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from langyard.gateway.access import Access
from langyard.gateway.parts import Parts
from langyard.model.errors import LangyardError, NotFound

Admitted = Callable[[], Awaitable[bool]]


async def admit(parts: Parts, access: Access, thread_id: UUID) -> Admitted:
    """What is to be asked before anything of the thread is shown: somebody else's may be made after this one waits.

    Raises `NotFound` for a thread that is there and is another one's, and what else the project's handler raises.
    """
    try:
        await access.thread(thread_id, "read")
    except NotFound:
        if await parts.invocations.has_thread(thread_id):
            raise
        return partial(_admitted, access, thread_id)
    return _always


async def _always() -> bool:
    return True


async def _admitted(access: Access, thread_id: UUID) -> bool:
    try:
        await access.thread(thread_id, "read")
    except LangyardError:
        return False
    return True
