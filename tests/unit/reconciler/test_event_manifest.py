"""An Event is found under the DiemJob, and the same thing told twice is one Event."""

from typing import Any

import msgspec
import pytest

from diem_operator.model.names import RunId, Uid
from diem_operator.reconciler.event_manifest import EventDraft, build_event, combine
from tests.builders import NAME, NAMESPACE, NOW, UID, make_diemjob


def make_draft(**changes: object) -> EventDraft:
    draft = EventDraft(
        about=make_diemjob().metadata,
        run_id=RunId("run-1"),
        reason="RunStarted",
        message="Run 1 started",
        type="Normal",
        at=NOW,
    )
    return msgspec.structs.replace(draft, **changes)


def test_event_refers_to_its_diemjob() -> None:
    event = build_event(make_draft(), reporter="pod-1")
    assert event["metadata"]["namespace"] == NAMESPACE
    assert event["involvedObject"] == {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "namespace": NAMESPACE,
        "name": NAME,
        "uid": UID,
        "resourceVersion": "100",
    }


def test_event_tells_what_happened_when_and_who_says_so() -> None:
    event = build_event(make_draft(type="Warning"), reporter="pod-1")
    told = {name: event[name] for name in ("type", "reason", "message", "firstTimestamp", "lastTimestamp", "count")}
    assert told == {
        "type": "Warning",
        "reason": "RunStarted",
        "message": "Run 1 started",
        "firstTimestamp": "2030-01-02T03:04:05Z",
        "lastTimestamp": "2030-01-02T03:04:05Z",
        "count": 1,
    }
    assert event["reportingInstance"] == "pod-1"
    assert event["metadata"]["annotations"] == {"diem.io/run-id": "run-1"}


def test_same_thing_told_later_has_the_same_name() -> None:
    again = make_draft(message="said otherwise", at=NOW.replace(year=2031), type="Warning")
    assert again.name == make_draft().name


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"run_id": RunId("run-2")}, id="another run"),
        pytest.param({"reason": "RunFailed"}, id="another reason"),
        pytest.param(
            {"about": msgspec.structs.replace(make_diemjob().metadata, uid=Uid("recreated"))}, id="another resource"
        ),
    ],
)
def test_other_things_have_other_names(change: dict[str, Any]) -> None:
    assert make_draft(**change).name != make_draft().name


@pytest.mark.parametrize("name", ["a" * 253, f"{'a' * 198}.-{'b' * 20}", "a"])
def test_name_is_one_that_kubernetes_takes(name: str) -> None:
    event_name = make_draft(about=msgspec.structs.replace(make_diemjob().metadata, name=name)).name
    assert len(event_name) <= 253
    assert ".-" not in event_name
    assert "-." not in event_name
    assert ".." not in event_name


def test_long_message_is_cut() -> None:
    assert len(build_event(make_draft(message="x" * 5000), reporter="pod-1")["message"]) == 1024


def test_combined_event_counts_what_it_stands_for() -> None:
    event = build_event(combine(make_draft(), count=7), reporter="pod-1")
    assert event["count"] == 7
    assert event["message"] == "(combined from 7 similar events) Run 1 started"


def test_event_that_stands_for_itself_is_unchanged() -> None:
    assert combine(make_draft(), count=1) == make_draft()
