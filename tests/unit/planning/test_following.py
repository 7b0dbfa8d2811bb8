"""The live run is reported as its Job fares, and ended when it has to end."""

from datetime import datetime, timedelta

import msgspec
import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJob, Phase, RunStatus, State
from diem_operator.model.job import Job
from diem_operator.model.metadata import Condition
from diem_operator.planning.plan import plan
from diem_operator.planning.statuses import LOST_REQUEST
from diem_operator.planning.steps import CreateJob, DeleteJob, InspectPods, ObserveLive, Wait
from diem_operator.planning.world import Inspection, PostOutcome, World
from tests.builders import (
    NOW,
    make_attempt,
    make_diemjob,
    make_job,
    make_request,
    make_run,
    make_status,
    make_straggler,
    make_world,
    seconds_ago,
)
from tests.unit.planning.worlds import find_condition, plan_after_writes, plan_run, plan_status, true_conditions, write

SUSPENDED = "the Job is suspended, for example until a queue admits it"


def make_live(run: RunStatus, *, state: State | None = State.RUNNING) -> DiemJob:
    return make_diemjob(state=state, run=make_request("r1"), status=make_status(run))


def make_inspection(
    reason: str = "", message: str = "", *, job_uid: str = "job-1", at: datetime = NOW, blocker: str = ""
) -> Inspection:
    return Inspection(job_uid=job_uid, at=at, reason=reason, message=message, deletion_blocker=blocker)


def with_job(world: World, *jobs: Job) -> World:
    return msgspec.structs.replace(world, jobs=jobs)


def seen_live(world: World) -> World:
    """Return the world as the API server itself has just told it."""
    return msgspec.structs.replace(world, is_live=True)


UNSCHEDULABLE = make_inspection(reasons.POD_UNSCHEDULABLE, "no node")
RUNNING_POD = Inspection(job_uid="job-1", at=NOW, has_running_pod=True)


@pytest.mark.parametrize(
    ("job", "inspection", "phase", "reason", "message"),
    [
        pytest.param(make_job(), None, Phase.PENDING, reasons.WAITING_FOR_POD, "", id="no pod yet"),
        pytest.param(
            make_job(), UNSCHEDULABLE, Phase.PENDING, reasons.POD_UNSCHEDULABLE, "no node", id="pod cannot run"
        ),
        pytest.param(
            make_job(), make_inspection(), Phase.PENDING, reasons.WAITING_FOR_POD, "", id="inspection finds nothing"
        ),
        pytest.param(
            make_job(),
            make_inspection(reasons.POD_UNSCHEDULABLE, "no node", job_uid="job-0"),
            Phase.PENDING,
            reasons.WAITING_FOR_POD,
            "",
            id="inspection of another Job",
        ),
        pytest.param(
            make_job(is_suspended=True), None, Phase.PENDING, reasons.JOB_SUSPENDED, SUSPENDED, id="suspended"
        ),
        pytest.param(make_job(ready=1), None, Phase.RUNNING, "", "", id="pod is ready"),
        pytest.param(make_job(), RUNNING_POD, Phase.RUNNING, "", "", id="pod runs and is not ready"),
    ],
)
def test_pending_run_tells_what_it_waits_for_until_a_pod_runs(
    job: Job, inspection: Inspection | None, phase: Phase, reason: str, message: str
) -> None:
    world = make_world(make_live(make_run("r1", Phase.PENDING)), job, inspection=inspection)

    run = plan_run(world)

    assert (run.phase, run.reason, run.message) == (phase, reason, message)


def test_running_pod_is_told_with_the_start_of_its_job() -> None:
    world = make_world(make_live(make_run("r1", Phase.PENDING)), make_job(ready=1, start_time=seconds_ago(4)))

    assert plan_run(world).started_at == seconds_ago(4)


def test_run_stays_running_while_its_pod_is_replaced() -> None:
    world = write(make_world(make_live(make_run("r1", Phase.RUNNING)), make_job(ready=0)))

    assert plan(world) == Wait(seconds=None)


def test_run_that_is_suspended_again_is_pending() -> None:
    run = plan_run(make_world(make_live(make_run("r1", Phase.RUNNING)), make_job(is_suspended=True)))

    assert (run.phase, run.reason, run.message) == (Phase.PENDING, reasons.JOB_SUSPENDED, SUSPENDED)


def test_reason_an_earlier_leader_found_stays_until_the_pods_are_looked_up_again() -> None:
    live = make_run("r1", Phase.PENDING, reason=reasons.POD_UNSCHEDULABLE, message="no node")
    world = make_world(make_live(live), make_job())

    assert plan_run(world) == live
    assert plan_run(msgspec.structs.replace(world, inspection=make_inspection())).reason == reasons.WAITING_FOR_POD


def test_job_that_is_no_longer_suspended_waits_for_its_pod() -> None:
    live = make_run("r1", Phase.PENDING, reason=reasons.JOB_SUSPENDED, message=SUSPENDED)

    run = plan_run(make_world(make_live(live), make_job()))

    assert (run.phase, run.reason, run.message) == (Phase.PENDING, reasons.WAITING_FOR_POD, "")


def make_failed_job(**condition: str) -> Job:
    job = make_job(finish="Failed", finished_at=seconds_ago(2))
    failed = msgspec.structs.replace(job.status.conditions[0], **condition)
    return msgspec.structs.replace(job, status=msgspec.structs.replace(job.status, conditions=(failed,)))


def make_job_without_finish_time() -> Job:
    job = make_job(finish="Complete")
    condition = Condition(type="Complete", status="True")
    return msgspec.structs.replace(job, status=msgspec.structs.replace(job.status, conditions=(condition,)))


@pytest.mark.parametrize(
    ("job", "phase", "reason", "message", "completed_at"),
    [
        pytest.param(
            make_job(finish="Complete", finished_at=seconds_ago(2), completion_time=seconds_ago(3)),
            Phase.COMPLETED,
            reasons.COMPLETED,
            "",
            seconds_ago(3),
            id="complete",
        ),
        pytest.param(
            make_failed_job(reason="BackoffLimitExceeded", message="too often"),
            Phase.FAILED,
            "BackoffLimitExceeded",
            "too often",
            seconds_ago(2),
            id="failed",
        ),
        pytest.param(
            make_failed_job(), Phase.FAILED, reasons.JOB_FAILED, "", seconds_ago(2), id="failed without a reason"
        ),
        pytest.param(
            make_job_without_finish_time(), Phase.COMPLETED, reasons.COMPLETED, "", NOW, id="complete without a time"
        ),
    ],
)
def test_finished_job_ends_the_run_as_it_ended(
    job: Job, phase: Phase, reason: str, message: str, completed_at: datetime
) -> None:
    started = make_run("r1", Phase.RUNNING, started_at=seconds_ago(9))
    world = make_world(make_live(started), job)

    status = plan_status(world)

    assert status.run is not None
    assert (status.run.phase, status.run.reason, status.run.message) == (phase, reason, message)
    assert (status.run.started_at, status.run.completed_at) == (seconds_ago(9), completed_at)
    assert status.runs == (status.run,)


def test_submitted_run_is_bound_to_the_job_that_bears_its_id() -> None:
    run = plan_run(make_world(make_live(make_run("r1", Phase.SUBMITTED)), make_job(uid="job-5")))

    assert (run.phase, run.job_uid) == (Phase.PENDING, "job-5")


def make_ending(kind: str, run: RunStatus) -> DiemJob:
    """Return a DiemJob whose live run has to end: by state, by an API stop, or for a new id."""
    status = make_status(run)
    if kind == "state":
        return make_diemjob(state=State.STOPPED, run=make_request("r1"), status=status)
    if kind == "stop":
        return make_diemjob(state=State.RUNNING, run=make_request("r1", is_stopped=True), status=status)
    return make_diemjob(state=State.RUNNING, run=make_request("r2"), status=status)


ENDINGS = [
    pytest.param("state", reasons.STOP_REQUESTED, id="state stopped"),
    pytest.param("stop", reasons.STOP_REQUESTED, id="run.stop under state running"),
    pytest.param("new id", reasons.SUPERSEDED, id="superseded by a new id"),
]


@pytest.mark.parametrize(("kind", "reason"), ENDINGS)
@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING])
def test_run_that_must_end_is_stopping_first_and_then_its_job_is_deleted(kind: str, reason: str, phase: Phase) -> None:
    job = make_job()
    world = make_world(make_ending(kind, make_run("r1", phase)), job)

    run = plan_run(world)

    assert (run.phase, run.reason, run.message) == (Phase.STOPPING, reason, "")
    assert plan(write(world)) == DeleteJob(job=job, propagation="Foreground", reason=reason)


@pytest.mark.parametrize(("kind", "reason"), ENDINGS)
def test_stopping_run_is_stopped_only_when_a_live_read_shows_its_job_gone(kind: str, reason: str) -> None:
    stopping = make_run("r1", Phase.STOPPING, reason=reason)
    deleting = write(make_world(make_ending(kind, stopping), make_job(deleted_at=NOW)))

    assert plan(deleting) == Wait(seconds=60)
    assert plan(with_job(deleting)) == ObserveLive(reason="run r1 ends as its Job is absent")
    ended = plan_run(seen_live(with_job(deleting)))
    assert (ended.phase, ended.reason, ended.completed_at) == (Phase.STOPPED, reason, NOW)


def test_new_run_starts_when_the_superseded_one_is_gone() -> None:
    stopping = make_run("r1", Phase.STOPPING, reason=reasons.SUPERSEDED)
    world = seen_live(make_world(make_ending("new id", stopping)))

    step = plan(write(world))

    assert isinstance(step, CreateJob)
    assert step.request.id == "r2"


@pytest.mark.parametrize(("kind", "reason"), ENDINGS)
def test_run_that_must_end_before_it_has_a_job_is_stopped_after_a_live_read(kind: str, reason: str) -> None:
    world = make_world(make_ending(kind, make_run("r1", Phase.SUBMITTED)))

    assert isinstance(plan(world), ObserveLive)
    ended = plan_run(seen_live(world))
    assert (ended.id, ended.phase, ended.reason) == ("r1", Phase.STOPPED, reason)


@pytest.mark.parametrize(("kind", "reason"), ENDINGS)
@pytest.mark.parametrize("phase", [Phase.SUBMITTED, Phase.RUNNING, Phase.STOPPING])
def test_run_is_not_over_while_a_post_may_still_make_its_job(kind: str, reason: str, phase: Phase) -> None:
    live = make_run("r1", phase, reason=reason if phase is Phase.STOPPING else "")
    world = make_world(make_ending(kind, live), straggler=make_straggler())
    assert isinstance(plan(world), ObserveLive)

    stopping = write(seen_live(world))
    assert stopping.live is not None
    assert (stopping.live.phase, stopping.live.reason) == (Phase.STOPPING, reason)
    assert "may have made its Job again" in stopping.live.message
    assert find_condition(stopping.diemjob.status, "Reconciling").reason == reasons.STOPPING
    assert plan(stopping) == Wait(seconds=20)

    ended = plan_run(msgspec.structs.replace(seen_live(stopping), straggler=None))
    assert (ended.phase, ended.reason) == (Phase.STOPPED, reason)


def test_what_people_change_is_seen_while_a_post_may_still_make_a_job() -> None:
    stopping = make_run("r1", Phase.STOPPING, reason=reasons.JOB_DELETED, message=LOST_REQUEST)
    diemjob = make_diemjob(state=State.STOPPED, run=make_request("r1"), status=make_status(stopping))

    assert plan_status(make_world(diemjob, straggler=make_straggler())).observed_state is State.STOPPED


@pytest.mark.parametrize(("kind", "reason"), ENDINGS)
@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.STOPPING])
def test_run_is_not_over_while_its_job_is_there_once_more(kind: str, reason: str, phase: Phase) -> None:
    live = make_run("r1", phase, reason=reason if phase is Phase.STOPPING else "")
    world = seen_live(make_world(make_ending(kind, live), make_job(uid="job-2", deleted_at=NOW)))

    stopping = write(world)
    assert stopping.live is not None
    assert (stopping.live.phase, stopping.live.reason) == (Phase.STOPPING, reason)
    assert plan(stopping) == Wait()
    assert plan_run(seen_live(with_job(stopping))).phase is Phase.STOPPED


def test_job_that_is_adopted_after_all_takes_that_message_away() -> None:
    stopping = make_run("r1", Phase.STOPPING, reason=reasons.STOP_REQUESTED, message=LOST_REQUEST, job_uid="")

    assert plan_run(make_world(make_ending("state stopped", stopping), make_job())).message == ""


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.STOPPING])
def test_job_that_finished_before_it_was_deleted_completes_the_run(phase: Phase) -> None:
    live = make_run("r1", phase, reason=reasons.STOP_REQUESTED)
    world = make_world(make_ending("state", live), make_job(finish="Complete"))

    run = plan_run(world)

    assert (run.phase, run.reason) == (Phase.COMPLETED, reasons.COMPLETED)


def test_job_that_finishes_while_it_is_deleted_for_a_stop_leaves_the_run_stopping() -> None:
    stopping = make_run("r1", Phase.STOPPING, reason=reasons.STOP_REQUESTED)
    job = make_job(finish="Failed", deleted_at=NOW)
    world = write(make_world(make_ending("state", stopping), job))

    assert world.live == stopping
    assert isinstance(plan(world), Wait)


def test_finished_job_that_somebody_deletes_ends_the_run_as_it_finished() -> None:
    world = make_world(make_live(make_run("r1", Phase.RUNNING)), make_job(finish="Complete", deleted_at=NOW))

    assert plan_run(world).phase is Phase.COMPLETED


def test_stop_is_not_undone_by_a_spec_that_wants_the_run_again() -> None:
    job = make_job(ready=1)
    world = make_world(make_live(make_run("r1", Phase.STOPPING, reason=reasons.STOP_REQUESTED)), job)

    assert plan(world) == DeleteJob(job=job, propagation="Foreground", reason=reasons.STOP_REQUESTED)


def test_job_deleted_by_somebody_else_fails_the_run_once_it_is_gone() -> None:
    world = make_world(make_live(make_run("r1", Phase.RUNNING)), make_job(deleted_at=NOW))

    stopping = plan_run(world)

    assert (stopping.phase, stopping.reason) == (Phase.STOPPING, reasons.JOB_DELETED)
    ended = plan_run(seen_live(with_job(write(world))))
    assert (ended.phase, ended.reason) == (Phase.FAILED, reasons.JOB_DELETED)
    assert ended.message == "the Job was deleted by someone else; it is not started again"


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING])
def test_job_that_is_gone_fails_the_run_after_a_live_read_and_is_not_made_again(phase: Phase) -> None:
    world = make_world(make_live(make_run("r1", phase)))

    assert isinstance(plan(world), ObserveLive)
    run = plan_run(seen_live(world))
    assert (run.phase, run.reason) == (Phase.FAILED, reasons.JOB_DELETED)
    assert not isinstance(plan_after_writes(seen_live(world)), CreateJob)


def test_job_with_the_name_and_id_of_the_run_but_another_uid_is_not_its_job() -> None:
    other = make_job(uid="job-2", deleted_at=NOW)

    run = plan_run(seen_live(make_world(make_live(make_run("r1", Phase.RUNNING)), other)))

    assert (run.phase, run.reason, run.job_uid) == (Phase.STOPPING, reasons.JOB_DELETED, "job-1")


def test_job_of_the_live_run_is_no_unseen_one_whatever_id_is_written_onto_it() -> None:
    edited = make_job("other", ready=1)

    status = plan_status(make_world(make_live(make_run("r1", Phase.PENDING)), edited))

    assert status.run is not None
    assert (status.run.id, status.run.phase, status.runs) == ("r1", Phase.RUNNING, ())


def test_submitted_run_whose_post_succeeded_is_not_posted_again() -> None:
    attempt = make_attempt(PostOutcome.CREATED, job=make_job())
    world = make_world(make_live(make_run("r1", Phase.SUBMITTED)), attempt=attempt)

    assert isinstance(plan(world), ObserveLive)
    assert plan_run(seen_live(world)).reason == reasons.JOB_DELETED


@pytest.mark.parametrize("attempt_id", [None, "r0"], ids=["nothing remembered", "another run's POST remembered"])
def test_submitted_run_without_a_job_is_posted(attempt_id: str | None) -> None:
    attempt = None if attempt_id is None else make_attempt(PostOutcome.CREATED, attempt_id)

    step = plan(make_world(make_live(make_run("r1", Phase.SUBMITTED)), attempt=attempt))

    assert isinstance(step, CreateJob)


def test_submitted_run_that_was_taken_out_of_the_spec_never_started() -> None:
    diemjob = make_diemjob(state=State.RUNNING, status=make_status(make_run("r1", Phase.SUBMITTED)))
    world = make_world(diemjob)

    assert isinstance(plan(world), ObserveLive)
    run = plan_run(seen_live(world))
    assert (run.phase, run.reason) == (Phase.STOPPED, reasons.NEVER_STARTED)
    assert run.message == "the request was taken out of spec.run before its Job could be created"


def make_limited(run: RunStatus, *conditions: Condition) -> DiemJob:
    status = make_status(run, conditions=conditions)
    return make_diemjob(state=State.RUNNING, run=make_request("r1"), status=status, start_deadline_seconds=60)


def test_run_whose_pod_is_late_is_stopped_and_fails() -> None:
    job = make_job(created_at=seconds_ago(60))
    world = make_world(make_limited(make_run("r1", Phase.PENDING)), job, inspection=make_inspection())

    stopping = plan_run(world)

    assert (stopping.phase, stopping.reason) == (Phase.STOPPING, reasons.START_DEADLINE_EXCEEDED)
    assert isinstance(plan(write(world)), DeleteJob)
    ended = plan_run(seen_live(with_job(write(world))))
    assert (ended.phase, ended.reason) == (Phase.FAILED, reasons.START_DEADLINE_EXCEEDED)
    assert ended.message == "no pod was running within spec.startDeadlineSeconds"


@pytest.mark.parametrize(
    ("phase", "job"),
    [
        pytest.param(Phase.PENDING, make_job(created_at=seconds_ago(59)), id="in time"),
        pytest.param(Phase.PENDING, make_job(created_at=seconds_ago(61), ready=1), id="pod runs at last"),
        pytest.param(Phase.RUNNING, make_job(created_at=seconds_ago(61)), id="ran already"),
    ],
)
def test_run_that_has_or_may_still_get_its_pod_is_not_late(phase: Phase, job: Job) -> None:
    run = plan_run(make_world(make_limited(make_run("r1", phase)), job, inspection=make_inspection()))

    assert run.phase in {Phase.PENDING, Phase.RUNNING}


@pytest.mark.parametrize(
    ("inspection", "is_look_due"),
    [
        pytest.param(None, True, id="never looked"),
        pytest.param(make_inspection(at=seconds_ago(2)), True, id="looked before the time was over"),
        pytest.param(make_inspection(job_uid="another"), True, id="looked at another Job"),
        pytest.param(Inspection(job_uid="job-1", at=NOW, has_failed=True), False, id="tried to look"),
    ],
)
def test_run_is_not_late_before_its_pods_were_looked_at(inspection: Inspection | None, is_look_due: bool) -> None:
    pending = make_run("r1", Phase.PENDING, reason=reasons.WAITING_FOR_POD)
    world = make_world(make_limited(pending), make_job(created_at=seconds_ago(61)), inspection=inspection)

    step = plan_after_writes(world)

    assert isinstance(step, InspectPods if is_look_due else Wait)


def test_late_run_whose_pods_are_being_looked_at_is_not_asked_about_without_end() -> None:
    pending = make_run("r1", Phase.PENDING, reason=reasons.WAITING_FOR_POD)
    world = make_world(make_limited(pending), make_job(created_at=seconds_ago(61)), is_being_inspected=True)

    assert plan_after_writes(world) == Wait()


def test_late_run_whose_pod_runs_and_is_not_ready_goes_on() -> None:
    job = make_job(created_at=seconds_ago(61))
    world = make_world(make_limited(make_run("r1", Phase.PENDING)), job, inspection=RUNNING_POD)

    assert plan_run(world).phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("finish", "phase", "reason"),
    [
        pytest.param("Complete", Phase.COMPLETED, reasons.COMPLETED, id="completes"),
        pytest.param("", Phase.STOPPING, reasons.JOB_DELETED, id="is deleted by somebody else"),
    ],
)
def test_late_run_whose_pod_runs_ends_as_what_it_is(finish: str, phase: Phase, reason: str) -> None:
    job = make_job(created_at=seconds_ago(61), finish=finish, deleted_at=NOW)

    run = plan_run(make_world(make_limited(make_run("r1", Phase.PENDING)), job, inspection=RUNNING_POD))

    assert (run.phase, run.reason) == (phase, reason)


def test_late_run_that_is_suspended_has_no_pods_to_look_at() -> None:
    job = make_job(created_at=seconds_ago(61), is_suspended=True)

    run = plan_run(make_world(make_limited(make_run("r1", Phase.PENDING)), job))

    assert (run.phase, run.reason) == (Phase.STOPPING, reasons.START_DEADLINE_EXCEEDED)


def test_run_that_gets_no_job_in_time_fails_after_a_live_read() -> None:
    waiting = Condition(type="Reconciling", status="True", last_transition_time=seconds_ago(60))
    world = make_world(make_limited(make_run("r1", Phase.SUBMITTED), waiting))

    assert isinstance(plan(world), ObserveLive)
    run = plan_run(seen_live(world))
    assert (run.phase, run.reason) == (Phase.FAILED, reasons.START_DEADLINE_EXCEEDED)


@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param((), id="never told"),
        pytest.param(
            (
                Condition(type="Ready", status="True", last_transition_time=seconds_ago(60)),
                Condition(type="Reconciling", status="False", last_transition_time=seconds_ago(60)),
            ),
            id="did not reconcile",
        ),
        pytest.param(
            (Condition(type="Reconciling", status="True", last_transition_time=NOW + timedelta(hours=1)),),
            id="clock went back",
        ),
    ],
)
def test_start_deadline_counts_only_from_when_the_run_was_recorded(conditions: tuple[Condition, ...]) -> None:
    step = plan(make_world(make_limited(make_run("r1", Phase.SUBMITTED), *conditions)))

    assert isinstance(step, CreateJob)


def make_blocked(**run: str) -> World:
    stopping = make_run("r1", Phase.STOPPING, reason=reasons.STOP_REQUESTED, **run)
    diemjob = make_diemjob(state=State.STOPPED, run=make_request("r1"), status=make_status(stopping))
    return make_world(diemjob, make_job(deleted_at=seconds_ago(61)))


def test_deletion_that_takes_long_is_looked_into() -> None:
    assert plan(make_blocked()) == InspectPods(job=make_job(deleted_at=seconds_ago(61)))


def test_what_blocks_a_deletion_is_told_and_nothing_is_forced() -> None:
    blocked = msgspec.structs.replace(make_blocked(), inspection=make_inspection(blocker="node n1 is not ready"))

    status = plan_status(blocked)

    assert status.run is not None
    assert (status.run.phase, status.run.reason) == (Phase.STOPPING, reasons.STOP_REQUESTED)
    condition = find_condition(status, "Reconciling")
    assert (condition.status, condition.reason, condition.message) == (
        "True",
        reasons.JOB_DELETION_BLOCKED,
        "node n1 is not ready",
    )
    assert true_conditions(status) == {"Reconciling"}
    assert isinstance(plan(write(blocked)), Wait)


def test_blocker_is_told_until_the_pods_are_looked_up_again() -> None:
    told = make_blocked(message="node n1 is not ready")

    assert isinstance(plan(told), InspectPods)
    assert plan_run(msgspec.structs.replace(told, inspection=make_inspection())).message == ""
