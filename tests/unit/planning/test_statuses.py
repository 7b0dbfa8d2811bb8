"""What is reported: observedState, the history, and the three conditions of kstatus."""

from datetime import datetime

import msgspec
import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJob, DiemJobStatus, Phase, RunStatus, State
from diem_operator.model.metadata import Condition
from diem_operator.model.names import RunId
from diem_operator.planning.ids import hash_of
from diem_operator.planning.rules import StartRequest
from diem_operator.planning.statuses import (
    build_submitted_run,
    finish_run,
    settle,
    with_past_run,
    with_run,
    with_seen_id,
)
from tests.builders import NOW, make_diemjob, make_job, make_request, make_run, make_status, make_world, seconds_ago
from tests.unit.planning.expecting import find_condition


def settled(diemjob: DiemJob, status: DiemJobStatus, *, starts_nothing: bool = False) -> DiemJobStatus:
    return settle(make_world(diemjob), status, starts_nothing=starts_nothing)


# observedState


@pytest.mark.parametrize(
    ("state", "observed"),
    [(State.STOPPED, State.STOPPED), (None, None)],
)
def test_state_that_starts_nothing_is_observed_at_once(state: State | None, observed: State | None) -> None:
    diemjob = make_diemjob(state=state, status=make_status(observed_state=State.RUNNING))

    assert settled(diemjob, diemjob.status).observed_state is observed


def test_running_is_not_observed_while_its_start_is_due() -> None:
    diemjob = make_diemjob(state=State.RUNNING, status=make_status(observed_state=State.STOPPED))

    assert settled(diemjob, diemjob.status).observed_state is State.STOPPED


def test_running_is_observed_with_the_record_of_its_start() -> None:
    diemjob = make_diemjob(state=State.RUNNING, status=make_status(observed_state=State.STOPPED))

    assert settled(diemjob, with_run(diemjob.status, make_run("state-1"))).observed_state is State.RUNNING


def test_running_is_observed_with_the_record_of_the_id_that_was_due() -> None:
    diemjob = make_diemjob(
        state=State.RUNNING, run=make_request("r1"), status=make_status(observed_state=State.STOPPED)
    )

    status = settled(diemjob, with_run(diemjob.status, make_run("r1", Phase.COMPLETED)))

    assert status.observed_state is State.RUNNING


def test_running_that_starts_nothing_is_observed() -> None:
    diemjob = make_diemjob(state=State.RUNNING)

    assert settled(diemjob, diemjob.status, starts_nothing=True).observed_state is State.RUNNING


# The history


def test_live_run_is_seen_and_not_history() -> None:
    status = with_run(DiemJobStatus(), make_run("r1"))

    assert (status.run, status.runs, status.recent_run_ids) == (make_run("r1"), (), (hash_of("r1"),))


def test_run_that_is_over_is_at_the_front_of_the_history_once() -> None:
    over = make_run("r1", Phase.COMPLETED)
    status = with_past_run(make_status(make_run("r1", Phase.FAILED), make_run("r0", Phase.STOPPED)), over)

    assert [(run.id, run.phase) for run in status.runs] == [("r1", Phase.COMPLETED), ("r0", Phase.STOPPED)]


def test_past_run_does_not_become_the_latest() -> None:
    status = with_past_run(make_status(make_run("live")), make_run("r0", Phase.STOPPED))

    assert status.run == make_run("live")


def test_starts_by_state_are_counted_by_the_highest() -> None:
    status = with_seen_id(with_seen_id(DiemJobStatus(), make_run("state-7")), make_run("state-3"))

    assert status.state_starts == 7


def test_history_is_bounded_when_it_is_written() -> None:
    runs = tuple(make_run(f"r{number}", Phase.COMPLETED) for number in range(4))
    diemjob = make_diemjob(run_history_limit=2)

    assert [run.id for run in settled(diemjob, make_status(*runs)).runs] == ["r0", "r1"]


def test_ids_are_not_forgotten_by_a_write_that_adds_none() -> None:
    """Otherwise the removal of an old Job would cost a status write."""
    recent = tuple(str(number) for number in range(40))
    diemjob = make_diemjob(status=make_status(recent_run_ids=recent))

    assert settled(diemjob, diemjob.status).recent_run_ids == recent


@pytest.mark.parametrize("run", [None, make_request("in-spec")])
def test_ids_are_forgotten_when_one_is_added(run: object) -> None:
    recent = tuple(str(number) for number in range(32))
    diemjob = make_diemjob(run=run, status=make_status(recent_run_ids=recent))
    job = make_job("no-id")
    bare = msgspec.structs.replace(job, metadata=msgspec.structs.replace(job.metadata, annotations={}))

    status = settle(make_world(diemjob, bare), with_run(diemjob.status, make_run("new")))

    assert status.recent_run_ids == (hash_of("new"), *recent[:31])


def test_submitted_run_has_the_next_number_and_its_requester() -> None:
    request = StartRequest(id=RunId("r1"), requested_by="apikey/1", requested_at="then")

    run = build_submitted_run(make_status(make_run("r0", Phase.STOPPED, number=2)), request)

    expected = RunStatus(number=3, id=RunId("r1"), phase=Phase.SUBMITTED, requested_by="apikey/1", requested_at="then")
    assert run == expected


def test_times_are_written_in_whole_seconds() -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=NOW.tzinfo)

    run = finish_run(make_run("r1"), Phase.FAILED, reason="R", message="m", at=at)

    assert (run.phase, run.reason, run.message, run.completed_at) == (Phase.FAILED, "R", "m", NOW)


# Conditions


@pytest.mark.parametrize(
    ("run", "true", "reason", "message"),
    [
        pytest.param(None, "Ready", reasons.IDLE, "", id="never ran"),
        pytest.param(
            make_run("r1", Phase.SUBMITTED, reason="QuotaExceeded", message="m"),
            "Reconciling",
            "QuotaExceeded",
            "m",
            id="Submitted",
        ),
        pytest.param(
            make_run("r1", Phase.PENDING, reason="PodUnschedulable", message="m"),
            "Reconciling",
            "PodUnschedulable",
            "m",
            id="Pending",
        ),
        pytest.param(make_run("r1"), "Ready", "Running", "", id="Running"),
        pytest.param(
            make_run("r1", Phase.STOPPING, reason=reasons.SUPERSEDED), "Reconciling", "Stopping", "", id="Stopping"
        ),
        pytest.param(
            make_run("r1", Phase.STOPPING, reason=reasons.SUPERSEDED, message="pod p"),
            "Reconciling",
            "JobDeletionBlocked",
            "pod p",
            id="Stopping and blocked",
        ),
        pytest.param(make_run("r1", Phase.COMPLETED, reason="Completed"), "Ready", "Completed", "", id="Completed"),
        pytest.param(
            make_run("r1", Phase.FAILED, reason="BackoffLimitExceeded", message="m"),
            "Ready",
            "BackoffLimitExceeded",
            "m",
            id="Failed: ready for the next run",
        ),
        *(
            pytest.param(make_run("r1", Phase.FAILED, reason=reason, message="m"), "Stalled", reason, "m", id=reason)
            for reason in (reasons.JOB_REJECTED, reasons.JOB_NAME_TAKEN, reasons.INVALID_PARAMETERS)
        ),
        pytest.param(make_run("r1", Phase.STOPPED, reason="StopRequested"), "Ready", "StopRequested", "", id="Stopped"),
    ],
)
def test_one_condition_is_true_and_all_say_why(run: RunStatus | None, true: str, reason: str, message: str) -> None:
    conditions = settled(make_diemjob(), make_status(*([] if run is None else [run]))).conditions

    assert [(condition.type, condition.status) for condition in conditions] == [
        (kind, str(kind == true)) for kind in ("Ready", "Reconciling", "Stalled")
    ]
    assert {(condition.reason, condition.message) for condition in conditions} == {(reason, message)}


@pytest.mark.parametrize("run", [None, make_run("old", Phase.COMPLETED, reason="Completed")])
def test_start_that_is_due_is_reconciled(run: RunStatus | None) -> None:
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1"))

    status = settled(diemjob, make_status(*([] if run is None else [run])))

    assert find_condition(status, "Reconciling").status == "True"
    assert find_condition(status, "Reconciling").reason == reasons.STARTING
    assert find_condition(status, "Ready").status == "False"


def since(status: str) -> Condition:
    return Condition(type="Reconciling", status=status, last_transition_time=seconds_ago(50))


@pytest.mark.parametrize(
    ("before", "run_before", "expected"),
    [
        pytest.param(since("True"), make_run("r1", Phase.SUBMITTED), seconds_ago(50), id="as it was"),
        pytest.param(since("False"), make_run("r1", Phase.SUBMITTED), NOW, id="changed"),
        pytest.param(since("True"), make_run("r0", Phase.STOPPING), NOW, id="of another run"),
        pytest.param(since("True"), None, NOW, id="of no run"),
        pytest.param(None, make_run("r1", Phase.SUBMITTED), NOW, id="new"),
    ],
)
def test_time_of_a_condition_is_that_of_its_last_change(
    before: Condition | None, run_before: RunStatus | None, expected: datetime
) -> None:
    conditions = () if before is None else (before,)
    runs = () if run_before is None else (run_before,)
    diemjob = make_diemjob(status=make_status(*runs, conditions=conditions))

    status = settled(diemjob, with_run(diemjob.status, make_run("r1", Phase.PENDING)))

    assert find_condition(status, "Reconciling").last_transition_time == expected
