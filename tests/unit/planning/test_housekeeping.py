"""A DiemJob that needs no run started or ended: report, remove old Jobs, note that it ran, and rest."""

from typing import Any

import msgspec
import pytest

from diem_operator.model.diemjob import DiemJob, Phase, RunStatus, State
from diem_operator.model.job import Job
from diem_operator.model.names import ANNOTATION_RECORDED_UID, Uid
from diem_operator.planning.plan import plan
from diem_operator.planning.statuses import settle
from diem_operator.planning.steps import DeleteJob, InspectPods, Wait, WriteRecordedUid
from diem_operator.planning.world import Inspection, World
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
from tests.unit.planning.expecting import plan_status

LONG_AGO = seconds_ago(10_000)


def idle(*runs: RunStatus, **fields: Any) -> DiemJob:
    """Return a DiemJob whose runs are over and told."""
    annotations = {ANNOTATION_RECORDED_UID: str(UID)}
    diemjob = make_diemjob(state=State.RUNNING, status=make_status(*runs), annotations=annotations, **fields)
    return msgspec.structs.replace(diemjob, status=settle(World(diemjob=diemjob, now=NOW), diemjob.status))


def over(number: int) -> RunStatus:
    return make_run(f"r{number}", Phase.COMPLETED, number=number)


def finished(number: int, **fields: Any) -> Job:
    known: dict[str, Any] = {"uid": f"job-{number}", "number": number, "finish": "Complete", "finished_at": LONG_AGO}
    return make_job(f"r{number}", **(known | fields))


RUNS = (over(3), over(2), over(1))
JOBS = (finished(2), finished(3), finished(1))


# Reporting


def test_idle_diemjob_needs_nothing() -> None:
    assert plan(make_world(idle(*RUNS), *JOBS)) == Wait()


def test_diemjob_that_never_ran_is_told_to_be_stopped_and_ready() -> None:
    status = plan_status(make_world(make_diemjob()))

    assert (status.phase, status.observed_generation, status.observed_state) == (Phase.STOPPED, 1, None)
    assert {condition.type: (condition.status, condition.reason) for condition in status.conditions} == {
        "Ready": ("True", "Idle"),
        "Reconciling": ("False", "Idle"),
        "Stalled": ("False", "Idle"),
    }


def test_changed_spec_is_observed_although_nothing_runs_because_of_it() -> None:
    diemjob = idle(*RUNS)
    changed = msgspec.structs.replace(diemjob, metadata=msgspec.structs.replace(diemjob.metadata, generation=2))

    assert plan_status(make_world(changed)).observed_generation == 2


def test_state_toggled_to_stopped_is_observed() -> None:
    diemjob = idle(*RUNS)
    stopped = msgspec.structs.replace(diemjob, spec=msgspec.structs.replace(diemjob.spec, state=State.STOPPED))

    assert plan_status(make_world(stopped)).observed_state is State.STOPPED


# Removing Jobs


def test_jobs_beyond_the_history_limit_are_removed_the_latest_runs_are_kept() -> None:
    step = plan(make_world(idle(*RUNS, job_history_limit=2), *JOBS))

    assert step == DeleteJob(job=JOBS[2], propagation="Background", reason="History")


@pytest.mark.parametrize(
    ("limits", "seconds_over", "expected"),
    [
        pytest.param({}, 10**6, Wait(), id="kept without limits"),
        pytest.param({"job_history_limit": 0}, 59, Wait(seconds=1), id="a minute at least"),
        pytest.param({"job_history_limit": 0}, 60, DeleteJob, id="beyond the limit"),
        pytest.param({"ttl_seconds_after_finished": 100}, 99, Wait(seconds=1), id="within the TTL"),
        pytest.param({"ttl_seconds_after_finished": 100}, 100, DeleteJob, id="after the TTL"),
        pytest.param({"ttl_seconds_after_finished": 0}, 59, Wait(seconds=1), id="TTL 0, a minute at least"),
        pytest.param(
            {"job_history_limit": 0, "ttl_seconds_after_finished": 100}, 60, DeleteJob, id="the TTL keeps nothing"
        ),
    ],
)
def test_finished_job_stays_as_long_as_its_limits_say(
    limits: dict[str, int], seconds_over: float, expected: object
) -> None:
    step = plan(make_world(idle(over(1), **limits), finished(1, finished_at=seconds_ago(seconds_over))))

    if expected is DeleteJob:
        assert isinstance(step, DeleteJob)
    else:
        assert step == expected


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(finished(1, deleted_at=NOW), id="being deleted already"),
        pytest.param(finished(1, owner_uid=Uid("older")), id="of an older uid: garbage collection"),
    ],
)
def test_job_that_goes_anyway_is_not_removed(job: Job) -> None:
    assert plan(make_world(idle(over(1), job_history_limit=0), job)) == Wait()


def test_finished_job_without_run_id_is_not_ours_to_remove() -> None:
    job = finished(1)
    bare = msgspec.structs.replace(job, metadata=msgspec.structs.replace(job.metadata, annotations={}))

    assert plan(make_world(idle(over(2), job_history_limit=0), bare)) == Wait()


def test_job_of_a_run_whose_end_is_not_written_yet_stays() -> None:
    diemjob = idle(make_run("r1"), run=make_request("r1"), job_history_limit=0)

    status = plan_status(make_world(diemjob, finished(1, uid="job-1")))

    assert status.phase is Phase.COMPLETED


# Noting that it ran


@pytest.mark.parametrize(
    ("annotation", "is_written"),
    [
        pytest.param({}, True, id="never noted"),
        pytest.param({ANNOTATION_RECORDED_UID: "older"}, True, id="restored"),
        pytest.param({ANNOTATION_RECORDED_UID: UID}, False, id="noted"),
    ],
)
def test_first_run_that_is_over_is_noted_once(annotation: dict[str, str], is_written: bool) -> None:
    diemjob = idle(over(1))
    noted = msgspec.structs.replace(diemjob, metadata=msgspec.structs.replace(diemjob.metadata, annotations=annotation))

    assert plan(make_world(noted)) == (WriteRecordedUid() if is_written else Wait())


def test_nothing_is_noted_while_the_first_run_is_live() -> None:
    diemjob = idle(make_run("r1"), run=make_request("r1"))
    bare = msgspec.structs.replace(diemjob, metadata=msgspec.structs.replace(diemjob.metadata, annotations={}))

    assert plan(make_world(bare, make_job(ready=1))) == Wait()


# Resting


def test_rest_ends_with_the_first_limit() -> None:
    pending = make_run("r9", Phase.PENDING, reason="WaitingForPod", number=9)
    diemjob = idle(pending, over(1), run=make_request("r9"), job_history_limit=0, start_deadline_seconds=100)
    job = make_job("r9", number=9, created_at=seconds_ago(50))
    world = make_world(diemjob, job, finished(1, uid="old", finished_at=seconds_ago(20)))

    assert plan(world) == InspectPods(job=job)
    assert plan(msgspec.structs.replace(world, inspection=Inspection(job_uid="job-1", at=NOW))) == Wait(seconds=12.5)


def test_diemjob_that_is_being_deleted_is_left_alone() -> None:
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1"))
    leaving = msgspec.structs.replace(
        diemjob, metadata=msgspec.structs.replace(diemjob.metadata, deletion_timestamp=NOW)
    )

    assert plan(make_world(leaving, make_job("unseen"))) == Wait()
