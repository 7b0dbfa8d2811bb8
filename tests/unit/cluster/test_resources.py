"""Requests have the form that the API server expects, and its answers become typed objects."""

import asyncio
import base64
import json
import logging
from urllib.parse import parse_qsl

import pytest

from diem_operator.clock import steady_seconds
from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.endpoint import DECODED_AT_ONCE
from diem_operator.cluster.errors import Conflict, Invalid, NotFound, UndecodableAnswer
from diem_operator.cluster.resources import Cluster
from diem_operator.model.job import Job
from diem_operator.model.lease import Lease, LeaseSpec
from diem_operator.model.metadata import ObjectKey, ObjectMeta, RawObject
from diem_operator.model.names import Uid
from tests.unit.cluster.objects import diemjob, failure, page, undecodable
from tests.unit.cluster.scripted_server import ScriptedServer, SeenRequest, answer

KEY = ObjectKey(namespace="team-a", name="nightly")


@pytest.fixture
def cluster(session: ApiServer) -> Cluster:
    return Cluster(session)


def query(request: SeenRequest) -> dict[str, str]:
    return dict(parse_qsl(request.target.partition("?")[2]))


def body(request: SeenRequest) -> RawObject:
    decoded: RawObject = json.loads(request.body)
    return decoded


async def test_get_asks_for_the_most_recent_state(server: ScriptedServer, cluster: Cluster) -> None:
    server.plays(answer(200, diemjob()))
    found = await cluster.diemjobs.get(KEY)
    assert found.key == KEY
    assert server.requests[0].target == "/apis/diem.io/v1/namespaces/team-a/diemjobs/nightly"


@pytest.mark.parametrize("name", ["", ".", "..", "../../secrets/x", "a/b", "a?watch=1", "a%2fb", "A", "x" * 254, "a\n"])
async def test_impossible_names_are_not_found_without_asking(
    server: ScriptedServer, cluster: Cluster, name: str
) -> None:
    for key in (ObjectKey(namespace="team-a", name=name), ObjectKey(namespace=name, name="a")):
        with pytest.raises(NotFound):
            await cluster.diemjobs.get(key)
    assert server.requests == []


async def test_list_is_paged_from_one_moment_and_asks_no_cache(server: ScriptedServer, cluster: Cluster) -> None:
    server.plays(answer(200, page(diemjob("a"), token="t/1=")), answer(200, page(diemjob("b"))))
    listing = await cluster.diemjobs.list()
    assert [item.metadata.name for item in listing.items] == ["a", "b"]
    assert listing.resource_version == 100
    assert [query(request) for request in server.requests] == [{"limit": "500"}, {"limit": "500", "continue": "t/1="}]


async def test_list_whose_pages_expire_is_taken_at_once(server: ScriptedServer, cluster: Cluster) -> None:
    server.plays(
        answer(200, page(diemjob("a"), token="t")),
        answer(410, failure(410, "Expired")),
        answer(200, page(diemjob("a"), diemjob("b"), version=200)),
    )
    listing = await cluster.diemjobs.list()
    assert (len(listing.items), listing.resource_version) == (2, 200)
    assert query(server.requests[-1]) == {}


async def test_list_that_another_waits_for_is_joined_if_it_began_late_enough(
    server: ScriptedServer, cluster: Cluster
) -> None:
    server.plays(answer(200, page(diemjob("a"))), answer(200, page(diemjob("a"), diemjob("b"))))
    before = steady_seconds()
    watched = asyncio.create_task(cluster.diemjobs.list())
    await asyncio.sleep(0)
    joined = await cluster.diemjobs.list(begun_since=before)
    assert len(server.requests) == 1
    assert joined is await watched
    later = await cluster.diemjobs.list(begun_since=before)
    assert (len(later.items), len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    ("namespace", "labels", "fields"), [("team-a", None, None), (None, "a=b", None), (None, None, "a=b")]
)
async def test_list_of_something_else_is_not_joined(
    server: ScriptedServer, cluster: Cluster, namespace: str | None, labels: str | None, fields: str | None
) -> None:
    server.plays(answer(200, page(diemjob("a"))), answer(200, page(diemjob("a"))))
    watched = asyncio.create_task(cluster.diemjobs.list(namespace, label_selector=labels, field_selector=fields))
    await asyncio.sleep(0)
    await cluster.diemjobs.list(begun_since=0)
    await watched
    assert len(server.requests) == 2


class OnePage(ApiServer):
    """An API server whose one answer is there at once, so that no waiting for it lets others have their turn."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def request(self, *_: object, **__: object) -> bytes:
        return self._content


async def test_others_get_their_turns_while_a_long_list_is_decoded() -> None:
    rounds = 10
    items = [diemjob(f"job-{number}") for number in range(rounds * DECODED_AT_ONCE)]
    cluster = Cluster(OnePage(json.dumps(page(*items)).encode()))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    listing = await cluster.diemjobs.list()
    other.cancel()

    assert len(listing.items) == len(items)
    assert turns >= rounds


async def test_null_is_an_empty_list(server: ScriptedServer, cluster: Cluster) -> None:
    server.plays(answer(200, {"metadata": {"resourceVersion": "5"}, "items": None}))
    assert (await cluster.diemjobs.list("team-a")).items == ()


@pytest.mark.parametrize("metadata", [{}, {"resourceVersion": ""}, {"resourceVersion": "yesterday"}])
async def test_list_without_a_version_is_no_list(
    server: ScriptedServer, cluster: Cluster, metadata: dict[str, str]
) -> None:
    server.plays(answer(200, {"metadata": metadata, "items": []}))
    with pytest.raises(UndecodableAnswer):
        await cluster.diemjobs.list()


async def test_undecodable_object_is_neither_listed_nor_absent(
    server: ScriptedServer, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.plays(answer(200, page(diemjob("a"), undecodable("b"))))
    listing = await cluster.diemjobs.list()
    assert [item.metadata.name for item in listing.items] == ["a"]
    assert listing.undecodable == (ObjectKey(namespace="team-a", name="b"),)
    assert "team-a/b" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"<html>hunter2</html>", b"[]", b'{"metadata":{}}', b'{"metadata":"hunter2"}']
)
async def test_answer_of_another_form_is_an_error_that_does_not_quote_it(
    server: ScriptedServer, cluster: Cluster, content: bytes
) -> None:
    server.plays(answer(200, content), answer(200, content))
    with pytest.raises(UndecodableAnswer) as caught:
        await cluster.diemjobs.get(KEY)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UndecodableAnswer):
        await cluster.jobs.create("team-a", {}, timeout_seconds=30)


async def test_undecodable_list_is_an_error(server: ScriptedServer, cluster: Cluster) -> None:
    server.plays(answer(200, b"{}"), answer(200, {"metadata": {}, "items": [1]}))
    for _ in range(2):
        with pytest.raises(UndecodableAnswer):
            await cluster.diemjobs.list()


async def test_status_patch_goes_to_the_status_with_its_precondition(server: ScriptedServer, cluster: Cluster) -> None:
    server.plays(answer(200, diemjob(version=11)))
    patch = {"metadata": {"resourceVersion": "10"}, "status": {"phase": "Running"}}
    stored = await cluster.diemjobs.patch_status(KEY, patch, timeout_seconds=30)
    (request,) = server.requests
    assert stored.metadata.resource_version == "11"
    assert (request.method, request.path) == ("PATCH", "/apis/diem.io/v1/namespaces/team-a/diemjobs/nightly/status")
    assert request.headers["content-type"] == "application/merge-patch+json"
    assert body(request) == patch
    assert query(request) == {"fieldManager": "diem-operator"}


@pytest.mark.parametrize("patch", [{"status": {}}, {"metadata": {}, "status": {}}])
async def test_blind_status_patch_is_a_mistake(
    server: ScriptedServer, cluster: Cluster, patch: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="resourceVersion"):
        await cluster.diemjobs.patch_status(KEY, patch, timeout_seconds=30)
    assert server.requests == []


async def test_failed_test_of_a_json_patch_is_a_conflict(server: ScriptedServer, cluster: Cluster) -> None:
    server.plays(answer(422, failure(422, "Invalid")))
    with pytest.raises(Conflict):
        await cluster.diemjobs.patch_json(KEY, [{"op": "test", "path": "/a", "value": 1}], timeout_seconds=30)
    (request,) = server.requests
    assert request.headers["content-type"] == "application/json-patch+json"


async def test_json_patch_to_an_invalid_object_is_no_conflict(server: ScriptedServer, cluster: Cluster) -> None:
    details = {"causes": [{"reason": "FieldValueInvalid", "field": "spec.state"}]}
    server.plays(answer(422, failure(422, "Invalid") | {"details": details}))
    with pytest.raises(Invalid):
        await cluster.diemjobs.patch_json(KEY, [], timeout_seconds=30)


@pytest.mark.parametrize("version", ["50", None])
async def test_job_is_deleted_only_if_it_is_the_one_that_was_seen(
    server: ScriptedServer, cluster: Cluster, version: str | None
) -> None:
    server.plays(answer(200, failure(200, "") | {"status": "Success"}))
    await cluster.jobs.delete(KEY, uid=Uid("u"), resource_version=version, propagation="Foreground", timeout_seconds=30)
    (request,) = server.requests
    assert (request.method, request.path) == ("DELETE", "/apis/batch/v1/namespaces/team-a/jobs/nightly")
    expected = {"uid": "u"} if version is None else {"uid": "u", "resourceVersion": "50"}
    assert body(request)["preconditions"] == expected
    assert body(request)["propagationPolicy"] == "Foreground"


async def test_job_that_goes_on_while_it_is_deleted_is_returned(server: ScriptedServer, cluster: Cluster) -> None:
    metadata = {"name": "nightly", "namespace": "team-a", "deletionTimestamp": "2030-01-02T03:04:05Z"}
    server.plays(answer(200, {"kind": "Job", "metadata": metadata}), answer(200, {"kind": "Status"}))
    remaining = [await delete(cluster) for _ in range(2)]
    assert [job.metadata.is_being_deleted if job else None for job in remaining] == [True, None]


@pytest.mark.parametrize("content", [b"hunter2", b"\xff", b'{"kind":"Job","metadata":"hunter2"}'])
async def test_unclear_answer_to_a_deletion_leaves_the_outcome_unknown(
    server: ScriptedServer, cluster: Cluster, content: bytes
) -> None:
    server.plays(answer(200, content))
    with pytest.raises(UndecodableAnswer) as caught:
        await delete(cluster)
    assert "hunter2" not in str(caught.value)


async def delete(cluster: Cluster) -> Job | None:
    return await cluster.jobs.delete(
        KEY, uid=Uid("u"), resource_version=None, propagation="Foreground", timeout_seconds=30
    )


async def test_events_are_those_of_one_object(server: ScriptedServer, cluster: Cluster) -> None:
    server.plays(answer(200, page({"metadata": {"name": "e"}, "reason": "FailedCreate", "message": "quota"})))
    (event,) = await cluster.events.list_for("team-a", kind="Job", name="j", uid="u")
    assert (event.reason, event.message) == ("FailedCreate", "quota")
    assert query(server.requests[0])["fieldSelector"] == (
        "involvedObject.kind=Job,involvedObject.name=j,involvedObject.uid=u"
    )


async def test_secret_is_decoded_and_never_shown(server: ScriptedServer, cluster: Cluster) -> None:
    encoded = base64.b64encode(b"hunter2").decode()
    server.plays(answer(200, {"metadata": {"name": "nightly"}, "data": {"key": encoded}}))
    secret = await cluster.secrets.get(KEY)
    assert secret.data == {"key": b"hunter2"}
    assert "hunter2" not in repr(secret)
    assert encoded not in repr(secret)


async def test_token_is_issued_and_never_shown(server: ScriptedServer, cluster: Cluster) -> None:
    status = {"token": "hunter2", "expirationTimestamp": "2030-01-02T03:04:05Z"}
    server.plays(answer(201, {"status": status}), answer(201, {"status": {"token": 2}}))
    issued = await cluster.service_accounts.create_token(KEY, lifetime_seconds=600, timeout_seconds=30)
    assert issued.token == "hunter2"
    assert "hunter2" not in repr(issued)
    assert server.requests[0].path == "/api/v1/namespaces/team-a/serviceaccounts/nightly/token"
    assert body(server.requests[0])["spec"] == {"expirationSeconds": 600}
    with pytest.raises(UndecodableAnswer):
        await cluster.service_accounts.create_token(KEY, lifetime_seconds=600, timeout_seconds=30)


async def test_lease_is_replaced_only_in_the_version_that_was_read(server: ScriptedServer, cluster: Cluster) -> None:
    lease = Lease(
        metadata=ObjectMeta(name="nightly", namespace="team-a", resource_version="7", labels={"a": "b"}),
        spec=LeaseSpec(holder_identity="me", lease_duration_seconds=6),
    )
    server.plays(answer(200, {"metadata": {"name": "nightly"}}))
    await cluster.leases.update(lease, timeout_seconds=30)
    (request,) = server.requests
    assert request.method == "PUT"
    assert body(request)["kind"] == "Lease"
    assert body(request)["metadata"] == {
        "name": "nightly",
        "namespace": "team-a",
        "resourceVersion": "7",
        "labels": {"a": "b"},
    }
    assert body(request)["spec"] == {"holderIdentity": "me", "leaseDurationSeconds": 6}
