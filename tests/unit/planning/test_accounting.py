"""Every accepted id ends up in the history, also one that starts nothing."""

import msgspec
import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import AcceptedRequest, DiemJob, DiemJobStatus, Phase, State
from diem_operator.model.names import RunId, Uid
from diem_operator.planning.ids import is_seen
from diem_operator.planning.plan import plan
from diem_operator.planning.steps import CreateJob, ObserveLive, Wait
from diem_operator.planning.world import World
from tests.builders import NOW, make_diemjob, make_job, make_request, make_run, make_status, make_straggler, make_world
from tests.unit.planning.worlds import RECORDED, plan_after_writes, plan_run, plan_status, write

NEVER_STARTED = "the request was stopped or replaced before it was started"
RESTORED = "spec.run was written for another DiemJob of this name (spec.run.targetUID)"
STATE_LOST = "status was lost; whether this request ran is unknown, and it is not started again"


def accepted(run_id: str) -> AcceptedRequest:
    return AcceptedRequest(id=RunId(run_id), action="start", by="apikey/2", at="2030-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "diemjob",
    [
        pytest.param(make_diemjob(state=State.STOPPED, run=make_request("r1")), id="under state stopped"),
        pytest.param(make_diemjob(state=State.RUNNING, run=make_request("r1", is_stopped=True)), id="with a stop"),
    ],
)
def test_request_that_is_stopped_before_it_started_is_recorded(diemjob: DiemJob) -> None:
    world = make_world(diemjob)

    run = plan_run(world)

    assert (run.id, run.phase, run.reason) == ("r1", Phase.STOPPED, reasons.NEVER_STARTED)
    assert (run.message, run.completed_at, run.requested_by) == (NEVER_STARTED, NOW, "apikey/1")
    assert not isinstance(plan_after_writes(world), CreateJob)


def test_request_is_not_over_while_a_post_may_still_make_its_job() -> None:
    diemjob = make_diemjob(state=State.STOPPED, run=make_request("r1"))

    waiting = write(make_world(diemjob, straggler=make_straggler("r1")))
    assert not is_seen(waiting.diemjob.status, RunId("r1"))
    assert plan(waiting) == Wait(seconds=20)
    for other in (make_straggler("r0"), make_straggler("r1", uid=Uid("older")), None):
        assert plan_run(make_world(diemjob, straggler=other)).phase is Phase.STOPPED


def test_other_requests_need_not_wait_for_that() -> None:
    diemjob = make_diemjob(state=State.STOPPED, run=make_request("r2"), requests=(accepted("r1"), accepted("r2")))

    status = plan_status(make_world(diemjob, straggler=make_straggler("r1")))

    assert [is_seen(status, RunId(run_id)) for run_id in ("r1", "r2")] == [False, True]


def test_replaced_requests_become_history_in_the_order_of_asking() -> None:
    requests = (accepted("r1"), accepted("r2"), accepted("r3"))
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r3"), requests=requests)

    status = plan_status(make_world(diemjob))

    assert status.run is None
    assert [(run.number, run.id, run.reason) for run in status.runs] == [
        (2, "r2", reasons.NEVER_STARTED),
        (1, "r1", reasons.NEVER_STARTED),
    ]
    assert {(run.requested_by, run.requested_at) for run in status.runs} == {("apikey/2", "2030-01-01T00:00:00Z")}
    assert not is_seen(status, RunId("r3"))


def test_request_recorded_beside_a_live_run_leaves_that_run_alone() -> None:
    live = make_run("r1", Phase.STOPPING, reason=reasons.STOP_REQUESTED)
    run = make_request("r2", is_stopped=True)
    diemjob = make_diemjob(state=State.RUNNING, run=run, status=make_status(live))

    status = plan_status(make_world(diemjob, make_job("r1", deleted_at=NOW)))

    assert status.run == live
    assert [(run.id, run.phase, run.reason) for run in status.runs] == [("r2", Phase.STOPPED, reasons.NEVER_STARTED)]


def test_request_of_another_uid_is_recorded_as_restored_and_starts_nothing() -> None:
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1", target_uid=Uid("older")))
    world = make_world(diemjob)

    status = plan_status(world)

    assert status.run is not None
    assert (status.run.phase, status.run.reason) == (Phase.STOPPED, reasons.RESTORED_REQUEST)
    assert (status.run.message, status.observed_state) == (RESTORED, State.RUNNING)
    assert not isinstance(plan_after_writes(world), CreateJob)


def make_lost(
    *run_ids: str, run: str | None = None, state: State = State.RUNNING, status: DiemJobStatus | None = None
) -> DiemJob:
    """Return a DiemJob that has run under its uid and whose status was wiped."""
    return make_diemjob(
        state=state,
        run=None if run is None else make_request(run),
        requests=tuple(accepted(run_id) for run_id in run_ids),
        annotations=RECORDED,
        status=status,
    )


def lose(diemjob: DiemJob, *run_ids: str) -> World:
    """Return the live world of a lost status, with an unfinished Job for each of these runs."""
    jobs = [make_job(run_id, uid=f"job-{run_id}", number=place) for place, run_id in enumerate(run_ids, start=1)]
    return make_world(diemjob, *jobs, is_live=True)


def test_lost_status_is_believed_only_after_a_live_read() -> None:
    world = make_world(make_lost(run="r1"), make_job("r1"))

    assert plan(world) == ObserveLive(reason="status is empty although a run was recorded under this uid")


@pytest.mark.parametrize("run", [None, "r1"], ids=["by state", "by id"])
def test_lost_status_starts_nothing(run: str | None) -> None:
    world = lose(make_lost(run=run))

    status = plan_status(world)

    assert status.observed_state is State.RUNNING
    assert plan(write(world)) == Wait(seconds=None)


def test_request_whose_fate_was_lost_is_stopped_and_said_so() -> None:
    status = plan_status(lose(make_lost("r0", "r1", "r1", run="r1")))

    assert status.run is not None
    assert (status.run.id, status.run.phase) == ("r1", Phase.STOPPED)
    assert (status.run.reason, status.run.message) == (reasons.STATE_LOST, STATE_LOST)
    assert is_seen(status, RunId("r0"))
    assert is_seen(status, RunId("r1"))


def test_jobs_that_outlived_the_status_are_adopted() -> None:
    world = lose(make_lost("r0", "r1", run="r1"), "r1")

    status = plan_status(world)

    assert status.run is not None
    assert (status.run.id, status.run.phase, status.run.job_uid) == ("r1", Phase.PENDING, "job-r1")
    assert status.runs == ()
    assert not isinstance(plan_after_writes(world), CreateJob)


def test_lost_request_beside_an_adopted_job_becomes_history() -> None:
    status = plan_status(lose(make_lost("r1", "r2", run="r2"), "r1"))

    assert status.run is not None
    assert status.run.id == "r1"
    assert [(run.id, run.reason) for run in status.runs] == [("r2", reasons.STATE_LOST)]


def test_lost_request_beside_a_finished_job_is_the_latest_run() -> None:
    world = make_world(make_lost(run="r2"), make_job("r1", finish="Complete"), is_live=True)

    status = plan_status(world)

    assert [(run.id, run.phase) for run in status.runs] == [("r2", Phase.STOPPED), ("r1", Phase.COMPLETED)]
    assert status.run == status.runs[0]


@pytest.mark.parametrize(
    "diemjob",
    [
        pytest.param(make_lost(run="r1", status=make_status()), id="status is there"),
        pytest.param(
            msgspec.structs.replace(
                make_lost(run="r1"),
                metadata=msgspec.structs.replace(make_lost().metadata, annotations={"diem.io/recorded-uid": "older"}),
            ),
            id="annotation of another uid",
        ),
    ],
)
def test_new_diemjob_is_not_taken_for_a_lost_one(diemjob: DiemJob) -> None:
    assert isinstance(plan_after_writes(make_world(diemjob)), CreateJob)
