"""What the real API server answers, in our words: known from unknown outcomes, preconditions, permissions."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from diem_operator.cluster import endpoint
from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials, TlsMaterial
from diem_operator.cluster.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OutcomeUnknown,
    RequestNotSent,
    TooLarge,
    Unauthorized,
)
from diem_operator.cluster.kubeconfig import from_kubeconfig
from diem_operator.cluster.resources import Cluster, Propagation
from diem_operator.cluster.tokens import FixedAuthorization
from diem_operator.model.diemjob import Phase, State
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import Uid
from tests.integration.manifests import make_diemjob
from tests.integration.namespaced import Namespaced
from tests.localcluster import LocalCluster

TIMEOUT_SECONDS = 10.0


@pytest.fixture
def credentials(cluster: LocalCluster) -> Credentials:
    return from_kubeconfig(environ={"KUBECONFIG": str(cluster.admin_kubeconfig)})


@pytest.fixture
async def resources(credentials: Credentials) -> AsyncIterator[Cluster]:
    resources = Cluster(ApiServer(credentials))
    yield resources
    await resources.close()


def make_job(name: str = "work", **metadata: object) -> RawObject:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "localhost/busybox:1"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"test": "yes"}} | metadata,
        "spec": {"template": {"spec": pod}},
    }


def key(here: Namespaced, name: str = "work") -> ObjectKey:
    return ObjectKey(namespace=here.name, name=name)


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await is_so():  # noqa: ASYNC110 - a test polls what the code under test knows nothing of
            await asyncio.sleep(0.05)


async def test_created_job_is_what_kubectl_sees(resources: Cluster, here: Namespaced) -> None:
    created = await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)
    seen = json.loads(here.kubectl("get", "job", "work", "--output=json", "--show-managed-fields"))["metadata"]
    assert (seen["uid"], seen["managedFields"][0]["manager"]) == (created.metadata.uid, "diem-operator")
    assert (await resources.jobs.get(key(here))).metadata.uid == created.metadata.uid


async def test_second_creation_finds_the_first(resources: Cluster, here: Namespaced) -> None:
    await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)
    with pytest.raises(AlreadyExists):
        await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)


async def test_job_that_breaks_a_rule_is_invalid_and_the_message_says_where(
    resources: Cluster, here: Namespaced
) -> None:
    manifest = make_job()
    manifest["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    with pytest.raises(Invalid) as caught:
        await resources.jobs.create(here.name, manifest, timeout_seconds=TIMEOUT_SECONDS)
    assert "restartPolicy" in caught.value.message
    assert caught.value.causes


async def test_job_of_another_form_is_a_bad_request(resources: Cluster, here: Namespaced) -> None:
    with pytest.raises(BadRequest):
        await resources.jobs.create(here.name, make_job() | {"spec": "text"}, timeout_seconds=TIMEOUT_SECONDS)


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_object_beyond_the_servers_limit_is_too_large(resources: Cluster, here: Namespaced) -> None:
    manifest = make_job(annotations={"big": "x" * 4_000_000})
    with pytest.raises(TooLarge):
        await resources.jobs.create(here.name, manifest, timeout_seconds=TIMEOUT_SECONDS)


async def test_missing_object_and_missing_namespace_are_not_found(resources: Cluster, here: Namespaced) -> None:
    with pytest.raises(NotFound):
        await resources.jobs.get(key(here))
    with pytest.raises(NotFound):
        await resources.jobs.create("no-such-namespace", make_job(), timeout_seconds=TIMEOUT_SECONDS)


async def delete(
    resources: Cluster, job: ObjectKey, *, uid: str, version: str | None, propagation: Propagation
) -> Job | None:
    return await resources.jobs.delete(
        job, uid=Uid(uid), resource_version=version, propagation=propagation, timeout_seconds=TIMEOUT_SECONDS
    )


async def test_job_is_deleted_only_in_the_version_that_was_seen(resources: Cluster, here: Namespaced) -> None:
    created = await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)
    here.kubectl("annotate", "job", "work", "changed=yes")
    current = await resources.jobs.get(key(here))
    uid, old, new = created.metadata.uid, created.metadata.resource_version, current.metadata.resource_version
    with pytest.raises(Conflict):
        await delete(resources, key(here), uid=str(uuid4()), version=None, propagation="Background")
    with pytest.raises(Conflict):
        await delete(resources, key(here), uid=uid, version=old, propagation="Background")
    here.kubectl("patch", "job", "work", "--patch", '{"metadata":{"finalizers":["test/keep"]}}')
    new = (await resources.jobs.get(key(here))).metadata.resource_version
    remaining = await delete(resources, key(here), uid=uid, version=new, propagation="Foreground")
    assert remaining is not None
    assert (await resources.jobs.get(key(here))).metadata.is_being_deleted
    here.kubectl("patch", "job", "work", "--type=merge", "--patch", '{"metadata":{"finalizers":null}}')


async def test_deleted_job_is_gone(resources: Cluster, here: Namespaced) -> None:
    created = await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)
    await delete(resources, key(here), uid=created.metadata.uid, version=None, propagation="Background")

    async def is_gone() -> bool:
        return (await resources.jobs.list(here.name, label_selector="test=yes")).items == ()

    await eventually(is_gone)
    with pytest.raises(NotFound):
        await delete(resources, key(here), uid=created.metadata.uid, version=None, propagation="Background")


async def test_list_of_many_pages_is_whole(
    resources: Cluster, here: Namespaced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "PAGE_SIZE", 2)
    names = [f"work-{number}" for number in range(5)]
    for name in names:
        await resources.jobs.create(here.name, make_job(name), timeout_seconds=TIMEOUT_SECONDS)
    listing = await resources.jobs.list(here.name, label_selector="test=yes")
    assert [job.metadata.name for job in listing.items] == names
    assert int(listing.resource_version) > 0
    assert (await resources.jobs.list(here.name, label_selector="test=no")).items == ()


class ForgetsAfterFirstPage(ApiServer):
    """Has the API server and etcd forget the past as soon as the first page of a list has been answered."""

    cluster: LocalCluster
    queries: tuple[dict[str, str], ...] = ()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_seconds: float,
    ) -> bytes:
        self.queries = (*self.queries, dict(query or {}))
        answer = await super().request(
            method, path, query=query, body=body, content_type=content_type, timeout_seconds=timeout_seconds
        )
        if query and "limit" in query and "continue" not in query:
            compact_etcd(self.cluster, json.loads(answer)["metadata"]["resourceVersion"])
            self.cluster.apiserver.kill()
            self.cluster.apiserver.start()
        return answer


def compact_etcd(cluster: LocalCluster, revision: str) -> None:
    """Compact just above a revision; a write of any kind is needed so that there is something above it."""
    url = next(word for word in cluster.etcd.command if word.startswith("--listen-client-urls")).partition("=")[2]
    put = json.dumps({"key": "dGVzdA==", "value": "dGVzdA=="}).encode()
    urllib.request.urlopen(f"{url}/v3/kv/put", data=put).close()
    compaction = json.dumps({"revision": int(revision) + 1, "physical": True}).encode()
    urllib.request.urlopen(f"{url}/v3/kv/compaction", data=compaction).close()


async def test_list_whose_moment_is_compacted_away_is_whole_all_the_same(
    credentials: Credentials, here: Namespaced, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "PAGE_SIZE", 2)
    server = ForgetsAfterFirstPage(credentials)
    server.cluster = cluster
    resources = Cluster(server)
    for number in range(5):
        await resources.jobs.create(here.name, make_job(f"work-{number}"), timeout_seconds=TIMEOUT_SECONDS)
    assert len((await resources.jobs.list(here.name)).items) == 5
    assert [sorted(query) for query in server.queries[5:]] == [["limit"], ["continue", "limit"], []]
    await resources.close()


async def test_status_patch_changes_the_status_only_and_only_in_its_version(
    resources: Cluster, here: Namespaced
) -> None:
    applied = here.apply(make_diemjob(state="stopped"))
    version = applied["metadata"]["resourceVersion"]
    patch: RawObject = {
        "metadata": {"resourceVersion": version},
        "spec": {"state": "running"},
        "status": {"phase": "Stopped", "observedState": "stopped"},
    }
    job = key(here, "nightly-load")
    stored = await resources.diemjobs.patch_status(job, patch, timeout_seconds=TIMEOUT_SECONDS)
    assert (stored.spec.state, stored.status.phase) == (State.STOPPED, Phase.STOPPED)
    with pytest.raises(Conflict):
        await resources.diemjobs.patch_status(job, patch, timeout_seconds=TIMEOUT_SECONDS)


async def test_json_patch_is_applied_whole_or_not_at_all(resources: Cluster, here: Namespaced) -> None:
    version = here.apply(make_diemjob(state="stopped"))["metadata"]["resourceVersion"]
    job = key(here, "nightly-load")
    operations: list[RawObject] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/spec/state", "value": "running"},
        {"op": "add", "path": "/spec/run", "value": {"id": "one"}},
    ]
    stored = await resources.diemjobs.patch_json(job, operations, timeout_seconds=TIMEOUT_SECONDS)
    assert stored.spec.run is not None
    assert (stored.spec.state, stored.spec.run.id) == (State.RUNNING, "one")
    with pytest.raises(Conflict):
        await resources.diemjobs.patch_json(job, operations, timeout_seconds=TIMEOUT_SECONDS)
    missing: list[RawObject] = [{"op": "add", "path": "/spec/schedule/cron", "value": "@daily"}]
    with pytest.raises(Conflict):
        await resources.diemjobs.patch_json(job, missing, timeout_seconds=TIMEOUT_SECONDS)
    invalid: list[RawObject] = [{"op": "replace", "path": "/spec/state", "value": "dancing"}]
    with pytest.raises(Invalid):
        await resources.diemjobs.patch_json(job, invalid, timeout_seconds=TIMEOUT_SECONDS)


async def test_of_writers_with_one_version_exactly_one_wins(resources: Cluster, here: Namespaced) -> None:
    version = here.apply(make_diemjob())["metadata"]["resourceVersion"]
    writes = [
        resources.diemjobs.patch(
            key(here, "nightly-load"),
            {"metadata": {"resourceVersion": version, "annotations": {"writer": str(number)}}},
            timeout_seconds=TIMEOUT_SECONDS,
        )
        for number in range(10)
    ]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 9


async def test_namespace_that_is_being_deleted_is_a_cause(resources: Cluster, cluster: LocalCluster) -> None:
    name = f"ending-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    here = Namespaced(cluster=cluster, name=name)
    here.kubectl("create", "configmap", "keeper")
    here.kubectl("patch", "configmap", "keeper", "--patch", '{"metadata":{"finalizers":["test/keep"]}}')
    cluster.kubectl("delete", "namespace", name, "--wait=false")
    with pytest.raises(Forbidden) as caught:
        await resources.jobs.create(name, make_job(), timeout_seconds=TIMEOUT_SECONDS)
    assert "NamespaceTerminating" in caught.value.causes
    here.kubectl("patch", "configmap", "keeper", "--type=merge", "--patch", '{"metadata":{"finalizers":null}}')


async def test_quota_is_told_apart_from_missing_rights_by_its_message(resources: Cluster, here: Namespaced) -> None:
    here.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")

    async def is_in_force() -> bool:
        return "0" in here.kubectl("get", "quota", "none", "--output=jsonpath={.status.hard}")

    await eventually(is_in_force)
    with pytest.raises(Forbidden, match="exceeded quota"):
        await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)


async def test_service_account_does_only_what_it_may(here: Namespaced, cluster: LocalCluster, tmp_path: Path) -> None:
    here.kubectl("create", "serviceaccount", "reader")
    here.kubectl("create", "role", "reader", "--verb=get,list,watch", "--resource=jobs.batch")
    here.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={here.name}:reader")
    path = cluster.service_account_kubeconfig(namespace=here.name, name="reader", directory=tmp_path)
    resources = Cluster(ApiServer(from_kubeconfig(environ={"KUBECONFIG": str(path)})))
    assert (await resources.jobs.list(here.name)).items == ()
    with pytest.raises(Forbidden, match="cannot create resource"):
        await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)
    with pytest.raises(Forbidden):
        await resources.jobs.list()
    with pytest.raises(Forbidden) as caught:
        await resources.secrets.get(key(here, "anything"))
    assert caught.value.message == ""
    await resources.close()


async def test_unknown_token_is_unauthorized(credentials: Credentials) -> None:
    stranger = replace(
        credentials, tls=TlsMaterial(ca=credentials.tls.ca), authorization=FixedAuthorization("Bearer nobody")
    )
    resources = Cluster(ApiServer(stranger))
    with pytest.raises(Unauthorized):
        await resources.jobs.list()
    await resources.close()


async def test_issued_token_is_that_of_the_service_account(
    resources: Cluster, credentials: Credentials, here: Namespaced
) -> None:
    here.kubectl("create", "serviceaccount", "api")
    issued = await resources.service_accounts.create_token(
        key(here, "api"), lifetime_seconds=600, timeout_seconds=TIMEOUT_SECONDS
    )
    as_api = replace(
        credentials, tls=TlsMaterial(ca=credentials.tls.ca), authorization=FixedAuthorization(f"Bearer {issued.token}")
    )
    restricted = Cluster(ApiServer(as_api))
    with pytest.raises(Forbidden, match=f"system:serviceaccount:{here.name}:api"):
        await restricted.jobs.list(here.name)
    await restricted.close()


async def test_server_with_another_authority_is_not_spoken_to(credentials: Credentials, cluster: LocalCluster) -> None:
    stranger = ApiServer(replace(credentials, tls=TlsMaterial()))
    with pytest.raises(RequestNotSent, match="cannot connect"):
        await stranger.request("GET", "/version", timeout_seconds=TIMEOUT_SECONDS)
    await stranger.close()


async def test_secret_is_created_once_and_read_by_name(resources: Cluster, here: Namespaced) -> None:
    manifest: RawObject = {"metadata": {"name": "signing"}, "stringData": {"key": "generated"}}
    await resources.secrets.create(here.name, manifest, timeout_seconds=TIMEOUT_SECONDS)
    assert (await resources.secrets.get(key(here, "signing"))).data == {"key": b"generated"}
    with pytest.raises(AlreadyExists):
        await resources.secrets.create(here.name, manifest, timeout_seconds=TIMEOUT_SECONDS)


async def test_events_of_an_object_are_found(resources: Cluster, here: Namespaced) -> None:
    job = await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)
    about = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "namespace": here.name,
        "name": "work",
        "uid": job.metadata.uid,
    }
    manifest: RawObject = {
        "metadata": {"name": "work.1"},
        "involvedObject": about,
        "reason": "Tested",
        "message": "it works",
        "type": "Normal",
    }
    await resources.events.create(here.name, manifest, timeout_seconds=TIMEOUT_SECONDS)
    found = await resources.events.list_for(here.name, kind="Job", name="work", uid=job.metadata.uid)
    assert "Tested" in {event.reason for event in found}
    assert await resources.events.list_for(here.name, kind="Job", name="work", uid=str(uuid4())) == ()


async def test_pods_of_a_job_are_found_by_label(resources: Cluster, here: Namespaced) -> None:
    await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)

    async def is_pending() -> bool:
        pods = await resources.pods.list(here.name, label_selector="batch.kubernetes.io/job-name=work")
        return [(pod.status.phase, pod.spec.node_name) for pod in pods] == [("Pending", "")]

    await eventually(is_pending)


async def test_frozen_server_leaves_the_outcome_unknown(
    resources: Cluster, here: Namespaced, cluster: LocalCluster
) -> None:
    await resources.jobs.list(here.name)
    cluster.apiserver.pause()
    try:
        with pytest.raises(OutcomeUnknown):
            await resources.jobs.create(here.name, make_job(), timeout_seconds=0.5)
    finally:
        cluster.apiserver.resume()
    async with asyncio.timeout(20):
        while not (await resources.jobs.list(here.name)).items:
            try:
                await resources.jobs.create(here.name, make_job(), timeout_seconds=TIMEOUT_SECONDS)
            except AlreadyExists:
                break
    assert len((await resources.jobs.list(here.name)).items) == 1


async def test_dead_server_gets_nothing(credentials: Credentials) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    resources = Cluster(ApiServer(replace(credentials, server=f"https://127.0.0.1:{port}")))
    with pytest.raises(RequestNotSent):
        await resources.jobs.create("any", make_job(), timeout_seconds=TIMEOUT_SECONDS)
    await resources.close()
