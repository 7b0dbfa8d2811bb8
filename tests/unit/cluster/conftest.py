"""What tests of the cluster package share: a server that plays faults, and a session with it."""

from collections.abc import AsyncIterator

import pytest

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials
from tests.unit.cluster.scripted_server import ScriptedServer, run_scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with run_scripted_server() as scripted:
        yield scripted


@pytest.fixture
async def session(server: ScriptedServer) -> AsyncIterator[ApiServer]:
    session = ApiServer(Credentials(server=server.url))
    yield session
    await session.close()
