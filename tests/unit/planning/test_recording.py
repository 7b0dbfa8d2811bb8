"""Jobs the status does not know are written down; Jobs that should not run are removed."""

import msgspec
import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJob, DiemJobStatus, Phase, State
from diem_operator.model.job import Job
from diem_operator.model.names import (
    ANNOTATION_REQUESTED_AT,
    ANNOTATION_REQUESTED_BY,
    ANNOTATION_RUN_ID,
    ANNOTATION_RUN_NUMBER,
    RunId,
)
from diem_operator.planning.ids import build_job_name, is_seen
from diem_operator.planning.plan import plan
from diem_operator.planning.steps import CreateJob, DeleteJob, ObserveLive, Wait
from diem_operator.planning.world import PostOutcome
from tests.builders import (
    NAME,
    NOW,
    UID,
    make_attempt,
    make_diemjob,
    make_job,
    make_request,
    make_run,
    make_status,
    make_world,
    seconds_ago,
)
from tests.unit.planning.worlds import plan_after_writes, plan_run, plan_status, write

WANTED = make_diemjob(state=State.RUNNING, run=make_request("r1"))


def annotate(job: Job, **annotations: str) -> Job:
    metadata = msgspec.structs.replace(job.metadata, annotations=annotations)
    return msgspec.structs.replace(job, metadata=metadata)


def make_foreign_job() -> Job:
    """Return an owned Job that bears no run id."""
    return annotate(make_job("r9", uid="job-9"))


@pytest.mark.parametrize(
    ("job", "phase", "reason"),
    [
        pytest.param(make_job("r1"), Phase.PENDING, reasons.WAITING_FOR_POD, id="no pod yet"),
        pytest.param(make_job("r1", ready=1), Phase.RUNNING, "", id="pod runs"),
        pytest.param(make_job("r1", finish="Complete"), Phase.COMPLETED, reasons.COMPLETED, id="complete"),
        pytest.param(make_job("r1", finish="Failed"), Phase.FAILED, reasons.JOB_FAILED, id="failed"),
    ],
)
def test_job_of_the_due_start_is_adopted_finished_or_not(job: Job, phase: Phase, reason: str) -> None:
    world = make_world(WANTED, job)

    run = plan_run(world)

    assert (run.id, run.phase, run.reason) == ("r1", phase, reason)
    assert (run.job_name, run.job_uid) == (build_job_name(NAME, UID, RunId("r1")), "job-1")
    assert not isinstance(plan_after_writes(world), CreateJob)


def test_run_is_recorded_from_its_job_alone() -> None:
    job = make_job("r1", number=12)
    told = {
        ANNOTATION_RUN_ID: "r1",
        ANNOTATION_RUN_NUMBER: "12",
        ANNOTATION_REQUESTED_BY: "apikey/7",
        ANNOTATION_REQUESTED_AT: "2030-01-02T03:00:00Z",
    }

    run = plan_run(make_world(make_diemjob(), annotate(job, **told)))

    assert (run.id, run.number) == ("r1", 12)
    assert (run.requested_by, run.requested_at) == ("apikey/7", "2030-01-02T03:00:00Z")


def test_number_that_is_taken_is_not_given_again() -> None:
    status = make_status(make_run("r0", Phase.COMPLETED, number=5))

    assert plan_run(make_world(make_diemjob(status=status), make_job("r1", number=5))).number == 6


def test_unseen_job_beside_a_live_run_becomes_history_and_is_deleted() -> None:
    live = make_run("r1", Phase.RUNNING)
    own, unseen = make_job("r1", ready=1), make_job("r2", uid="job-2")
    world = make_world(make_diemjob(state=State.RUNNING, status=make_status(live)), own, unseen)
    assert isinstance(plan(world), ObserveLive), "it may be gone, and for another reason"

    world = msgspec.structs.replace(world, is_live=True)
    status = plan_status(world)

    assert status.run == live
    assert [(run.id, run.phase, run.reason) for run in status.runs] == [("r2", Phase.STOPPED, reasons.SUPERSEDED)]
    assert plan(write(world)) == DeleteJob(job=unseen, propagation="Foreground", reason=reasons.SUPERSEDED)


def test_job_of_the_start_that_waits_for_the_live_run_to_end_waits_too() -> None:
    """A second writer made it; recorded beside the live run it would be called superseded, and nothing would start."""
    live = make_run("r1", Phase.STOPPING, reason=reasons.SUPERSEDED)
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r2"), status=make_status(live))
    ending, wanted = make_job("r1", deleted_at=NOW), make_job("r2", uid="job-2")
    assert isinstance(plan_after_writes(make_world(diemjob, ending, wanted, is_live=True)), Wait)

    world = write(make_world(diemjob, wanted, is_live=True))
    assert plan_run(world).id == "r2"


def test_finished_unseen_job_beside_a_live_run_becomes_history_with_its_own_end() -> None:
    finished = make_job("r2", uid="job-2", finish="Complete", finished_at=seconds_ago(5))
    diemjob = make_diemjob(state=State.RUNNING, status=make_status(make_run("r1", Phase.RUNNING)))

    status = plan_status(make_world(diemjob, make_job("r1", ready=1), finished))

    assert [(run.id, run.phase, run.completed_at) for run in status.runs] == [("r2", Phase.COMPLETED, seconds_ago(5))]


def test_unfinished_job_goes_before_finished_ones_and_later_runs_before_earlier() -> None:
    jobs = (
        make_job("r1", uid="job-1", number=1, finish="Complete"),
        make_job("r4", uid="job-4", number=4, finish="Failed"),
        make_job("r2", uid="job-2", number=2),
        make_job("r3", uid="job-3", number=3),
    )

    status = plan_status(make_world(make_diemjob(state=State.RUNNING), *jobs, is_live=True))

    assert status.run is not None
    assert (status.run.id, status.run.phase) == ("r3", Phase.PENDING)
    assert [(run.id, run.phase) for run in status.runs] == [
        ("r2", Phase.STOPPED),
        ("r4", Phase.FAILED),
        ("r1", Phase.COMPLETED),
    ]
    assert all(is_seen(status, RunId(run_id)) for run_id in ("r1", "r2", "r3", "r4"))


def test_start_by_state_that_was_found_raises_state_starts() -> None:
    status = plan_status(make_world(make_diemjob(state=State.RUNNING), make_job("state-3")))

    assert (status.state_starts, status.observed_state) == (3, State.RUNNING)


def test_unseen_job_under_stopped_is_recorded_as_stopping() -> None:
    run = plan_run(make_world(make_diemjob(state=State.STOPPED), make_job("r1")))

    assert (run.phase, run.reason) == (Phase.STOPPING, reasons.STOP_REQUESTED)


def test_job_that_vanished_before_it_was_recorded_is_recorded_and_not_made_again() -> None:
    attempt = make_attempt(PostOutcome.CREATED, job=make_job("r1"))
    world = make_world(WANTED, attempt=attempt)

    run = plan_run(world)

    assert (run.id, run.phase, run.job_uid) == ("r1", Phase.PENDING, "job-1")
    assert isinstance(plan(write(world)), ObserveLive)
    ended = plan_run(msgspec.structs.replace(write(world), is_live=True))
    assert (ended.phase, ended.reason) == (Phase.FAILED, reasons.JOB_DELETED)


@pytest.mark.parametrize(
    ("status", "run_id"),
    [
        pytest.param(make_status(make_run("r0", Phase.SUBMITTED)), "r0", id="another run is live"),
        pytest.param(make_status(make_run("r1", Phase.COMPLETED)), "r1", id="recorded already"),
    ],
)
def test_vanished_job_is_not_recorded_over_another_run(status: DiemJobStatus, run_id: str) -> None:
    diemjob = make_diemjob(run=make_request("r1"), status=status)
    attempt = make_attempt(PostOutcome.CREATED, "r1", job=make_job("r1"))

    world = make_world(diemjob, attempt=attempt, is_live=True)

    assert plan_run(world).id == run_id


def make_over(run_id: str = "r1") -> DiemJob:
    return make_diemjob(state=State.RUNNING, status=make_status(make_run(run_id, Phase.STOPPED)))


def test_job_of_a_known_run_that_is_not_live_is_deleted() -> None:
    stray = make_job("r1")

    step = plan(make_world(make_over(), stray))

    assert step == DeleteJob(job=stray, propagation="Foreground", reason=reasons.SUPERSEDED)


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_job("r1", deleted_at=NOW), id="being deleted already"),
        pytest.param(make_job("r1", finish="Complete"), id="finished"),
        pytest.param(make_foreign_job(), id="without a run id"),
    ],
)
def test_job_that_ends_by_itself_or_is_not_ours_is_not_deleted(job: Job) -> None:
    assert not isinstance(plan_after_writes(make_world(make_over(), job)), DeleteJob)


def test_job_without_a_run_id_is_not_recorded() -> None:
    status = plan_status(make_world(make_diemjob(), make_foreign_job()))

    assert (status.run, status.runs) == (None, ())


def test_second_job_of_the_live_run_is_deleted() -> None:
    status = make_status(make_run("r1", Phase.RUNNING))
    own, second = make_job("r1", ready=1), make_job("r1", uid="job-2")

    step = plan(make_world(make_diemjob(state=State.RUNNING, status=status), own, second))

    assert step == DeleteJob(job=second, propagation="Foreground", reason=reasons.SUPERSEDED)
