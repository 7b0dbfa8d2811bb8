"""Mistakes that the simulation and reviews found in the run rules, each with the shortest history that showed it."""

import msgspec
import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import AcceptedRequest, DiemJobStatus, Phase, RunRequest, ScheduleStatus, State
from diem_operator.model.names import ANNOTATION_RECORDED_UID, MAX_REQUESTS, RunId
from diem_operator.planning.commands import Caller, Refusal, StartCommand, plan_start
from diem_operator.planning.ids import hash_of, is_seen
from diem_operator.planning.plan import plan
from diem_operator.planning.rules import displayed_phase
from diem_operator.planning.statuses import settle
from diem_operator.planning.steps import DeleteJob, Wait, WriteStatus
from diem_operator.planning.timing import find_start_deadline_seconds_left
from diem_operator.planning.world import World
from tests.builders import (
    NOW,
    UID,
    make_diemjob,
    make_job,
    make_request,
    make_run,
    make_status,
    make_world,
    seconds_ago,
)

WAITING = make_run("r1", Phase.PENDING, reason=reasons.WAITING_FOR_POD)


def plan_status(world: World) -> DiemJobStatus:
    step = plan(world)
    assert isinstance(step, WriteStatus), step
    return step.status


def settled(world: World) -> World:
    """Return the world with a status that needs no write but for what its Jobs tell."""
    diemjob = msgspec.structs.replace(world.diemjob, status=settle(world, world.diemjob.status))
    return msgspec.structs.replace(world, diemjob=diemjob)


def test_toggle_during_a_stop_does_not_blame_somebody_else() -> None:
    """The Job was deleted before Stopping was written; state became running in between, and the run JobDeleted."""
    diemjob = make_diemjob(state=State.STOPPED, status=make_status(make_run("state-1")))
    job = make_job("state-1", ready=1)

    status = plan_status(make_world(diemjob, job))

    assert status.run is not None
    assert (status.run.phase, status.run.reason) == (Phase.STOPPING, reasons.STOP_REQUESTED)
    toggled = make_diemjob(state=State.RUNNING, status=status)
    assert plan(make_world(toggled, make_job("state-1", deleted_at=NOW))) == Wait(seconds=60)


def test_start_by_state_is_answered_although_an_id_has_become_due() -> None:
    """Its Job was recorded while an id was due; once that was taken out of the spec, state started a second run."""
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1"))

    status = plan_status(make_world(diemjob, make_job("state-1")))

    assert (status.observed_state, status.state_starts) == (State.RUNNING, 1)


def test_restart_writes_nothing_about_a_run_that_is_pending_for_a_known_reason() -> None:
    """A new leader wrote WaitingForPod over the reason, looked at the pods, and wrote the reason back."""
    pending = make_run("r1", Phase.PENDING, reason=reasons.POD_UNSCHEDULABLE, message="no node")
    diemjob = make_diemjob(state=State.RUNNING, run=make_request(), status=make_status(pending))

    assert plan(settled(make_world(diemjob, make_job()))) == Wait(seconds=3)


def test_restart_writes_nothing_about_a_deletion_that_is_known_to_be_blocked() -> None:
    blocked = make_run("r1", Phase.STOPPING, reason=reasons.STOP_REQUESTED, message="pod p does not end")
    diemjob = make_diemjob(state=State.STOPPED, run=make_request(), status=make_status(blocked))

    assert plan(settled(make_world(diemjob, make_job(deleted_at=seconds_ago(30))))) == Wait(seconds=30)


def test_start_time_of_a_pending_job_costs_no_write() -> None:
    """It made four status PATCHes of the three that a run may cost."""
    diemjob = make_diemjob(state=State.RUNNING, run=make_request(), status=make_status(WAITING))

    assert plan(settled(make_world(diemjob, make_job(start_time=NOW)))) == Wait(seconds=3)


def test_late_job_is_not_taken_for_the_one_that_was_deleted() -> None:
    """A deposed leader's POST landed after somebody had deleted the live run's Job: same name, another uid."""
    diemjob = make_diemjob(state=State.RUNNING, run=make_request(), status=make_status(make_run()))
    late = make_job(uid="late")

    assert plan(make_world(diemjob, late)) == DeleteJob(job=late, propagation="Foreground", reason=reasons.SUPERSEDED)


def test_run_whose_pod_runs_by_now_is_not_ended_by_its_start_deadline() -> None:
    """A leader that came back after the deadline deleted Jobs whose pods had run in time."""
    diemjob = make_diemjob(
        state=State.RUNNING, run=make_request(), status=make_status(WAITING), start_deadline_seconds=60
    )

    run = plan_status(make_world(diemjob, make_job(created_at=seconds_ago(600), ready=1))).run

    assert run is not None
    assert run.phase is Phase.RUNNING


def test_start_deadline_does_not_count_from_what_a_person_wrote() -> None:
    """A new id in a copied manifest failed at once because of the requestedAt that was copied with it."""
    run = make_run(phase=Phase.SUBMITTED, requested_at="2020-01-01T00:00:00Z")
    diemjob = make_diemjob(state=State.RUNNING, run=make_request(), start_deadline_seconds=60)
    world = settled(make_world(msgspec.structs.replace(diemjob, status=make_status(run))))

    assert find_start_deadline_seconds_left(world, run) == 60


def test_finished_job_beside_a_run_that_stops_does_not_enter_the_history_as_stopping() -> None:
    diemjob = make_diemjob(state=State.STOPPED, status=make_status(make_run("live")))
    late = make_job("late", uid="late", finish="Failed", deleted_at=NOW)

    status = plan_status(make_world(diemjob, make_job("live"), late))

    assert [(run.id, run.phase) for run in status.runs] == [("late", Phase.FAILED)]


@pytest.mark.parametrize("bearer", ["spec.run", "spec.requests", "a Job"])
def test_id_is_not_forgotten_while_something_bears_it(bearer: str) -> None:
    """After 32 further ids it was new again: spec.run started, a request was NeverStarted, a Job the latest run."""
    others = tuple(hash_of(f"other-{number}") for number in range(31))
    recent = (*others, hash_of("forgotten"), hash_of("borne"))
    status = make_status(recent_run_ids=recent, observed_state=State.STOPPED)
    entry = AcceptedRequest(id=RunId("borne"), action="start")
    diemjob = make_diemjob(
        state=State.RUNNING,
        run=make_request("borne") if bearer == "spec.run" else None,
        requests=(entry,) if bearer == "spec.requests" else (),
        status=status,
    )
    jobs = [make_job("borne", uid="old", finish="Complete")] if bearer == "a Job" else []

    after = plan_status(make_world(diemjob, make_job("state-1"), *jobs))

    assert is_seen(after, RunId("borne"))
    assert not is_seen(after, RunId("forgotten"))


def test_status_is_lost_although_the_schedule_has_written_to_it_since() -> None:
    """A schedule's note in the empty status hid the loss, and the last run ran again."""
    schedule = ScheduleStatus(hash="h")
    diemjob = make_diemjob(
        state=State.RUNNING,
        run=make_request(),
        annotations={ANNOTATION_RECORDED_UID: str(UID)},
        status=DiemJobStatus(schedule=schedule),
    )

    status = plan_status(make_world(diemjob, is_live=True))

    assert status.run is not None
    assert (status.run.reason, status.schedule) == (reasons.STATE_LOST, schedule)


def test_run_that_a_new_id_supersedes_is_shown_as_stopping() -> None:
    """After an accepted start a caller saw the old run as Running, as if nothing had been accepted."""
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r2"), status=make_status(make_run("r1")))

    assert displayed_phase(diemjob) is Phase.STOPPING


def test_start_is_not_pushed_out_of_the_record_by_the_stop_of_its_own_run() -> None:
    """With only the stop left, a replay of the start would have been taken for a new one."""
    ids = ["r1", *(f"r-{number}" for number in range(MAX_REQUESTS - 2))]
    starts = tuple(AcceptedRequest(id=RunId(run_id), action="start") for run_id in ids)
    requests = (*starts, AcceptedRequest(id=RunId("r1"), action="stop"))
    diemjob = make_diemjob(state=State.STOPPED, run=make_request("r1", is_stopped=True), requests=requests)

    outcome = plan_start(diemjob, StartCommand(run_id=RunId("new")), Caller(requested_by="apikey/1", now=NOW))

    assert isinstance(outcome, Refusal)


@pytest.mark.parametrize("is_late_first", [True, False])
@pytest.mark.parametrize(
    ("run", "wanted"),
    [
        pytest.param(make_request("wanted"), "wanted", id="by id"),
        pytest.param(make_request("wanted", is_stopped=True), "wanted", id="by id, and stopped since"),
        pytest.param(None, "state-1", id="by state"),
    ],
)
def test_late_job_does_not_win_over_the_one_that_is_asked_for(
    run: RunRequest | None, wanted: str, is_late_first: bool
) -> None:
    """A deposed leader's Job was recorded as the live run, and the present leader's was deleted for it."""
    jobs = (make_job("late", uid="late"), make_job(wanted, uid="wanted"))

    ordered = jobs if is_late_first else reversed(jobs)
    status = plan_status(make_world(make_diemjob(state=State.RUNNING, run=run), *ordered, is_live=True))

    assert status.run is not None
    assert (status.run.id, [past.id for past in status.runs]) == (wanted, ["late"])
