"""The API as its callers meet it."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.api.service import Service, running_service


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running_service() as service:
        yield service
