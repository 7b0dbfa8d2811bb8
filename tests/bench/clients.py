"""The clients of the benchmark: one for Kubernetes, which measures the floors too, and one for the HTTP API.

Both are aiohttp on uvloop, as quick as a client in Python is, and in one process.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from tests.localcluster import LocalCluster

JOBS = "/apis/batch/v1/namespaces/{}/jobs"
PODS = "/api/v1/namespaces/{}/pods"
DIEMJOBS = "/apis/diem.io/v1/namespaces/{}/diemjobs"
IN_FLIGHT = 20


class BenchError(Exception):
    """A request was not answered as it has to be, or something did not come in time."""


class Metadata(msgspec.Struct):
    """What is read of an object."""

    name: str = ""
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}


class Object(msgspec.Struct):
    """See Metadata."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)


class WatchEvent(msgspec.Struct):
    """An event of a watch."""

    type: str
    object: Object


class Client:
    """One HTTP client; raises BenchError for every answer that is not 2xx."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        is_gone_fine: bool = False,
    ) -> bytes:
        """Send a request; return the body of the answer."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": content_type}
        async with self._session.request(method, self._base + path, data=data, headers=headers) as answer:
            text = await answer.read()
            if not answer.ok and not (is_gone_fine and answer.status == HTTPStatus.NOT_FOUND):
                raise BenchError(f"{method} {path} was answered {answer.status}: {text[:300].decode(errors='replace')}")
            return text

    async def merge(self, path: str, patch: object) -> None:
        """Apply a merge patch."""
        await self.send("PATCH", path, patch, content_type="application/merge-patch+json")

    async def watch(self, path: str, version: str) -> AsyncIterator[WatchEvent]:
        """Yield the events of a collection since a version."""
        decoder = msgspec.json.Decoder(WatchEvent)
        url = f"{self._base}{path}?watch=true&resourceVersion={version}"
        async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            async for line in answer.content:
                yield decoder.decode(line)


@asynccontextmanager
async def connect_kubernetes(cluster: LocalCluster) -> AsyncIterator[Client]:
    """Give a client of the API server, with an administrator's certificate."""
    context = ssl.create_default_context(cafile=str(cluster.ca_file))
    pki = cluster.directory / "pki"
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=2**20) as session:
        yield Client(session, cluster.server)


@asynccontextmanager
async def connect_api(port: int, token: str) -> AsyncIterator[Client]:
    """Give a client of the HTTP API that has a key."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"x-api-key": token}) as session:
        yield Client(session, f"http://127.0.0.1:{port}")


class Arrivals:
    """When objects of a collection were first seen, by a name that the caller chooses."""

    def __init__(self, find_name: Callable[[Object], str]) -> None:
        self.seconds: dict[str, float] = {}
        self._find_name = find_name
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def watching(self, client: Client, path: str) -> AsyncIterator["Arrivals"]:
        """Watch while the block runs."""
        answer = msgspec.json.decode(await client.send("GET", f"{path}?limit=1"))
        task = asyncio.create_task(self._follow(client, path, answer["metadata"]["resourceVersion"]))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def wait(self, names: Iterable[str], *, within_seconds: float = 120.0) -> float:
        """Return when the last of these was seen."""
        wanted = set(names)
        try:
            async with asyncio.timeout(within_seconds):
                while not wanted <= self.seconds.keys():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            missing = len(wanted - self.seconds.keys())
            raise BenchError(f"{missing} of {len(wanted)} objects were not there after {within_seconds} s") from None
        return max(self.seconds[name] for name in wanted)

    async def _follow(self, client: Client, path: str, version: str) -> None:
        async for event in client.watch(path, version):
            self.seconds.setdefault(self._find_name(event.object), time.perf_counter())
            self._changed.set()


async def run_all(deeds: Iterable[Coroutine[Any, Any, object]], *, in_flight: int = IN_FLIGHT) -> None:
    """Carry out deeds, so many at a time, in order."""
    rest = iter(deeds)

    async def work() -> None:
        for deed in rest:
            await deed

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(work())
