"""The watches of DiemJobs and of Jobs tell the controller what concerns it, and count everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials
from diem_operator.cluster.reflector import Watch
from diem_operator.cluster.resources import Cluster
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import JOB_LABEL_SELECTOR
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.watching import watch_diemjobs, watch_jobs
from tests.builders import NAME, NAMESPACE, UID, make_template
from tests.unit.cluster.objects import event, page
from tests.unit.cluster.scripted_server import ScriptedServer, answer, run_scripted_server, stream
from tests.unit.reconciler.conftest import KEY, Shell


def job(name: str = "job-1", *, namespace: str = NAMESPACE, version: int = 10) -> RawObject:
    owner = {"apiVersion": "diem.io/v1", "kind": "DiemJob", "name": NAME, "uid": UID, "controller": True}
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata | {"ownerReferences": [owner]}, "spec": {}}


def diemjob(name: str = NAME, *, namespace: str = NAMESPACE, version: int = 10) -> RawObject:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"jobTemplate": make_template()}}


@asynccontextmanager
async def watching(
    server: ScriptedServer, shell: Shell, *, scope: Scope | None = None, kind: type[DiemJob | Job] = Job
) -> AsyncIterator[list[tuple[str, str | None]]]:
    """Run the watch of a kind beside the block; give what was counted."""
    session = ApiServer(Credentials(server=server.url))
    counted: list[tuple[str, str | None]] = []
    cluster, scope = Cluster(session), scope or Scope()

    def count(resource: str, event_type: str | None, count: int) -> None:
        counted.extend([(resource, event_type)] * count)

    watch: Watch[DiemJob] | Watch[Job] = (
        watch_jobs(cluster.jobs, shell.controller, scope=scope, count=count)
        if kind is Job
        else watch_diemjobs(cluster.diemjobs, shell.controller, scope=scope, count=count)
    )
    task = asyncio.create_task(watch.run())
    try:
        yield counted
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await session.close()


async def until_counted(counted: list[tuple[str, str | None]], count: int) -> None:
    async with asyncio.timeout(5):
        while len(counted) < count:  # noqa: ASYNC110 - the watch does not know that it is waited for
            await asyncio.sleep(0.005)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with run_scripted_server() as scripted:
        yield scripted


def find_names(shell: Shell) -> list[str]:
    return [job.metadata.name for job in shell.store.find_jobs(KEY)]


async def test_jobs_that_exist_and_come_and_go_are_known(server: ScriptedServer, shell: Shell) -> None:
    changes = [event("ADDED", job("job-2", version=101)), event("DELETED", job("job-1", version=102))]
    server.plays(answer(200, page(job("job-1"), version=100)), stream(*changes, then_hang=True))

    async with watching(server, shell) as counted:
        await until_counted(counted, 3)
        assert find_names(shell) == ["job-2"]

    assert counted == [("jobs", None), ("jobs", "ADDED"), ("jobs", "DELETED")]


async def test_only_our_jobs_are_asked_for(server: ScriptedServer, shell: Shell) -> None:
    server.plays(answer(200, page(job())), stream(event("MODIFIED", job(version=101)), then_hang=True))

    async with watching(server, shell) as counted:
        await until_counted(counted, 2)

    selectors = [parse_qs(urlsplit(request.target).query)["labelSelector"] for request in server.requests]
    assert selectors == [[JOB_LABEL_SELECTOR]] * 2


async def test_each_served_namespace_has_a_watch_of_its_own(server: ScriptedServer, shell: Shell) -> None:
    server.plays(*[answer(200, page(job(name, namespace=name))) for name in ("a", "b")], stream(then_hang=True))

    async with watching(server, shell, scope=Scope(namespaces=("a", "b"))) as counted:
        await until_counted(counted, 2)
        keys = {each.key for each in shell.store.list_jobs()}

    assert {key.name for key in keys} <= {"a", "b"}
    asked = {urlsplit(request.target).path for request in server.requests}
    assert asked == {f"/apis/batch/v1/namespaces/{name}/jobs" for name in ("a", "b")}


async def test_jobs_of_a_namespace_that_is_not_served_are_dropped(server: ScriptedServer, shell: Shell) -> None:
    own = "diem-system"
    listed = page(job("own", namespace=own), job("served"))
    server.plays(answer(200, listed), stream(event("ADDED", job("own-2", namespace=own, version=101)), then_hang=True))

    async with watching(server, shell, scope=Scope(excluded=(own,))) as counted:
        await until_counted(counted, 3)

    assert [each.metadata.name for each in shell.store.list_jobs()] == ["served"]


async def test_job_that_makes_no_sense_stays_what_it_was(server: ScriptedServer, shell: Shell) -> None:
    broken = job(version=101) | {"spec": {"suspend": "perhaps"}}
    later = event("ADDED", job("job-2", version=102))
    server.plays(answer(200, page(job())), stream(event("MODIFIED", broken), later, then_hang=True))

    async with watching(server, shell) as counted:
        await until_counted(counted, 2)

    assert find_names(shell) == ["job-1", "job-2"]
    assert shell.store.find_job(ObjectKey(namespace=NAMESPACE, name="job-1")) is not None


def find_diemjob_names(shell: Shell) -> list[str]:
    return [each.metadata.name for each in shell.store.list_diemjobs()]


async def test_diemjobs_that_exist_and_come_and_go_are_known(server: ScriptedServer, shell: Shell) -> None:
    changes = [event("ADDED", diemjob("two", version=101)), event("DELETED", diemjob("one", version=102))]
    server.plays(answer(200, page(diemjob("one"), version=100)), stream(*changes, then_hang=True))

    async with watching(server, shell, kind=DiemJob) as counted:
        await until_counted(counted, 3)
        assert find_diemjob_names(shell) == ["two"]

    assert counted == [("diemjobs", None), ("diemjobs", "ADDED"), ("diemjobs", "DELETED")]
    assert {urlsplit(request.target).path for request in server.requests} == {"/apis/diem.io/v1/diemjobs"}


async def test_diemjobs_of_a_namespace_that_is_not_served_are_dropped(server: ScriptedServer, shell: Shell) -> None:
    own = "diem-system"
    listed = page(diemjob("own", namespace=own), diemjob("served"))
    added = event("ADDED", diemjob("own-2", namespace=own, version=101))
    server.plays(answer(200, listed), stream(added, then_hang=True))

    async with watching(server, shell, scope=Scope(excluded=(own,)), kind=DiemJob) as counted:
        await until_counted(counted, 3)

    assert find_diemjob_names(shell) == ["served"]


async def test_diemjob_that_makes_no_sense_is_known_no_more(server: ScriptedServer, shell: Shell) -> None:
    broken = diemjob("one", version=101)
    broken["spec"]["state"] = "sideways"
    later = event("ADDED", diemjob("two", version=102))
    server.plays(answer(200, page(diemjob("one"))), stream(event("MODIFIED", broken), later, then_hang=True))

    async with watching(server, shell, kind=DiemJob) as counted:
        await until_counted(counted, 2)

    assert find_diemjob_names(shell) == ["two"]


async def test_diemjob_that_makes_no_sense_in_a_new_list_is_known_no_more_and_not_asked_for(
    server: ScriptedServer, shell: Shell
) -> None:
    broken = diemjob("one", version=101)
    broken["spec"]["state"] = "sideways"
    too_old = answer(410, {"kind": "Status", "code": 410, "reason": "Expired"})
    server.plays(
        answer(200, page(diemjob("one"), version=100)),
        too_old,
        answer(200, page(broken, diemjob("two", version=99), version=110)),
        stream(then_hang=True),
    )

    async with watching(server, shell, kind=DiemJob) as counted:
        await until_counted(counted, 2)

    assert find_diemjob_names(shell) == ["two"]
    assert await shell.observer.refresh_if_doubtful(ObjectKey(namespace=NAMESPACE, name="one")) is False


async def test_diemjobs_of_each_served_namespace_are_compared_with_its_own_list(
    server: ScriptedServer, shell: Shell
) -> None:
    server.plays(*[answer(200, page(diemjob(name, namespace=name))) for name in ("a", "b")], stream(then_hang=True))

    async with watching(server, shell, scope=Scope(namespaces=("a", "b")), kind=DiemJob) as counted:
        await until_counted(counted, 2)

    asked = {urlsplit(request.target).path for request in server.requests}
    assert asked == {f"/apis/diem.io/v1/namespaces/{name}/diemjobs" for name in ("a", "b")}
    for each in shell.store.list_diemjobs():
        assert await shell.observer.refresh_if_doubtful(each.key) is False
