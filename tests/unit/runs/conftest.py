"""A bench for each test that wants one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from langyard.postgres.database import Database
from tests.unit.runs.bench import Bench, register


@pytest.fixture
async def bench(database) -> AsyncIterator[Bench]:
    opened = Database(database, name="test", max_size=6)
    await opened.open()
    worker_id = uuid.uuid4()
    await asyncio.to_thread(register, database, worker_id)
    yield Bench(opened, database, worker_id, uuid.uuid4())
    await opened.close()
