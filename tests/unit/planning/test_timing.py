"""Limits in seconds: when a start is late and when pods are worth a look."""

from datetime import datetime

import msgspec
import pytest

from diem_operator.model.diemjob import DiemJob, Phase, RunStatus, State
from diem_operator.model.job import Job
from diem_operator.model.metadata import Condition
from diem_operator.planning.timing import (
    find_inspection_seconds_left,
    find_removal_seconds_left,
    find_start_deadline_seconds_left,
    is_inspection_due,
)
from diem_operator.planning.world import Inspection
from tests.builders import NOW, make_diemjob, make_job, make_run, make_status, make_world, seconds_ago

PENDING = make_run("r1", Phase.PENDING)
SUBMITTED = make_run("r1", Phase.SUBMITTED)
STOPPING = make_run("r1", Phase.STOPPING)


def with_run(run: RunStatus, *, limit: int | None = 60, reconciling_since: datetime | None = None) -> DiemJob:
    conditions = () if reconciling_since is None else (
        Condition(type="Ready", status="True", last_transition_time=seconds_ago(9999)),
        Condition(type="Reconciling", status="True", last_transition_time=reconciling_since),
    )  # fmt: skip
    status = make_status(run, conditions=conditions)
    return make_diemjob(state=State.RUNNING, status=status, start_deadline_seconds=limit)


@pytest.mark.parametrize(
    ("diemjob", "job", "left"),
    [
        pytest.param(with_run(PENDING, limit=None), make_job(), None, id="no limit"),
        pytest.param(with_run(make_run("r1")), make_job(), None, id="runs already"),
        pytest.param(with_run(STOPPING), make_job(), None, id="ends already"),
        pytest.param(with_run(PENDING), make_job(created_at=seconds_ago(20)), 40, id="since its Job was made"),
        pytest.param(with_run(PENDING), make_job(created_at=seconds_ago(70)), -10, id="over"),
        pytest.param(with_run(SUBMITTED, reconciling_since=seconds_ago(20)), None, 40, id="since it was recorded"),
        pytest.param(
            with_run(make_run("r1", Phase.SUBMITTED, requested_at="2020-01-01T00:00:00Z")),
            None,
            60,
            id="never since requestedAt, which anybody may write",
        ),
    ],
)
def test_seconds_until_the_start_deadline(diemjob: DiemJob, job: Job | None, left: float | None) -> None:
    run = diemjob.status.run
    assert run is not None

    world = make_world(diemjob, *([] if job is None else [job]))

    assert find_start_deadline_seconds_left(world, run) == left


def looked(seconds: float, *, job_uid: str = "job-1", has_failed: bool = False) -> Inspection:
    return Inspection(job_uid=job_uid, at=seconds_ago(seconds), has_failed=has_failed)


LATE = make_job(created_at=seconds_ago(62))
"""Its start deadline was over two seconds ago."""


@pytest.mark.parametrize(
    ("run", "job", "inspection", "left"),
    [
        pytest.param(PENDING, make_job(), None, 3, id="first look"),
        pytest.param(PENDING, make_job(created_at=seconds_ago(10)), None, -7, id="first look overdue"),
        pytest.param(PENDING, make_job(created_at=seconds_ago(8)), looked(1), 2, id="second look after three seconds"),
        pytest.param(PENDING, make_job(created_at=seconds_ago(40)), looked(1), 9, id="after a quarter of the waiting"),
        pytest.param(PENDING, make_job(created_at=seconds_ago(4000)), looked(1), 59, id="once a minute at least"),
        pytest.param(PENDING, LATE, looked(3), 0, id="at the start deadline, whatever the pace"),
        pytest.param(PENDING, LATE, looked(2), 13.5, id="looked at the start deadline"),
        pytest.param(PENDING, LATE, looked(1, has_failed=True), 14.5, id="tried after the start deadline"),
        pytest.param(PENDING, make_job(created_at=seconds_ago(4)), looked(1, job_uid="x"), -1, id="another Job"),
        pytest.param(PENDING, make_job(created_at=seconds_ago(4)), looked(5), -1, id="looked before it was made"),
        pytest.param(STOPPING, make_job(deleted_at=seconds_ago(10)), None, 50, id="deletion takes a minute"),
        pytest.param(STOPPING, make_job(deleted_at=seconds_ago(10)), looked(11), 50, id="looked before the deletion"),
        pytest.param(STOPPING, make_job(deleted_at=seconds_ago(100)), looked(5), 20, id="deletion that is blocked"),
        pytest.param(make_run("r1"), make_job(), None, None, id="runs"),
        pytest.param(PENDING, make_job(is_suspended=True), None, None, id="suspended"),
        pytest.param(STOPPING, make_job(finish="Complete"), None, None, id="finished"),
    ],
)  # fmt: skip
def test_seconds_until_the_next_look_at_pods(
    run: RunStatus, job: Job, inspection: Inspection | None, left: float | None
) -> None:
    world = make_world(with_run(run), job, inspection=inspection)

    assert find_inspection_seconds_left(world, job) == left
    assert is_inspection_due(world, job) is (left is not None and left <= 0)


def test_diemjob_without_live_run_has_no_pods_to_look_at() -> None:
    assert find_inspection_seconds_left(make_world(make_diemjob()), make_job()) is None


def test_times_in_the_future_count_as_now() -> None:
    world = make_world(make_diemjob(job_history_limit=0))
    job = make_job(finish="Complete", finished_at=seconds_ago(-500))

    assert find_removal_seconds_left(world, job, is_kept=False) == 60


def test_end_without_time_counts_as_now() -> None:
    job = make_job(conditions=(Condition(type="Complete", status="True"),))

    assert find_removal_seconds_left(make_world(make_diemjob()), job, is_kept=False) == 60


def test_condition_without_job_end_is_no_limit() -> None:
    assert msgspec.convert(msgspec.to_builtins(NOW), datetime) == NOW


def test_no_further_look_at_pods_is_due_while_one_is_under_way() -> None:
    job = make_job(created_at=seconds_ago(10))
    world = make_world(with_run(PENDING), job, is_being_inspected=True)

    assert find_inspection_seconds_left(world, job) is None
    assert not is_inspection_due(world, job)
