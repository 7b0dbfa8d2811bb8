import asyncio
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from diem_operator.api.app import build_app
from diem_operator.api.serving import WatchesEnded, serve, serving
from diem_operator.metrics import ApiMetrics
from diem_operator.model.diemjob import Phase
from tests.unit.api.fake_cluster import FakeCluster
from tests.unit.api.objects import make_diemjob_in
from tests.unit.api.service import QUICK, running_service


async def test_request_that_waits_is_answered_when_the_process_ends() -> None:
    async with running_service() as service:
        service.cluster.diemjobs.store(make_diemjob_in(Phase.RUNNING))
        asking = asyncio.create_task(service.ask({"id": "nightly", "action": "status", "wait": 60}))
        while not service.read_metric("diem_api_waiting_requests"):  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.001)
        ending = asyncio.get_running_loop().time()

    assert asking.done()
    assert (await asking).body["message"] == "Running"
    assert asyncio.get_running_loop().time() - ending < 1


async def get_status(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


async def test_process_that_ends_is_not_ready_and_still_serves() -> None:
    settings = msgspec.structs.replace(QUICK, drain_seconds=0.5)
    metrics = ApiMetrics(CollectorRegistry())
    cluster = FakeCluster().as_cluster()
    context = serving(build_app(cluster, settings, metrics=metrics), settings)
    served = await context.__aenter__()
    url = f"http://127.0.0.1:{served.port}"
    ending = asyncio.create_task(cast("Any", context.__aexit__(None, None, None)))
    await asyncio.sleep(0)

    assert await get_status(f"{url}/readyz") == 503
    assert await get_status(f"{url}/healthz") == 200

    await ending
    with pytest.raises(aiohttp.ClientConnectionError):
        await get_status(f"{url}/healthz")


async def test_serving_ends_when_cancelled() -> None:
    metrics = ApiMetrics(CollectorRegistry())
    task = asyncio.create_task(serve(build_app(FakeCluster().as_cluster(), QUICK, metrics=metrics), QUICK))
    await asyncio.sleep(0.05)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_serving_ends_when_the_watches_end() -> None:
    cluster = FakeCluster()
    cluster.diemjobs.failures.append(ZeroDivisionError("a mistake of ours"))
    app = build_app(cluster.as_cluster(), QUICK, metrics=ApiMetrics(CollectorRegistry()))

    with pytest.raises(WatchesEnded):
        await asyncio.wait_for(serve(app, QUICK), 5)
