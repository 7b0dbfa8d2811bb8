"""kopf lists and watches for us, hands everything on, and writes nothing."""

import pytest

from diem_operator.handlers.embedding import EmbeddedKopf
from diem_operator.handlers.watches import EndlessBackoffs, build_settings
from tests.unit.handlers.api_server import FakeApiServer, make_object
from tests.unit.handlers.conftest import Seen, eventually


async def test_listed_and_watched_keys_reach_their_controller(
    fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf
) -> None:
    fake_api.streams["diemapikeys"].listed.append(make_object("listed"))
    await embedded.start(namespaces=())
    await eventually(lambda: len(seen.objects) == 1)
    for event_type in ("ADDED", "MODIFIED", "DELETED"):
        fake_api.send("diemapikeys", event_type, make_object("watched"))
    await eventually(lambda: len(seen.objects) == 4)
    expected = [(None, "listed"), ("ADDED", "watched"), ("MODIFIED", "watched"), ("DELETED", "watched")]
    assert seen.objects == expected
    assert seen.counted == [("diemapikeys", event_type) for event_type, _ in expected]


async def test_diemjobs_are_not_asked_for(fake_api: FakeApiServer, embedded: EmbeddedKopf) -> None:
    await embedded.start(namespaces=())
    await eventually(lambda: len(fake_api.queries_of("diemapikeys")) == 2)
    assert fake_api.queries_of("diemjobs") == []


async def test_objects_of_a_namespace_that_is_not_served_are_dropped(
    fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf
) -> None:
    fake_api.streams["diemapikeys"].listed += [make_object("own", namespace="diem-system"), make_object("served")]
    await embedded.start(namespaces=())
    await eventually(lambda: len(seen.counted) == 2)
    assert seen.objects == [(None, "served")]


async def test_kopf_writes_nothing(fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf) -> None:
    being_deleted = make_object("being-deleted")
    being_deleted["metadata"] |= {"deletionTimestamp": "2030-01-01T00:00:00Z", "finalizers": ["example.com/other"]}
    kept = make_object("kept-by-another-operator-of-kopf")
    kept["metadata"]["finalizers"] = ["kopf.zalando.org/KopfFinalizerMarker"]
    fake_api.streams["diemapikeys"].listed += [make_object("plain"), being_deleted, kept]
    await embedded.start(namespaces=())
    await eventually(lambda: len(seen.objects) == 3)
    fake_api.send("diemapikeys", "MODIFIED", make_object("plain", version=2))
    fake_api.send("diemapikeys", "DELETED", being_deleted)
    await eventually(lambda: len(seen.objects) == 5)
    await embedded.stop()
    assert fake_api.writes == []


@pytest.mark.parametrize("noted", ["no JSON", "[1]", "3", '{"metadata": null}', '{"status": 3}'])
async def test_what_another_operator_of_kopf_has_noted_changes_nothing(
    fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf, noted: str
) -> None:
    odd = make_object("odd")
    odd["metadata"]["annotations"] = {"kopf.zalando.org/last-handled-configuration": noted, "kopf.zalando.org/x": noted}
    fake_api.streams["diemapikeys"].listed.append(odd)
    await embedded.start(namespaces=())
    fake_api.send("diemapikeys", "MODIFIED", odd)
    await eventually(lambda: len(seen.objects) == 2)
    assert fake_api.writes == []


async def test_only_the_named_namespaces_are_asked_for(fake_api: FakeApiServer, embedded: EmbeddedKopf) -> None:
    await embedded.start(namespaces=["team-a", "team-b"])
    await eventually(lambda: len(fake_api.queries_of("diemapikeys")) == 4)
    paths = {path for _, path, _ in fake_api.requests if path.endswith(("jobs", "keys", "namespaces"))}
    assert paths == {f"/apis/diem.io/v1/namespaces/{namespace}/diemapikeys" for namespace in ("team-a", "team-b")}


async def test_failing_controller_costs_that_object_only(
    fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf
) -> None:
    broken = make_object("broken")
    del broken["metadata"]["name"]
    fake_api.streams["diemapikeys"].listed.append(broken)
    await embedded.start(namespaces=())
    await eventually(lambda: len(seen.counted) == 1)
    fake_api.send("diemapikeys", "ADDED", make_object("fine"))
    await eventually(lambda: len(seen.objects) == 1)
    assert embedded.is_alive


def test_attempts_never_run_out() -> None:
    backoffs = zip(range(1000), EndlessBackoffs(), strict=False)
    assert max(seconds for _, seconds in backoffs) == 3.0


def test_each_request_starts_with_the_shortest_pause() -> None:
    backoffs = build_settings().networking.error_backoffs
    assert isinstance(backoffs, EndlessBackoffs)
    assert next(iter(backoffs)) == next(iter(backoffs)) == 0.5
