"""Which steps may stand back: none that starts or stops something, and no status that loses something by waiting."""

from typing import Any

import pytest
from msgspec.structs import replace

from diem_operator.model import reasons
from diem_operator.model.diemjob import AcceptedRequest, DiemJobStatus, Phase, State
from diem_operator.model.names import RunId
from diem_operator.planning.plan import plan
from diem_operator.planning.steps import (
    CreateJob,
    DeleteJob,
    InspectPods,
    ObserveLive,
    Step,
    Wait,
    WriteRecordedUid,
    WriteStatus,
)
from diem_operator.planning.urgency import has_time
from diem_operator.planning.world import PostOutcome, World
from tests.builders import (
    make_attempt,
    make_diemjob,
    make_job,
    make_request,
    make_run,
    make_status,
    make_world,
    seconds_ago,
)
from tests.unit.planning.worlds import plan_after_writes

FINISHED = make_job(finish="Complete", finished_at=seconds_ago(500))
SKIPPED = AcceptedRequest(id=RunId("r0"), action="start", by="apikey/2", at="2030-01-01T00:00:00Z")
OVER = make_status(make_run("r1", Phase.COMPLETED))


def running(**fields: Any) -> World:
    """Return a DiemJob that is to run, with nothing around it."""
    return make_world(make_diemjob(state=State.RUNNING, **fields))


def find_step(world: World) -> tuple[type[Step], bool]:
    """Return the kind of the next step and whether it has time."""
    step = plan(world)
    return type(step), has_time(step, world)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(
            make_world(
                make_diemjob(state=State.RUNNING, run=make_request()),
                make_job(),
                attempt=make_attempt(PostOutcome.CREATED, job=make_job()),
            ),
            id="a Job was created",
        ),
        pytest.param(
            make_world(
                make_diemjob(state=State.RUNNING),
                make_job("state-1"),
                attempt=make_attempt(PostOutcome.CREATED, "state-1", job=make_job("state-1")),
            ),
            id="a Job was created by spec.state",
        ),
        pytest.param(
            make_world(
                make_diemjob(state=State.RUNNING, status=make_status(make_run("r1", Phase.PENDING))), make_job(ready=1)
            ),
            id="a pod runs",
        ),
    ],
)
def test_status_has_time_where_its_jobs_tell_as_much(world: World) -> None:
    assert find_step(world) == (WriteStatus, True)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(make_world(make_diemjob(state=State.STOPPED, status=OVER), FINISHED), id="that stopped was seen"),
        pytest.param(
            make_world(make_diemjob(state=None, status=OVER), FINISHED), id="that spec.state was seen to be absent"
        ),
        pytest.param(
            make_world(make_diemjob(state=State.STOPPED, status=make_status(make_run("r1"))), FINISHED),
            id="the end of a run that was stopped",
        ),
        pytest.param(
            make_world(make_diemjob(state=State.STOPPED, status=make_status(make_run("r1"))), make_job()),
            id="what a DELETE waits for",
        ),
        pytest.param(
            make_world(
                make_diemjob(
                    state=State.RUNNING, run=make_request(is_stopped=True), status=make_status(make_run("r1"))
                ),
                make_job(),
            ),
            id="what the DELETE of an HTTP stop waits for",
        ),
        pytest.param(
            running(status=replace(OVER, observed_generation=0)), id="what its Job cannot tell, as it is gone"
        ),
        pytest.param(running(status=make_status(observed_generation=0)), id="what no Job can tell"),
        pytest.param(
            make_world(make_diemjob(state=State.RUNNING, status=make_status(make_run("r1"))), FINISHED),
            id="the end of a run, before which the API starts no other",
        ),
        pytest.param(
            make_world(make_diemjob(state=State.RUNNING, run=make_request()), make_job()),
            id="a Job that an earlier leader has created",
        ),
        pytest.param(
            make_world(
                make_diemjob(state=State.RUNNING, run=make_request("r2")),
                make_job("r2", uid="job-uid-2"),
                FINISHED,
                attempt=make_attempt(PostOutcome.CREATED, "r2", job=make_job("r2", uid="job-uid-2")),
            ),
            id="a Job that was created, beside one that is not remembered",
        ),
        pytest.param(running(requests=(SKIPPED,)), id="a request that came to nothing"),
        pytest.param(
            make_world(
                make_diemjob(
                    state=State.RUNNING, requests=(SKIPPED,), status=make_status(make_run("r1", Phase.PENDING))
                ),
                make_job(ready=1),
            ),
            id="that a pod runs, beside a request that came to nothing",
        ),
        pytest.param(
            replace(running(run=make_request()), attempt=make_attempt(PostOutcome.REJECTED, message="no such field")),
            id="a run that failed without a Job",
        ),
        pytest.param(
            replace(running(run=make_request()), attempt=make_attempt(PostOutcome.CREATED, job=make_job())),
            id="a Job that is gone, and that only this process knows",
        ),
        pytest.param(
            make_world(make_diemjob(state=State.RUNNING, status=make_status(make_run("r1"))), FINISHED, is_live=True),
            id="what was read for it",
        ),
        pytest.param(
            make_world(
                make_diemjob(state=State.RUNNING, run=make_request("r2"), status=make_status(make_run("r1"))), FINISHED
            ),
            id="the end of a run that the next one waits for",
        ),
        pytest.param(
            replace(
                running(run=make_request()),
                attempt=make_attempt(
                    PostOutcome.DEFERRED, failures=2, retry_in_seconds=0.2, reason=reasons.QUOTA_EXCEEDED
                ),
            ),
            id="why a Job cannot be created yet, before that is tried again",
        ),
    ],
)
def test_status_that_loses_something_or_holds_something_up_has_no_time(world: World) -> None:
    assert find_step(world) == (WriteStatus, False)


@pytest.mark.parametrize(
    ("world", "kind"),
    [
        pytest.param(running(), CreateJob, id="start"),
        pytest.param(running(status=make_status(make_run("r1"))), ObserveLive, id="a Job that is not there"),
        pytest.param(
            make_world(
                make_diemjob(state=State.STOPPED, status=make_status(make_run("r1", Phase.STOPPING))), make_job()
            ),
            DeleteJob,
            id="stop",
        ),
        pytest.param(
            make_world(
                make_diemjob(
                    state=State.RUNNING,
                    status=make_status(make_run("r1", Phase.PENDING, reason=reasons.WAITING_FOR_POD)),
                ),
                make_job(created_at=seconds_ago(500)),
            ),
            InspectPods,
            id="look at pods",
        ),
    ],
)
def test_start_and_stop_have_no_time_and_what_may_come_before_them_has_none(world: World, kind: type[Step]) -> None:
    step = plan_after_writes(world) if kind is InspectPods else plan(world)
    assert (type(step), has_time(step, world)) == (kind, False)


def test_asking_leaves_the_world_as_it_is() -> None:
    world = make_world(
        make_diemjob(state=State.RUNNING, run=make_request("r2"), status=make_status(make_run("r1"))), FINISHED
    )
    step = plan(world)
    has_time(step, world)
    assert plan(world) == step


def test_removal_of_a_finished_job_and_the_note_of_a_first_run_have_time() -> None:
    world = make_world(make_diemjob(status=OVER, job_history_limit=0), FINISHED)
    removal = plan_after_writes(world)
    assert isinstance(removal, DeleteJob)
    assert has_time(removal, world)
    assert has_time(WriteRecordedUid(), world)
    assert has_time(Wait(), world)


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(OVER, id="due"),
        pytest.param(make_status(make_run("r2", Phase.SUBMITTED), make_run("r1", Phase.COMPLETED)), id="recorded"),
    ],
)
def test_removal_of_a_finished_job_has_no_time_where_a_start_waits_for_the_quota_it_uses(status: DiemJobStatus) -> None:
    attempt = make_attempt(PostOutcome.DEFERRED, "r2", failures=1, retry_in_seconds=5)
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r2"), status=status, job_history_limit=0)
    world = make_world(diemjob, FINISHED, attempt=attempt)
    removal = plan_after_writes(world)
    assert isinstance(removal, DeleteJob)
    assert not has_time(removal, world)
