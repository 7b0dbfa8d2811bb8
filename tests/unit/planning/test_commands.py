"""What a caller's start or stop changes, and what it is told."""

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from diem_operator.model.diemjob import AcceptedRequest, DiemJob, DiemJobSpec, Phase, RunRequest, State
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import MAX_REQUESTS, RunId, Uid
from diem_operator.planning.commands import (
    Caller,
    NoChange,
    Outcome,
    Refusal,
    RefusalKind,
    StartCommand,
    Write,
    plan_start,
    plan_stop,
)
from diem_operator.planning.ids import hash_of
from tests.builders import NOW, UID, make_diemjob, make_request, make_run, make_status

CALLER = Caller(requested_by="apikey/1", now=NOW)
AT = "2030-01-02T03:04:05.000Z"


def start(diemjob: DiemJob, run_id: str = "r1", **command: Any) -> Outcome:
    return plan_start(diemjob, StartCommand(run_id=RunId(run_id), **command), CALLER)


def stop(diemjob: DiemJob, expected_run: str | None = None) -> Outcome:
    return plan_stop(diemjob, CALLER, fingerprint="print", expected_run=expected_run)


def apply_write(diemjob: DiemJob, write: Outcome) -> DiemJobSpec:
    """Return the spec that a Write leaves."""
    assert isinstance(write, Write)
    guard, *changes = write.operations
    assert guard == {"op": "replace", "path": "/metadata/resourceVersion", "value": diemjob.metadata.resource_version}
    spec: RawObject = msgspec.to_builtins(diemjob.spec)
    for change in changes:
        assert change["op"] == "add"
        spec[change["path"].removeprefix("/spec/")] = change["value"]
    return msgspec.convert(spec, DiemJobSpec)


def send(write: Outcome) -> list[RawObject]:
    """Return the JSON Patch as the API server reads it."""
    assert isinstance(write, Write)
    return msgspec.json.decode(msgspec.json.encode(write.operations), type=list[RawObject])


def with_live(phase: Phase = Phase.RUNNING, **fields: Any) -> DiemJob:
    spec: dict[str, Any] = {"state": State.RUNNING, "run": make_request("live")} | fields
    return make_diemjob(status=make_status(make_run("live", phase, number=3)), **spec)


def deleted(diemjob: DiemJob) -> DiemJob:
    metadata = msgspec.structs.replace(diemjob.metadata, deletion_timestamp=NOW)
    return msgspec.structs.replace(diemjob, metadata=metadata)


def accepted(run_id: str, action: str = "start", fingerprint: str = "print") -> AcceptedRequest:
    return AcceptedRequest(id=RunId(run_id), action=action, by="apikey/1", at=AT, fingerprint=fingerprint)


# Start


def test_start_writes_state_run_and_request() -> None:
    diemjob = make_diemjob(state=State.STOPPED, requests=(accepted("r0", "stop"),), status=make_status())

    outcome = start(diemjob, parameters={"DAY": "1"}, fingerprint="print")

    assert isinstance(outcome, Write)
    assert (outcome.message, outcome.run_id) == ("job started", "r1")
    spec = apply_write(diemjob, outcome)
    assert spec.state is State.RUNNING
    expected = RunRequest(
        id=RunId("r1"), target_uid=UID, requested_by="apikey/1", requested_at=AT, parameters={"DAY": "1"}
    )
    assert spec.run == expected
    assert spec.requests == (accepted("r0", "stop"), accepted("r1"))


def test_start_is_one_patch_guarded_by_the_version_it_was_decided_on() -> None:
    outcome = start(make_diemjob(), fingerprint="print")

    assert send(outcome) == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "100"},
        {"op": "add", "path": "/spec/state", "value": "running"},
        {
            "op": "add",
            "path": "/spec/run",
            "value": {"id": "r1", "targetUID": UID, "requestedBy": "apikey/1", "requestedAt": AT},
        },
        {
            "op": "add",
            "path": "/spec/requests",
            "value": [{"id": "r1", "action": "start", "by": "apikey/1", "at": AT, "fingerprint": "print"}],
        },
    ]


def test_times_are_written_in_utc_with_milliseconds() -> None:
    caller = Caller(requested_by="x", now=datetime(2030, 1, 2, 5, 4, 5, 999_999, tzinfo=timezone(timedelta(hours=2))))

    outcome = plan_start(make_diemjob(), StartCommand(run_id=RunId("r1")), caller)

    run = apply_write(make_diemjob(), outcome).run
    assert run is not None
    assert run.requested_at == "2030-01-02T03:04:05.999Z"


@pytest.mark.parametrize(
    "diemjob",
    [
        pytest.param(make_diemjob(status=make_status(make_run("old", Phase.FAILED))), id="after a run"),
        pytest.param(with_live(state=State.STOPPED), id="while a stop by state is under way"),
        pytest.param(with_live(run=make_request("live", is_stopped=True)), id="while an HTTP stop is under way"),
        pytest.param(with_live(Phase.STOPPING), id="while stopping"),
        pytest.param(make_diemjob(run=make_request("held")), id="instead of a request without state"),
    ],
)
def test_start_that_nothing_makes_superfluous_is_written(diemjob: DiemJob) -> None:
    outcome = start(diemjob)

    assert isinstance(outcome, Write)
    assert outcome.message == "job started"


@pytest.mark.parametrize(
    ("diemjob", "run_id"),
    [
        *(
            pytest.param(with_live(phase), "live", id=phase)
            for phase in (Phase.SUBMITTED, Phase.PENDING, Phase.RUNNING)
        ),
        pytest.param(with_live(state=None), "live", id="live without state"),
        pytest.param(make_diemjob(state=State.RUNNING, run=make_request("due")), "due", id="due by id"),
        pytest.param(make_diemjob(state=State.RUNNING), "state-1", id="due by state"),
        pytest.param(
            make_diemjob(
                state=State.RUNNING,
                status=make_status(make_run("old", Phase.STOPPING), observed_state=State.STOPPED),
            ),
            "state-1",
            id="due by state as soon as the old run is gone",
        ),
    ],
)
def test_start_while_running_changes_nothing(diemjob: DiemJob, run_id: str) -> None:
    assert start(diemjob) == NoChange(message="job already running", run_id=RunId(run_id))


def test_start_of_a_diemjob_that_is_being_deleted_is_refused() -> None:
    outcome = start(deleted(make_diemjob()))

    assert outcome == Refusal(
        kind=RefusalKind.BEING_DELETED,
        message="job 'nightly-load' is being deleted; apply it again before starting or stopping it",
    )


# Idempotency


@pytest.mark.parametrize(
    "diemjob",
    [
        pytest.param(make_diemjob(state=State.RUNNING, run=make_request(), requests=(accepted("r1"),)), id="accepted"),
        pytest.param(with_live(requests=(accepted("r1"), accepted("live"))), id="replaced before it started"),
        pytest.param(make_diemjob(status=make_status(make_run("r1", Phase.COMPLETED))), id="over, request pushed out"),
        pytest.param(make_diemjob(status=make_status(recent_run_ids=(hash_of("r1"),))), id="long over"),
    ],
)
def test_replayed_start_gets_the_same_answer_and_starts_nothing(diemjob: DiemJob) -> None:
    expected = NoChange(message="job started", run_id=RunId("r1"), needs_live=False)
    assert start(diemjob, is_replayable=True, fingerprint="print") == expected


def test_replay_with_another_body_is_refused() -> None:
    outcome = start(make_diemjob(requests=(accepted("r1"),)), is_replayable=True, fingerprint="other")

    assert isinstance(outcome, Refusal)
    assert outcome.kind is RefusalKind.REUSED_IDEMPOTENCY_KEY
    assert outcome.message.endswith("send a new key with a new request")


def test_first_start_with_a_key_is_written() -> None:
    diemjob = make_diemjob(requests=(accepted("other"),))

    assert isinstance(start(diemjob, is_replayable=True), Write)


def test_stop_of_a_run_does_not_make_its_id_a_replay() -> None:
    diemjob = make_diemjob(requests=(accepted("r1", "stop"),))

    assert isinstance(start(diemjob, is_replayable=True), Write)


# The record of requests


def full(first: str) -> tuple[AcceptedRequest, ...]:
    return (accepted(first), *(accepted(f"r-{number}") for number in range(MAX_REQUESTS - 1)))


def test_oldest_request_makes_room_once_it_is_accounted_for() -> None:
    diemjob = make_diemjob(requests=full("old"), status=make_status(make_run("old", Phase.COMPLETED)))

    spec = apply_write(diemjob, start(diemjob, "new"))

    assert len(spec.requests) == MAX_REQUESTS
    assert (spec.requests[0].id, spec.requests[-1].id) == ("r-0", "new")


@pytest.mark.parametrize("command", [start, stop])
def test_request_that_the_operator_has_not_accounted_for_is_not_pushed_out(command: Any) -> None:
    diemjob = with_live(requests=full("waiting"), state=State.STOPPED)

    outcome = command(diemjob)

    assert isinstance(outcome, Refusal)
    assert outcome.kind is RefusalKind.TOO_MANY_REQUESTS
    assert outcome.message.endswith("try again in a few seconds")


def test_start_is_not_pushed_out_by_the_stop_of_the_same_run() -> None:
    """Its entry is what tells a replay from a new start."""
    requests = (*full("r1")[:-1], accepted("r1", "stop"))
    diemjob = make_diemjob(state=State.STOPPED, run=make_request("r1", is_stopped=True), requests=requests)

    assert isinstance(start(diemjob, "new"), Refusal)


# Stop


@pytest.mark.parametrize(
    ("diemjob", "target"),
    [
        pytest.param(with_live(), make_request("live"), id="the live run"),
        pytest.param(with_live(Phase.STOPPING), make_request("live"), id="a run that is stopping already"),
        pytest.param(with_live(run=make_request("next")), make_request("next"), id="the request that supersedes it"),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("due")), make_request("due"), id="a start that is due"
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING),
            RunRequest(id=RunId("state-1"), target_uid=UID, requested_by="spec.state"),
            id="a start by state that is due",
        ),
        pytest.param(with_live(run=None), RunRequest(id=RunId("live"), target_uid=UID), id="a run not in spec"),
    ],
)
def test_stop_marks_the_run_it_stops(diemjob: DiemJob, target: RunRequest) -> None:
    outcome = stop(diemjob)

    assert isinstance(outcome, Write)
    assert (outcome.message, outcome.run_id) == ("job stopped", target.id)
    spec = apply_write(diemjob, outcome)
    assert spec.state is State.STOPPED
    assert spec.run is not None
    assert spec.run.stop is not None
    assert (spec.run.stop.requested_by, spec.run.stop.requested_at) == ("apikey/1", AT)
    assert msgspec.structs.replace(spec.run, stop=None) == target
    assert spec.requests[-1] == accepted(target.id, "stop")


def test_stop_is_one_patch_guarded_by_the_version_it_was_decided_on() -> None:
    outcome = stop(with_live())

    assert send(outcome) == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "100"},
        {"op": "add", "path": "/spec/state", "value": "stopped"},
        {
            "op": "add",
            "path": "/spec/run",
            "value": {
                "id": "live",
                "targetUID": UID,
                "requestedBy": "apikey/1",
                "stop": {"requestedBy": "apikey/1", "requestedAt": AT},
            },
        },
        {
            "op": "add",
            "path": "/spec/requests",
            "value": [{"id": "live", "action": "stop", "by": "apikey/1", "at": AT, "fingerprint": "print"}],
        },
    ]


def test_stop_of_a_live_run_replaces_a_request_that_was_seen() -> None:
    status = make_status(make_run("live", number=3), make_run("seen", Phase.STOPPED))
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("seen"), status=status)

    run = apply_write(diemjob, stop(diemjob)).run

    assert run is not None
    assert run.id == "live"


@pytest.mark.parametrize(
    "diemjob",
    [
        pytest.param(with_live(run=make_request("live", is_stopped=True)), id="of the live run"),
        pytest.param(with_live(run=make_request("next", is_stopped=True)), id="of the next run"),
        pytest.param(
            make_diemjob(state=State.STOPPED, run=make_request("r1", is_stopped=True)), id="of one that may have a Job"
        ),
    ],
)
def test_repeated_stop_is_answered_without_a_write(diemjob: DiemJob) -> None:
    assert diemjob.spec.run is not None
    assert stop(diemjob) == NoChange(message="job stopped", run_id=diemjob.spec.run.id)


@pytest.mark.parametrize(
    ("diemjob", "run_id"),
    [
        pytest.param(make_diemjob(), None, id="never ran"),
        pytest.param(make_diemjob(status=make_status(make_run("old", Phase.COMPLETED))), "old", id="over"),
        pytest.param(make_diemjob(run=make_request("held")), None, id="held without state"),
        pytest.param(make_diemjob(state=State.RUNNING, run=make_request(target_uid=Uid("other"))), "r1", id="restored"),
        pytest.param(
            make_diemjob(state=State.STOPPED, run=make_request(target_uid=Uid("other"))), "r1", id="restored, stopped"
        ),
    ],
)
def test_stop_with_nothing_to_stop_changes_nothing(diemjob: DiemJob, run_id: str | None) -> None:
    assert stop(diemjob) == NoChange(message="job already stopped", run_id=None if run_id is None else RunId(run_id))


def test_stop_of_a_diemjob_that_is_being_deleted_is_refused() -> None:
    outcome = stop(deleted(with_live()))

    assert isinstance(outcome, Refusal)
    assert outcome.kind is RefusalKind.BEING_DELETED


@pytest.mark.parametrize(
    ("diemjob", "expected_run"),
    [
        pytest.param(with_live(), "live", id="by id"),
        pytest.param(with_live(), "3", id="by number"),
        pytest.param(with_live(run=make_request("next")), "next", id="the run that would be stopped"),
        pytest.param(make_diemjob(state=State.RUNNING), "state-1", id="due by state"),
        pytest.param(make_diemjob(status=make_status(make_run("old", Phase.STOPPED))), "old", id="over already"),
        pytest.param(
            make_diemjob(status=make_status(make_run("old", Phase.STOPPED, number=4))), "4", id="over, by number"
        ),
    ],
)
def test_expected_run_is_stopped(diemjob: DiemJob, expected_run: str) -> None:
    assert not isinstance(stop(diemjob, expected_run), Refusal)


@pytest.mark.parametrize(
    ("diemjob", "expected_run", "current"),
    [
        pytest.param(with_live(), "old", "its run is 'live' (number 3, Running)", id="another run is live"),
        pytest.param(with_live(), "2", "its run is 'live' (number 3, Running)", id="another number"),
        pytest.param(
            with_live(run=make_request("next")), "live", "its run is 'live' (number 3, Stopping)", id="superseded"
        ),
        pytest.param(make_diemjob(), "r1", "it has no run", id="never ran"),
        pytest.param(
            make_diemjob(status=make_status(make_run("new", Phase.COMPLETED, number=5))),
            "old",
            "its run is 'new' (number 5, Completed)",
            id="over and replaced",
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("due")),
            "1",
            "its run is 'due' (number 1, Submitted)",
            id="the number of a run that is only announced",
        ),
        pytest.param(
            make_diemjob(
                state=State.RUNNING,
                run=make_request("due"),
                status=make_status(make_run("old", Phase.COMPLETED, number=5)),
            ),
            "5",
            "its run is 'due' (number 6, Submitted)",
            id="the number of the run before",
        ),
    ],
)
def test_late_stop_never_stops_another_run(diemjob: DiemJob, expected_run: str, current: str) -> None:
    assert stop(diemjob, expected_run) == Refusal(
        kind=RefusalKind.OTHER_RUN_EXPECTED,
        message=f"run {expected_run!r} is not the one a stop would end: {current}; ask for its status and decide again",
    )


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"state": None, "run": make_request("next")}, id="no state"),
        pytest.param({"run": make_request("next", target_uid=Uid("another"))}, id="meant for another object"),
    ],
)
def test_request_that_starts_nothing_does_not_shield_the_live_run_from_a_stop(fields: dict[str, Any]) -> None:
    outcome = plan_stop(with_live(**fields), CALLER, fingerprint="", expected_run="live")

    assert isinstance(outcome, Write)
    assert outcome.run_id == "live"
