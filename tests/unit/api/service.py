"""A served API in front of a cluster in memory, and a caller that speaks HTTP with it."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from diem_operator.api.app import build_app
from diem_operator.api.endpoint import PATH
from diem_operator.api.serving import serving
from diem_operator.metrics import ApiMetrics
from diem_operator.settings import ApiSettings
from tests.unit.api.fake_cluster import FakeCluster
from tests.unit.api.objects import make_apikey

QUICK = ApiSettings(host="127.0.0.1", port=0, drain_seconds=0.0, shutdown_seconds=1.0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.text))


@dataclass(frozen=True, kw_only=True)
class Service:
    """What tests talk to; `token` opens every DiemJob of team-a."""

    cluster: FakeCluster
    port: int
    session: aiohttp.ClientSession
    metrics: ApiMetrics
    token: str = field(default_factory=secrets.token_urlsafe)

    async def send(
        self, method: str = "POST", path: str = PATH, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, headers=headers, data=body or None) as response:
            return Answer(status=response.status, headers=response.headers.copy(), text=await response.text())

    async def ask(self, body: object, *, token: str | None = None, **headers: str) -> Answer:
        """Ask as the documented clients do; keyword arguments are further headers."""
        given = {"Content-Type": "application/json", "x-api-key": self.token if token is None else token}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send(headers=given | more, body=json.dumps(body).encode())

    def add_key(self, **spec: Any) -> str:
        """Make another key and return its token."""
        token = secrets.token_urlsafe()
        self.cluster.apikeys.store(make_apikey(token, **{"name": secrets.token_hex(4)} | spec))
        return token

    def read_metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@asynccontextmanager
async def running_service(
    settings: ApiSettings = QUICK, *, cluster: FakeCluster | None = None
) -> AsyncIterator[Service]:
    world = FakeCluster() if cluster is None else cluster
    metrics = ApiMetrics(CollectorRegistry())
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Content-Type"]) as session,
        serving(build_app(world.as_cluster(), settings, metrics=metrics), settings) as served,
    ):
        service = Service(cluster=world, port=served.port, session=session, metrics=metrics)
        world.apikeys.store(make_apikey(service.token))
        yield service
