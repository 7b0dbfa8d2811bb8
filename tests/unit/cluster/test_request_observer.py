"""Every request is told to the observer, by kind of resource and never by name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials
from diem_operator.cluster.errors import Forbidden, NotFound, RequestNotSent
from diem_operator.cluster.paths import resource_of

Told = tuple[str, str, int | None, float]


@asynccontextmanager
async def answering(status: int, told: list[Told]) -> AsyncIterator[ApiServer]:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        client = ApiServer(Credentials(server=url), on_request=lambda *args: told.append(args))
        yield client
        await client.close()


async def test_answered_request_is_told_with_its_status() -> None:
    told: list[Told] = []
    async with answering(201, told) as client:
        await client.request("POST", "/apis/batch/v1/namespaces/team-a/jobs", body={}, timeout_seconds=5)
    ((method, resource, status, seconds),) = told
    assert (method, resource, status) == ("POST", "jobs", 201)
    assert 0 <= seconds < 5


async def test_refused_request_is_told_too() -> None:
    told: list[Told] = []
    async with answering(404, told) as client:
        with pytest.raises(NotFound):
            await client.request("GET", "/apis/batch/v1/namespaces/team-a/jobs/x", timeout_seconds=5)
    assert [entry[:3] for entry in told] == [("GET", "jobs", 404)]


async def test_request_without_an_answer_has_no_status() -> None:
    told: list[Told] = []
    client = ApiServer(Credentials(server="http://127.0.0.1:1"), on_request=lambda *args: told.append(args))
    with pytest.raises(RequestNotSent):
        await client.request("GET", "/api/v1/pods", timeout_seconds=30)
    await client.close()
    assert [entry[:3] for entry in told] == [("GET", "pods", None)]


@pytest.mark.parametrize(("status", "error"), [(200, None), (403, Forbidden)])
async def test_watch_is_told_when_it_begins_or_is_refused(status: int, error: type[Exception] | None) -> None:
    told: list[Told] = []
    async with answering(status, told) as client:
        with pytest.raises(error) if error else nullcontext():
            async with client.stream("/apis/batch/v1/jobs", query={"watch": "true"}, inactivity_seconds=5):
                pass
    assert [entry[:3] for entry in told] == [("WATCH", "jobs", status)]


async def test_watch_that_nobody_answers_is_told_without_a_status() -> None:
    told: list[Told] = []
    client = ApiServer(Credentials(server="http://127.0.0.1:1"), on_request=lambda *args: told.append(args))
    with pytest.raises(RequestNotSent):
        async with client.stream("/apis/batch/v1/jobs", query={"watch": "true"}, inactivity_seconds=5):
            pass
    await client.close()
    assert [entry[:3] for entry in told] == [("WATCH", "jobs", None)]


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/namespaces/team-a/events", "events"),
        ("/api/v1/pods", "pods"),
        ("/apis/diem.io/v1/diemjobs", "diemjobs"),
        ("/apis/diem.io/v1/namespaces/team-a/diemjobs", "diemjobs"),
        ("/apis/diem.io/v1/namespaces/team-a/diemjobs/load", "diemjobs"),
        ("/apis/diem.io/v1/namespaces/team-a/diemjobs/load/status", "diemjobs/status"),
        ("/apis/diem.io/v1/namespaces/jobs/diemjobs/status", "diemjobs"),
        ("/api/v1/namespaces/ops/serviceaccounts/diem-api/token", "serviceaccounts/token"),
        ("/apis/diem.io/v1", "other"),
        ("/openapi/v3/apis/diem.io/v1", "other"),
        ("/version", "other"),
    ],
)
def test_resource_of_a_path(path: str, resource: str) -> None:
    assert resource_of(path) == resource
