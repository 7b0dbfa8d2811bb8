"""The operator knows whether the cluster keeps what it writes."""

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials
from diem_operator.cluster.discovery import find_missing_fields, find_missing_resources
from diem_operator.cluster.errors import NotFound, UndecodableAnswer

CRDS = Path(__file__).resolve().parents[3] / "crds"


@cache
def read_crds() -> list[dict[str, Any]]:
    """Read crds/ once: it takes seconds."""
    return [yaml.safe_load(file.read_text())["spec"] for file in CRDS.glob("*.yaml")]


def read_schemas() -> dict[str, Any]:
    """Return the schemas of crds/ under the names that the API server publishes them with."""
    return {
        f"io.diem.v1.{crd['names']['kind']}": copy.deepcopy(crd["versions"][0]["schema"]["openAPIV3Schema"])
        for crd in read_crds()
    }


@asynccontextmanager
async def serving(documents: dict[str, Any]) -> AsyncIterator[ApiServer]:
    """Serve JSON documents by path, 404 for all others."""

    async def answer(request: web.Request) -> web.Response:
        if request.path not in documents:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        return web.json_response(documents[request.path])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        client = ApiServer(Credentials(server=str(server.make_url("")).rstrip("/")))
        yield client
        await client.close()


def publish(schemas: dict[str, Any]) -> dict[str, Any]:
    return {"/openapi/v3/apis/diem.io/v1": {"openapi": "3.0.0", "components": {"schemas": schemas}}}


def list_resources(*names: str) -> dict[str, Any]:
    return {"/apis/diem.io/v1": {"kind": "APIResourceList", "resources": [{"name": name} for name in names]}}


async def test_crds_of_this_release_have_every_field() -> None:
    async with serving(publish(read_schemas())) as server:
        assert await find_missing_fields(server) == ()


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("DiemJob", ("status",), "observedGeneration"),
        ("DiemJob", ("status", "run"), "reason"),
        ("DiemJob", ("status", "conditions", "[]"), "observedGeneration"),
        ("DiemJob", ("spec", "run", "stop"), "requestedBy"),
        ("DiemApiKey", ("status",), "tokenSHA256"),
    ],
)
async def test_field_that_an_older_crd_lacks_is_named(kind: str, path: tuple[str, ...], expected: str) -> None:
    schemas = read_schemas()
    part = schemas[f"io.diem.v1.{kind}"]
    for step in path:
        part = part["items"] if step == "[]" else part["properties"][step]
    del part["properties"][expected]
    named = ".".join((kind, *(step for step in path if step != "[]"), expected))
    async with serving(publish(schemas)) as server:
        assert await find_missing_fields(server) == (named,)


async def test_schema_that_is_not_published_is_an_error() -> None:
    async with serving(publish({})) as server:
        with pytest.raises(UndecodableAnswer, match="no schema of DiemJob"):
            await find_missing_fields(server)
    async with serving({}) as server:
        with pytest.raises(NotFound):
            await find_missing_fields(server)


@pytest.mark.parametrize(
    ("documents", "missing"),
    [
        pytest.param({}, ("diemjobs.diem.io", "diemapikeys.diem.io"), id="no CRD"),
        pytest.param(list_resources("diemjobs", "diemjobs/status"), ("diemapikeys.diem.io",), id="one of two"),
        pytest.param(list_resources("diemjobs", "diemapikeys"), (), id="both"),
    ],
)
async def test_resources_that_are_not_served_are_named(documents: dict[str, Any], missing: tuple[str, ...]) -> None:
    async with serving(documents) as server:
        assert await find_missing_resources(server) == missing
