"""A server for the tests of this room."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.gateway.serving import Served, serve


@pytest.fixture
async def served(database: str) -> AsyncIterator[Served]:
    async with serve(database) as found:
        yield found
