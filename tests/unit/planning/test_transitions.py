"""What a status write means to people: each start and each end is told once, with its reason."""

import msgspec
import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJobStatus, Phase, RunStatus
from diem_operator.planning.transitions import Transition, find_transitions
from tests.builders import make_run


def make_status(run: RunStatus | None = None, *over: RunStatus) -> DiemJobStatus:
    return DiemJobStatus(run=run, runs=over)


SUBMITTED = make_run("r1", Phase.SUBMITTED)
PENDING = make_run("r1", Phase.PENDING)
RUNNING = make_run("r1", Phase.RUNNING)
STOPPING = make_run("r1", Phase.STOPPING)
COMPLETED = make_run("r1", Phase.COMPLETED, reason=reasons.COMPLETED)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(make_status(), make_status(), id="never ran"),
        pytest.param(make_status(PENDING), make_status(PENDING), id="same phase"),
        pytest.param(
            make_status(PENDING),
            make_status(msgspec.structs.replace(PENDING, reason=reasons.POD_UNSCHEDULABLE)),
            id="other reason in the same phase",
        ),
        pytest.param(make_status(COMPLETED, COMPLETED), make_status(COMPLETED, COMPLETED), id="in both places"),
        pytest.param(make_status(COMPLETED), make_status(None, COMPLETED), id="moved into the history"),
        pytest.param(make_status(COMPLETED, COMPLETED), make_status(), id="dropped from the history"),
    ],
)
def test_same_phase_is_no_transition(before: DiemJobStatus, after: DiemJobStatus) -> None:
    assert find_transitions(before, after) == ()


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        pytest.param(make_status(), make_status(SUBMITTED), "", id="submitted, no Job yet"),
        pytest.param(make_status(), make_status(PENDING), reasons.EVENT_RUN_STARTED, id="started at once"),
        pytest.param(make_status(SUBMITTED), make_status(PENDING), reasons.EVENT_RUN_STARTED, id="got its Job"),
        pytest.param(make_status(), make_status(STOPPING), reasons.EVENT_RUN_STARTED, id="Job found when it must end"),
        pytest.param(make_status(PENDING), make_status(RUNNING), "", id="pod runs"),
        pytest.param(make_status(RUNNING), make_status(STOPPING), "", id="stops"),
    ],
)
def test_start_is_told_when_the_run_gets_its_job(before: DiemJobStatus, after: DiemJobStatus, event: str) -> None:
    (transition,) = find_transitions(before, after)

    assert (transition.run, transition.event, transition.event_type) == (after.run, event, "Normal")


def test_start_names_the_run_and_its_job() -> None:
    (transition,) = find_transitions(make_status(), make_status(PENDING))

    assert transition.message == f"Run 1 (r1) started as Job {PENDING.job_name}"


@pytest.mark.parametrize(
    ("run", "event", "event_type", "message"),
    [
        pytest.param(
            COMPLETED, reasons.EVENT_RUN_COMPLETED, "Normal", "Run 1 (r1) completed: Completed", id="completed"
        ),
        pytest.param(
            make_run("r1", Phase.STOPPED, reason=reasons.STOP_REQUESTED),
            reasons.EVENT_RUN_STOPPED,
            "Normal",
            "Run 1 (r1) stopped: StopRequested",
            id="stopped",
        ),
        pytest.param(
            make_run("r1", Phase.FAILED, reason="BackoffLimitExceeded", message="it failed too often"),
            reasons.EVENT_RUN_FAILED,
            "Warning",
            "Run 1 (r1) failed: BackoffLimitExceeded: it failed too often",
            id="failed",
        ),
        pytest.param(
            make_run("r1", Phase.FAILED, reason=reasons.JOB_REJECTED, message="no image"),
            reasons.EVENT_JOB_REJECTED,
            "Warning",
            "Run 1 (r1) failed: JobRejected: no image",
            id="rejected",
        ),
        pytest.param(
            make_run("r1", Phase.STOPPED), reasons.EVENT_RUN_STOPPED, "Normal", "Run 1 (r1) stopped", id="no reason"
        ),
    ],
)
def test_end_is_told_with_its_reason(run: RunStatus, event: str, event_type: str, message: str) -> None:
    (transition,) = find_transitions(make_status(RUNNING), make_status(run, run))

    assert (transition.run, transition.message) == (run, message)
    assert (transition.event, transition.event_type) == (event, event_type)


def test_runs_that_are_over_are_told_first_and_oldest_first() -> None:
    stopped, failed = make_run("r2", Phase.STOPPED, number=2), make_run("r3", Phase.FAILED, number=3)
    after = make_status(make_run("r4", Phase.PENDING, number=4), failed, stopped, COMPLETED)

    transitions = find_transitions(make_status(RUNNING), after)

    assert [(found.run.id, found.event) for found in transitions] == [
        ("r1", reasons.EVENT_RUN_COMPLETED),
        ("r2", reasons.EVENT_RUN_STOPPED),
        ("r3", reasons.EVENT_RUN_FAILED),
        ("r4", reasons.EVENT_RUN_STARTED),
    ]


def test_transition_tells_nobody_unless_asked_to() -> None:
    assert Transition(run=PENDING) == Transition(run=PENDING, event="", event_type="Normal", message="")
