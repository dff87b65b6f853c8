"""Tasks that are told to stop have stopped, also one that a cancellation did not reach."""

from __future__ import annotations

import asyncio

from langyard.model.stopping import stop


async def test_one_that_loses_a_cancellation_is_told_again():
    lost = 0

    async def deaf_once() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await stop([task])
    assert task.cancelled()
    assert lost == 2


async def test_whatever_they_end_with_is_looked_at():
    async def fails() -> None:
        raise ValueError

    async def ends() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(fails()), asyncio.create_task(ends())]
    await asyncio.sleep(0)
    await stop([*tasks, None])
    assert all(task.done() for task in tasks)
