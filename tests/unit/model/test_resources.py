"""What the other resources say of themselves: their keys, their times, and nothing of their secrets."""

from datetime import UTC, datetime

import msgspec
import pytest

from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.diemjob import DiemJob, DiemJobSpec, JobTemplate, Phase, RunStatus
from diem_operator.model.event import Event
from diem_operator.model.job import Job
from diem_operator.model.lease import Lease, micro_time
from diem_operator.model.metadata import ObjectKey, ObjectMeta
from diem_operator.model.names import RunId
from diem_operator.model.pod import Pod
from diem_operator.model.secret import IssuedToken, Secret
from tests.builders import NOW, seconds_ago

METADATA = ObjectMeta(name="nightly", namespace="team-a")
DIEMJOB = DiemJob(metadata=METADATA, spec=DiemJobSpec(job_template=JobTemplate()))


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(DIEMJOB, id="DiemJob"),
        pytest.param(DiemApiKey(metadata=METADATA), id="DiemApiKey"),
        pytest.param(Job(metadata=METADATA), id="Job"),
        pytest.param(Lease(metadata=METADATA), id="Lease"),
        pytest.param(Pod(metadata=METADATA), id="Pod"),
    ],
)
def test_resource_is_named_by_its_key(resource: DiemJob | DiemApiKey | Job | Lease | Pod) -> None:
    assert resource.key == ObjectKey(namespace="team-a", name="nightly")
    assert str(resource.key) == "team-a/nightly"


@pytest.mark.parametrize(
    ("phase", "is_over"),
    [
        (Phase.SUBMITTED, False),
        (Phase.PENDING, False),
        (Phase.RUNNING, False),
        (Phase.STOPPING, False),
        (Phase.COMPLETED, True),
        (Phase.FAILED, True),
        (Phase.STOPPED, True),
    ],
)
def test_run_is_live_until_a_terminal_phase(phase: Phase, is_over: bool) -> None:
    run = RunStatus(number=1, id=RunId("r1"), phase=phase)

    assert (phase.is_terminal, run.is_live) == (is_over, not is_over)


def test_object_is_being_deleted_from_its_deletion_timestamp_on() -> None:
    assert not METADATA.is_being_deleted
    assert msgspec.structs.replace(METADATA, deletion_timestamp=NOW).is_being_deleted


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"last_timestamp": NOW, "event_time": seconds_ago(1)}, NOW, id="older writers"),
        pytest.param({"event_time": NOW}, NOW, id="newer writers"),
        pytest.param({}, seconds_ago(9), id="when it was created"),
    ],
)
def test_event_was_last_seen(given: dict[str, datetime], expected: datetime) -> None:
    metadata = ObjectMeta(name="event", creation_timestamp=seconds_ago(9))

    event = msgspec.structs.replace(Event(metadata=metadata), **given)

    assert event.last_seen_at == expected


def test_event_without_any_time_was_seen_at_no_time() -> None:
    assert Event(metadata=METADATA).last_seen_at is None


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "2030-01-02T03:04:05.000000Z"),
        (datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC), "2030-01-02T03:04:05.000678Z"),
    ],
)
def test_micro_time_always_has_six_digits(at: datetime, text: str) -> None:
    assert micro_time(at) == text


def test_secret_content_shows_in_no_text() -> None:
    secret = Secret(metadata=METADATA, data={"key": b"hunter2"})
    issued = IssuedToken(token="hunter2", expires_at=NOW)

    assert repr(secret) == "Secret(team-a/nightly)"
    assert "hunter2" not in f"{secret} {issued!r} {issued}"


def test_wire_format_is_camel_case_and_leaves_defaults_out() -> None:
    assert msgspec.to_builtins(DIEMJOB) == {
        "metadata": {"name": "nightly", "namespace": "team-a"},
        "spec": {"jobTemplate": {}},
    }
