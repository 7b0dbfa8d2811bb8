"""The plan: which policy goes first, and that a DiemJob with nothing to do costs nothing."""

import msgspec
import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import AcceptedRequest, DiemJobStatus, Phase, State
from diem_operator.model.names import RunId
from diem_operator.planning.plan import plan
from diem_operator.planning.steps import CreateJob, DeleteJob, Wait, WriteRecordedUid, WriteStatus
from diem_operator.planning.world import PostOutcome, World
from tests.builders import (
    NOW,
    make_attempt,
    make_diemjob,
    make_job,
    make_request,
    make_run,
    make_status,
    make_world,
    seconds_ago,
)
from tests.unit.planning.worlds import RECORDED, plan_after_writes, plan_run, plan_status, write


def make_idle_worlds() -> list[World]:
    completed = make_status(make_run("r1", Phase.COMPLETED))
    running = make_status(make_run("r1", Phase.RUNNING))
    finished_job = make_job("r1", finish="Complete", finished_at=seconds_ago(9999))
    return [
        make_world(make_diemjob()),
        make_world(make_diemjob(state=State.STOPPED)),
        make_world(make_diemjob(state=State.RUNNING, status=completed, annotations=RECORDED), finished_job),
        make_world(make_diemjob(state=State.RUNNING, status=running), make_job("r1", ready=1)),
    ]


@pytest.mark.parametrize("world", make_idle_worlds(), ids=["never ran", "stopped", "completed", "running"])
def test_idle_diemjob_waits_for_events_alone(world: World) -> None:
    settled = write(world)

    assert plan(settled) == Wait(seconds=None)


def test_diemjob_that_is_being_deleted_is_left_alone() -> None:
    diemjob = make_diemjob(state=State.RUNNING, run=make_request())
    metadata = msgspec.structs.replace(diemjob.metadata, deletion_timestamp=NOW)
    diemjob = msgspec.structs.replace(diemjob, metadata=metadata)

    assert plan(make_world(diemjob, make_job("other"))) == Wait()


def test_post_of_unknown_outcome_goes_before_every_other_decision() -> None:
    diemjob = make_diemjob(
        state=State.STOPPED,
        requests=(AcceptedRequest(id=RunId("r0"), action="start"),),
        annotations=RECORDED,
        status=DiemJobStatus(),
    )
    attempt = make_attempt(PostOutcome.UNKNOWN, "r1", failures=1)

    step = plan(make_world(diemjob, make_job("r2", uid="job-2"), attempt=attempt))

    assert step == CreateJob(request=attempt.request, manifest=attempt.manifest)


def test_unseen_job_is_recorded_before_a_stray_one_is_deleted() -> None:
    status = make_status(make_run("r1", Phase.COMPLETED))
    stray, unseen = make_job("r1"), make_job("r2", uid="job-2")
    world = make_world(make_diemjob(state=State.RUNNING, status=status), stray, unseen)

    assert plan_run(world).id == "r2"
    assert plan(write(world)) == DeleteJob(job=stray, propagation="Foreground", reason=reasons.SUPERSEDED)


def test_stray_job_is_deleted_before_the_live_run_is_followed() -> None:
    status = make_status(make_run("r2", Phase.PENDING, job_uid="job-2"), make_run("r1", Phase.COMPLETED))
    stray, own = make_job("r1"), make_job("r2", uid="job-2", ready=1)
    world = make_world(make_diemjob(state=State.RUNNING, status=status), stray, own)

    assert plan(world) == DeleteJob(job=stray, propagation="Foreground", reason=reasons.SUPERSEDED)


def test_ids_are_accounted_for_before_the_next_run_starts() -> None:
    requests = (AcceptedRequest(id=RunId("r1"), action="start"), AcceptedRequest(id=RunId("r2"), action="start"))
    world = make_world(make_diemjob(state=State.RUNNING, run=make_request("r2"), requests=requests))

    assert [run.id for run in plan_status(world).runs] == ["r1"]
    assert isinstance(plan(write(world)), CreateJob)


def test_run_is_started_before_old_jobs_are_removed() -> None:
    status = make_status(make_run("r1", Phase.COMPLETED))
    old = make_job("r1", finish="Complete", finished_at=seconds_ago(9999))
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r2"), status=status, job_history_limit=0)

    assert isinstance(plan(make_world(diemjob, old)), CreateJob)


def test_status_is_reported_then_old_jobs_are_removed_then_the_uid_is_noted() -> None:
    old = make_job("r1", finish="Complete", finished_at=seconds_ago(9999))
    diemjob = make_diemjob(status=make_status(make_run("r1", Phase.COMPLETED)), job_history_limit=0)
    reported = make_world(diemjob, old)

    assert isinstance(plan(reported), WriteStatus)
    assert plan_after_writes(reported) == DeleteJob(job=old, propagation="Background", reason="History")
    assert plan_after_writes(msgspec.structs.replace(reported, jobs=())) == WriteRecordedUid()
