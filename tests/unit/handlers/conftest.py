"""A fake API server, and kopf embedded as the operator does it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from diem_operator.cluster.credentials import TlsMaterial
from diem_operator.handlers.embedding import EmbeddedKopf
from diem_operator.handlers.login import Connection
from diem_operator.handlers.watches import build_registry, build_settings
from diem_operator.model.metadata import RawObject
from tests.unit.handlers.api_server import FakeApiServer, serve_fake_api


@dataclass
class Seen:
    """What the observer was told: the types and the names."""

    objects: list[tuple[str | None, str]] = field(default_factory=list)
    counted: list[tuple[str, str | None]] = field(default_factory=list)

    def observe(self, event_type: str | None, raw: RawObject) -> None:
        self.objects.append((event_type, raw["metadata"]["name"]))


async def eventually(holds: Callable[[], bool]) -> None:
    """Return once it holds; fails after five seconds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what holds is not ours to signal
            await asyncio.sleep(0.005)


@pytest.fixture
async def fake_api() -> AsyncIterator[FakeApiServer]:
    async with serve_fake_api() as fake:
        yield fake


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def embedded(fake_api: FakeApiServer, seen: Seen) -> AsyncIterator[EmbeddedKopf]:
    async def log_in() -> Connection:
        return Connection(server=fake_api.url, tls=TlsMaterial())

    registry = build_registry(
        seen.observe,
        is_served=lambda namespace: namespace != "diem-system",
        count=lambda plural, event_type, _count: seen.counted.append((plural, event_type)),
        login=log_in,
    )
    embedded = EmbeddedKopf(registry, build_settings(), first_pause_seconds=0.01)
    yield embedded
    await embedded.stop()
