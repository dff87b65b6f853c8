"""A server for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.acceptance.sdk.agents import Agents, serving


@pytest.fixture
async def agents(database: str) -> AsyncIterator[Agents]:
    async with serving(database) as found:
        yield found
