"""One of several served namespaces can no longer be read: its callers are told to come back, all others are served."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from diem_operator.cluster import reflector
from diem_operator.cluster.errors import RequestNotSent
from diem_operator.settings import ApiSettings, KeySettings, Tenant
from tests.unit.api.fake_cluster import FakeCluster
from tests.unit.api.objects import make_apikey, make_diemjob
from tests.unit.api.service import QUICK, Answer, Service, running_service

TEAM_TOKEN = secrets.token_urlsafe()
"""Opens the DiemJobs of the namespace that is refused; the service's own token those of the other."""

START = {"id": "nightly", "action": "start"}
NAMESPACED = msgspec.structs.replace(
    QUICK,
    namespaces=("team-a", "team-b"),
    keys=KeySettings(tenants={"team-a": Tenant(namespaces=("team-b", "team-c"))}),
)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "REFUSED_SECONDS", 0.1)


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    for namespace in ("team-a", "team-b"):
        cluster.diemjobs.store(make_diemjob(namespace=namespace))
    cluster.apikeys.store(make_apikey(TEAM_TOKEN, name="team", namespace="team-b"))
    return cluster


@asynccontextmanager
async def serving_after_refusal(
    cluster: FakeCluster, *kinds: str, settings: ApiSettings = NAMESPACED
) -> AsyncIterator[Service]:
    """Serve, by a process that was never let read these kinds in team-b."""
    for kind in kinds:
        getattr(cluster, kind).refused.add("team-b")
    async with running_service(settings, cluster=cluster) as service:
        async with asyncio.timeout(5):
            while (await service.send("GET", "/readyz")).status != 200:  # noqa: ASYNC110 - it is a poll
                await asyncio.sleep(0.005)
        yield service


async def reach(service: Service, status: int, body: dict[str, Any], token: str) -> Answer:
    async with asyncio.timeout(5):
        while (answer := await service.ask(body, token=token)).status != status:  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.01)
    return answer


def assert_not_ready(answer: Answer, words: str) -> None:
    assert (answer.status, answer.body["code"]) == (503, "not-ready")
    assert words in answer.body["message"]


async def test_new_process_is_ready_and_serves_the_others(cluster: FakeCluster) -> None:
    async with serving_after_refusal(cluster, "diemjobs", "apikeys") as service:
        assert (await service.ask(START)).body["message"] == "job started"
        assert (await service.ask(START, token="nonsense")).status == 401
        assert (await service.ask(START, token=TEAM_TOKEN)).status == 401  # nobody can know better


async def test_namespace_is_served_once_it_can_be_read(cluster: FakeCluster) -> None:
    async with serving_after_refusal(cluster, "diemjobs", "apikeys") as service:
        cluster.diemjobs.refused.clear()
        cluster.apikeys.refused.clear()
        assert (await reach(service, 200, START, TEAM_TOKEN)).body["message"] == "job started"


async def test_refusal_of_a_moment_makes_nobody_unknown(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "REFUSED_SECONDS", 60.0)
    cluster.apikeys.refused.add("team-b")
    async with running_service(NAMESPACED, cluster=cluster) as service:
        await asyncio.sleep(0.1)
        assert (await service.send("GET", "/readyz")).status == 503
        assert_not_ready(await service.ask(START, token=TEAM_TOKEN), "keys are not known")
        cluster.apikeys.refused.clear()
        await reach(service, 200, START, TEAM_TOKEN)


async def test_jobs_that_were_never_listed_are_not_told_to_be_unknown(cluster: FakeCluster) -> None:
    async with serving_after_refusal(cluster, "diemjobs") as service:
        for job_id in ("nightly", "no-such-job"):
            assert_not_ready(await service.ask({"id": job_id}, token=TEAM_TOKEN), "jobs are not known")
            assert_not_ready(await service.ask({"id": f"team-b/{job_id}"}), "jobs are not known")
        for job_id in ("no-such-job", "team-c/nightly", "team-d/nightly"):
            assert (await service.ask({"id": job_id})).status == 404


async def test_key_whose_namespace_is_no_longer_confirmed_opens_nothing_and_spoils_no_other(
    cluster: FakeCluster,
) -> None:
    settings = msgspec.structs.replace(NAMESPACED, resync_seconds=0.05, max_unconfirmed_seconds=0.5)
    async with serving_after_refusal(cluster, settings=settings) as service:
        assert (await service.ask(START, token=TEAM_TOKEN)).status == 200

        cluster.apikeys.refused.add("team-b")

        assert_not_ready(await reach(service, 503, START, TEAM_TOKEN), "keys are not known")
        assert (await service.ask(START)).status == 200
        assert (await service.ask(START, token="nonsense")).status == 401
        assert (await service.send("GET", "/readyz")).status == 200
        cluster.apikeys.refused.clear()
        await reach(service, 200, START, TEAM_TOKEN)


async def test_status_in_a_namespace_that_is_not_confirmed_is_read_live(cluster: FakeCluster) -> None:
    settings = msgspec.structs.replace(NAMESPACED, max_unconfirmed_seconds=0.5)
    async with serving_after_refusal(cluster, settings=settings) as service:
        for namespace in ("", "team-b/"):
            await service.ask(START | {"id": f"{namespace}nightly"})
        cluster.diemjobs.gets.clear()
        for tick in range(8):
            await asyncio.sleep(0.1)
            cluster.diemjobs.store(make_diemjob(f"another-{tick}"))
            cluster.apikeys.store(make_apikey(secrets.token_urlsafe(), name=f"another-{tick}"))
        for namespace in ("", "team-b/"):
            await service.ask({"id": f"{namespace}nightly"})

        assert [key.namespace for key in cluster.diemjobs.gets] == ["team-b"]


@pytest.mark.parametrize("kind", ["diemjobs", "apikeys"])
async def test_nothing_is_ready_where_nothing_can_be_read(cluster: FakeCluster, kind: str) -> None:
    getattr(cluster, kind).refused.update(NAMESPACED.namespaces)
    async with running_service(NAMESPACED, cluster=cluster) as service:
        await asyncio.sleep(0.1)
        assert (await service.ask(START)).status == 503
        assert (await service.send("GET", "/readyz")).status == 503


async def test_namespace_of_which_nothing_is_heard_is_not_left_out(cluster: FakeCluster) -> None:
    cluster.apikeys.failures.extend([None] + [RequestNotSent("no connection")] * 1000)
    async with running_service(NAMESPACED, cluster=cluster) as service:
        await asyncio.sleep(0.1)
        assert_not_ready(await service.ask(START, token="nonsense"), "keys are not known")
        assert_not_ready(await service.ask(START), "keys are not known")


async def test_refusal_of_everything_closes_a_process_that_watches_everything(cluster: FakeCluster) -> None:
    cluster.apikeys.refused.add(None)
    async with running_service(cluster=cluster) as service:
        await asyncio.sleep(0.1)
        assert_not_ready(await service.ask(START), "keys are not known")
        assert (await service.send("GET", "/readyz")).text == "not yet or no longer: keys\n"
