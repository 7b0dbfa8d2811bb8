"""Which steps may stand back: never one that starts or stops something, nor a status that such a step waits for."""

import pytest

from diem_operator.model.diemjob import AcceptedRequest, Phase, State
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
from diem_operator.planning.world import World
from tests.builders import make_diemjob, make_job, make_request, make_run, make_status, make_world, seconds_ago
from tests.unit.planning.worlds import plan_after_writes

FINISHED = make_job(finish="Complete", finished_at=seconds_ago(500))
SKIPPED = AcceptedRequest(id=RunId("r0"), action="start", by="apikey/2", at="2030-01-01T00:00:00Z")
LONG_PENDING = make_job(created_at=seconds_ago(500))


def is_left(world: World) -> tuple[type[Step], bool]:
    """Return the kind of the next step and whether it has time."""
    step = plan(world)
    return type(step), has_time(step, world)


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        pytest.param(make_world(make_diemjob(state=State.RUNNING), is_live=True), (CreateJob, False), id="start"),
        pytest.param(
            make_world(
                make_diemjob(state=State.STOPPED, status=make_status(make_run("r1", Phase.STOPPING))), make_job()
            ),
            (DeleteJob, False),
            id="stop",
        ),
        pytest.param(
            make_world(make_diemjob(state=State.RUNNING, status=make_status(make_run("r1")))),
            (ObserveLive, False),
            id="a Job that is not there",
        ),
        pytest.param(
            make_world(make_diemjob(state=State.STOPPED, status=make_status(make_run("r1"))), make_job()),
            (WriteStatus, False),
            id="what a DELETE waits for",
        ),
        pytest.param(
            make_world(make_diemjob(state=State.RUNNING, status=make_status(make_run("r1"))), FINISHED),
            (WriteStatus, True),
            id="the end of a run",
        ),
        pytest.param(
            make_world(
                make_diemjob(state=State.RUNNING, requests=(SKIPPED,), status=make_status(make_run("r1"))),
                FINISHED,
                is_live=True,
            ),
            (WriteStatus, True),
            id="the end of a run, and then that another never was",
        ),
    ],
)
def test_step_has_time_unless_something_starts_or_stops_by_it(world: World, expected: tuple[type[Step], bool]) -> None:
    assert is_left(world) == expected


def test_end_of_a_run_has_no_time_when_the_next_start_waits_for_it() -> None:
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r2"), status=make_status(make_run("r1")))
    world = make_world(diemjob, FINISHED, is_live=True)
    assert is_left(world) == (WriteStatus, False)


def test_asking_leaves_the_world_as_it_is() -> None:
    world = make_world(
        make_diemjob(state=State.RUNNING, run=make_request("r2"), status=make_status(make_run("r1"))), FINISHED
    )
    step = plan(world)
    has_time(step, world)
    assert plan(world) == step


def test_removal_of_a_finished_job_and_the_note_of_a_first_run_have_time() -> None:
    status = make_status(make_run("r1", Phase.COMPLETED))
    world = make_world(make_diemjob(status=status, job_history_limit=0), FINISHED)
    removal = plan_after_writes(world)
    assert isinstance(removal, DeleteJob)
    assert has_time(removal, world)
    assert has_time(WriteRecordedUid(), world)


def test_look_at_pods_and_waiting_have_time() -> None:
    world = make_world(make_diemjob(), LONG_PENDING)
    assert has_time(InspectPods(job=LONG_PENDING), world)
    assert has_time(Wait(), world)
