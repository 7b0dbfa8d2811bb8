"""As much of a Kubernetes API server as kopf asks for: discovery, lists, watches; it refuses writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

RESOURCES = {
    "/api/v1": {"namespaces": "Namespace", "events": "Event", "pods": "Pod"},
    "/apis/diem.io/v1": {"diemjobs": "DiemJob", "diemapikeys": "DiemApiKey"},
    "/apis/apiextensions.k8s.io/v1": {"customresourcedefinitions": "CustomResourceDefinition"},
}


def make_object(name: str, *, namespace: str = "team-a", version: int = 1) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {}}


@dataclass
class Stream:
    """What one resource has: listed objects, and the queue of watch events for the one watcher."""

    listed: list[dict[str, Any]] = field(default_factory=list)
    events: asyncio.Queue[dict[str, Any] | None] = field(default_factory=asyncio.Queue)


class FakeApiServer:
    """Attributes: `requests` are `(method, path, query)` as they came; `streams` by plural; of `refused` namespaces
    nothing may be read."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.streams = {"diemjobs": Stream(), "diemapikeys": Stream()}
        self.refused: set[str] = set()
        self.url = ""

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _ in self.requests if method != "GET"]

    def queries_of(self, plural: str) -> list[dict[str, str]]:
        return [query for _, path, query in self.requests if path.endswith(f"/{plural}")]

    def requests_for(self, namespace: str) -> list[str]:
        return [path for _, path, _ in self.requests if namespace in path.split("/")]

    def send(self, plural: str, event_type: str, raw: dict[str, Any]) -> None:
        self.streams[plural].events.put_nowait({"type": event_type, "object": raw})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        if request.method != "GET":
            return web.json_response({"kind": "Status", "code": 403, "message": "no writes"}, status=403)
        if self.refused & set(request.path.split("/")):
            return web.json_response({"kind": "Status", "code": 403, "message": "no reads"}, status=403)
        plural = request.path.rpartition("/")[2]
        if plural in self.streams:
            stream = self.streams[plural]
            return await self._watch(request, stream) if "watch" in request.query else _list(stream)
        return _discover(request.path)

    async def _watch(self, request: web.Request, stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await stream.events.get()) is not None:
            await response.write(msgspec.json.encode(event) + b"\n")
        return response


def _list(stream: Stream) -> web.Response:
    return web.json_response({"metadata": {"resourceVersion": "1"}, "items": stream.listed})


def _discover(path: str) -> web.Response:
    if path == "/api":
        return web.json_response({"versions": ["v1"]})
    if path == "/apis":
        versions = [group_version.split("/")[2:] for group_version in RESOURCES if group_version.startswith("/apis/")]
        groups = [
            {"name": group, "versions": [{"version": version}], "preferredVersion": {"version": version}}
            for group, version in versions
        ]
        return web.json_response({"groups": groups})
    resources = [
        {
            "name": plural,
            "kind": kind,
            "singularName": kind.lower(),
            "namespaced": True,
            "verbs": ["list", "watch", "patch"],
        }
        for plural, kind in RESOURCES.get(path, {}).items()
    ]
    return web.json_response({"resources": resources})


@asynccontextmanager
async def serve_fake_api() -> AsyncIterator[FakeApiServer]:
    fake = FakeApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/"))
        yield fake
        for stream in fake.streams.values():
            stream.events.put_nowait(None)
