"""Starting a run: its Job is POSTed once, under the one name it can have, when nothing is in the way."""

import msgspec
import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJob, DiemJobStatus, JobTemplate, ParameterDeclaration, Phase, State
from diem_operator.model.job import Job
from diem_operator.model.names import ANNOTATION_RUN_NUMBER, REQUESTER_STATE, RunId, Uid
from diem_operator.planning.housekeeping import rest
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.job_manifest import build_job
from diem_operator.planning.plan import plan
from diem_operator.planning.rules import StartRequest
from diem_operator.planning.steps import CreateJob, DeleteJob, ObserveLive, Step, Wait
from diem_operator.planning.world import Attempt, PostOutcome, Straggler, World
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
    make_straggler,
    make_template,
    make_world,
    seconds_ago,
)
from tests.unit.planning.worlds import find_condition, plan_after_writes, plan_run, plan_status, true_conditions, write

OLDER_UID = Uid("5f0c7c1e-0000-4000-8000-00000000dead")
SUBMITTED = make_status(make_run("r1", Phase.SUBMITTED))
DEADLINE = 60


def make_wanted(status: DiemJobStatus | None = None) -> DiemJob:
    return make_diemjob(state=State.RUNNING, run=make_request("r1"), status=status)


def make_declaring(*parameters: ParameterDeclaration, values: dict[str, str] | None = None) -> DiemJob:
    run = make_request("r1", parameters=values or {})
    return make_diemjob(state=State.RUNNING, run=run, parameters=parameters)


def created_by(step: Step) -> CreateJob:
    assert isinstance(step, CreateJob), step
    return step


def number_of(step: Step) -> str:
    annotations: dict[str, str] = created_by(step).manifest["metadata"]["annotations"]
    return annotations[ANNOTATION_RUN_NUMBER]


def test_new_id_is_posted_under_the_one_name_its_job_can_have() -> None:
    diemjob = make_wanted()
    request = StartRequest(id=RunId("r1"), requested_by="apikey/1")

    step = plan(make_world(diemjob))

    assert step == CreateJob(request=request, manifest=build_job(diemjob, request, number=1))
    assert created_by(step).manifest["metadata"]["name"] == build_job_name(NAME, UID, RunId("r1"))


@pytest.mark.parametrize(
    ("status", "run_id"),
    [
        pytest.param(DiemJobStatus(), "state-1", id="first"),
        pytest.param(
            make_status(make_run("state-1", Phase.FAILED), state_starts=1, observed_state=State.STOPPED),
            "state-2",
            id="toggled by hand",
        ),
    ],
)
def test_state_alone_starts_the_next_run(status: DiemJobStatus, run_id: str) -> None:
    step = plan(make_world(make_diemjob(state=State.RUNNING, status=status)))

    assert created_by(step).request == StartRequest(id=RunId(run_id), requested_by=REQUESTER_STATE)


@pytest.mark.parametrize(
    "diemjob",
    [
        pytest.param(make_wanted(make_status(make_run("r1", Phase.COMPLETED))), id="finished id re-applied"),
        pytest.param(make_diemjob(state=State.RUNNING, status=make_status()), id="running was observed"),
        pytest.param(make_diemjob(run=make_request("r1")), id="id without a state"),
        pytest.param(make_diemjob(state=State.STOPPED, run=make_request("r1")), id="id under stopped"),
        pytest.param(make_diemjob(state=State.RUNNING, run=make_request("r1", is_stopped=True)), id="id stopped"),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("r1", target_uid=OLDER_UID)), id="id of another uid"
        ),
    ],
)
def test_what_is_not_due_is_not_started(diemjob: DiemJob) -> None:
    step = plan_after_writes(make_world(diemjob))

    assert not isinstance(step, CreateJob)


def test_new_run_gets_the_next_number() -> None:
    status = make_status(make_run("r0", Phase.COMPLETED, number=7))

    assert number_of(plan(make_world(make_wanted(status)))) == "8"


def test_run_recorded_as_submitted_keeps_its_number() -> None:
    status = make_status(make_run("r1", Phase.SUBMITTED, number=4))

    assert number_of(plan(make_world(make_wanted(status)))) == "4"


def test_submitted_start_by_state_is_posted_although_spec_has_no_run() -> None:
    status = make_status(make_run("state-3", Phase.SUBMITTED), state_starts=3)

    step = plan(make_world(make_diemjob(state=State.RUNNING, status=status)))

    assert created_by(step).request == StartRequest(id=RunId("state-3"), requested_by=REQUESTER_STATE)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        pytest.param(PostOutcome.REJECTED, reasons.JOB_REJECTED, id="rejected"),
        pytest.param(PostOutcome.NAME_TAKEN, reasons.JOB_NAME_TAKEN, id="name taken"),
    ],
)
@pytest.mark.parametrize("status", [None, SUBMITTED], ids=["unrecorded", "submitted"])
def test_job_that_can_never_be_made_fails_the_run(
    outcome: PostOutcome, reason: str, status: DiemJobStatus | None
) -> None:
    attempt = make_attempt(outcome, message="so said the API server", failures=1)
    world = make_world(make_wanted(status), attempt=attempt)

    run = plan_run(world)

    assert (run.id, run.number, run.phase) == ("r1", 1, Phase.FAILED)
    assert (run.reason, run.message, run.completed_at) == (reason, "so said the API server", NOW)
    assert true_conditions(plan_status(world)) == {"Stalled"}
    assert not isinstance(plan_after_writes(world), CreateJob)


def test_outcome_of_another_runs_post_is_no_obstacle() -> None:
    attempt = make_attempt(PostOutcome.REJECTED, "r0", message="wrong")

    assert created_by(plan(make_world(make_wanted(), attempt=attempt))).request.id == "r1"


def make_deferred(*, failures: int = 1, retry_in_seconds: float = 0) -> Attempt:
    return make_attempt(
        PostOutcome.DEFERRED,
        reason=reasons.QUOTA_EXCEEDED,
        message="exceeded quota",
        failures=failures,
        retry_in_seconds=retry_in_seconds,
    )


def test_first_deferral_waits_and_is_not_told() -> None:
    world = make_world(make_wanted(), attempt=make_deferred(retry_in_seconds=0.5))

    assert plan(world) == Wait(seconds=0.5)


def test_second_deferral_is_told_once_then_waits() -> None:
    world = make_world(make_wanted(), attempt=make_deferred(failures=2, retry_in_seconds=8))

    status = plan_status(world)

    assert status.run is not None
    assert (status.run.phase, status.run.reason) == (Phase.SUBMITTED, reasons.QUOTA_EXCEEDED)
    condition = find_condition(status, "Reconciling")
    assert (condition.status, condition.reason, condition.message) == (
        "True",
        reasons.QUOTA_EXCEEDED,
        "exceeded quota",
    )
    assert plan(write(world)) == Wait(seconds=8)


@pytest.mark.parametrize("failures", [1, 2, 9])
def test_deferred_post_is_repeated_for_ever(failures: int) -> None:
    world = make_world(make_wanted(), attempt=make_deferred(failures=failures))

    assert created_by(plan_after_writes(world)).request.id == "r1"


def test_run_that_waits_for_quota_has_old_jobs_removed() -> None:
    old = make_job("r0", uid="job-0", finish="Complete", finished_at=seconds_ago(61))
    status = make_status(make_run("r0", Phase.COMPLETED))
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1"), status=status, job_history_limit=0)
    world = make_world(diemjob, old, attempt=make_deferred(retry_in_seconds=30))

    assert plan(world) == DeleteJob(job=old, propagation="Background", reason="History")


def test_run_that_waits_looks_up_when_an_old_job_may_go() -> None:
    old = make_job("r0", uid="job-0", finish="Complete", finished_at=seconds_ago(50))
    status = make_status(make_run("r0", Phase.COMPLETED))
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1"), status=status, job_history_limit=0)
    world = make_world(diemjob, old, attempt=make_deferred(retry_in_seconds=30))

    assert plan(world) == Wait(seconds=10)


def make_unknown(run_id: str = "r1", *, failures: int = 1, retry_in_seconds: float = 0) -> Attempt:
    return make_attempt(
        PostOutcome.UNKNOWN,
        run_id,
        reason=reasons.API_SERVER_UNAVAILABLE,
        message="time-out",
        failures=failures,
        retry_in_seconds=retry_in_seconds,
    )


LONG_FAILING = 6


@pytest.mark.parametrize(
    "diemjob",
    [
        pytest.param(make_diemjob(state=State.STOPPED, run=make_request("r1"), status=SUBMITTED), id="stopped"),
        pytest.param(make_diemjob(state=State.STOPPED, run=make_request("r1")), id="stopped before it was recorded"),
        pytest.param(make_diemjob(state=State.RUNNING, run=make_request("r2"), status=SUBMITTED), id="superseded"),
    ],
)
def test_run_that_nobody_wants_any_more_is_not_posted_for_ever(diemjob: DiemJob) -> None:
    """Its Job may still be made, until the API server has ended the last request; then a live read tells."""
    attempt = make_unknown(failures=LONG_FAILING)
    world = make_world(diemjob, attempt=attempt, straggler=make_straggler())
    assert plan(world) == Wait(seconds=20)

    world = make_world(diemjob, attempt=attempt)
    assert isinstance(plan(world), ObserveLive)

    status = plan_status(msgspec.structs.replace(world, is_live=True))
    runs = {run.id: (run.phase, run.job_uid) for run in (*status.runs, status.run) if run is not None}
    assert runs[RunId("r1")] == (Phase.STOPPED, "")


@pytest.mark.parametrize("status", [None, SUBMITTED])
def test_run_that_is_wanted_is_posted_for_ever(status: DiemJobStatus | None) -> None:
    attempt = make_unknown(failures=LONG_FAILING)

    step = plan_after_writes(make_world(make_wanted(status), attempt=attempt, is_live=True))

    assert step == CreateJob(request=attempt.request, manifest=attempt.manifest)


def test_job_that_is_there_after_all_is_followed() -> None:
    attempt = make_unknown(failures=LONG_FAILING)
    diemjob = make_diemjob(state=State.STOPPED, run=make_request("r1"), status=SUBMITTED)

    run = plan_run(make_world(diemjob, make_job("r1"), attempt=attempt))

    assert (run.phase, run.reason, run.job_uid) == (Phase.STOPPING, reasons.STOP_REQUESTED, "job-1")


OTHERS_STRAGGLERS = [
    pytest.param(make_straggler("r1", uid=OLDER_UID), id="same id, for a deleted DiemJob"),
    pytest.param(make_straggler("r0"), id="earlier run"),
]


@pytest.mark.parametrize("straggler", OTHERS_STRAGGLERS)
def test_job_that_another_run_may_have_is_looked_for_first(straggler: Straggler) -> None:
    assert isinstance(plan(make_world(make_wanted(), straggler=straggler)), ObserveLive)
    assert isinstance(plan(make_world(make_wanted())), CreateJob)


@pytest.mark.parametrize("is_live", [False, True])
@pytest.mark.parametrize("straggler", [*OTHERS_STRAGGLERS, make_straggler("r1")])
def test_what_came_of_a_post_is_looked_for_once_nothing_can_come_of_it(straggler: Straggler, is_live: bool) -> None:
    """Whatever is to be done; a read that began before does not tell."""
    over = msgspec.structs.replace(straggler, arrives_for_seconds=0)

    assert isinstance(plan(make_world(make_wanted(), straggler=over, is_live=is_live)), ObserveLive)


@pytest.mark.parametrize("straggler", OTHERS_STRAGGLERS)
def test_job_that_another_run_may_still_get_is_waited_for(straggler: Straggler) -> None:
    """A look proves nothing yet: a request may arrive after it."""
    world = make_world(make_wanted(), straggler=straggler, is_live=True)

    status = plan_status(world)
    assert status.run is not None
    assert (status.run.phase, status.run.reason) == (Phase.SUBMITTED, reasons.WAITING_FOR_OLD_JOBS)

    assert plan(make_world(make_wanted(status), straggler=straggler)) == Wait(seconds=20)


def test_post_that_finds_its_name_taken_is_not_waited_for() -> None:
    """The run that it is for has its Job, unfinished or kept; or it is this very run, for which one Job is due."""
    finished = make_job("r0", finish="Complete")
    past = make_status(make_run("r0", Phase.COMPLETED))

    assert isinstance(plan(make_world(make_wanted(past), finished, straggler=make_straggler("r0"))), CreateJob)
    going = make_job("r0", finish="Complete", deleted_at=NOW)
    assert isinstance(plan(make_world(make_wanted(past), going, straggler=make_straggler("r0"))), ObserveLive)
    assert isinstance(plan(make_world(make_wanted(), straggler=make_straggler("r1"))), CreateJob)


@pytest.mark.parametrize("outcome", [PostOutcome.REJECTED, PostOutcome.NAME_TAKEN])
def test_run_has_not_failed_while_a_post_may_still_make_its_job(outcome: PostOutcome) -> None:
    attempt = make_attempt(outcome, message="no such volume")
    world = make_world(make_wanted(), attempt=attempt, straggler=make_straggler())

    shown = write(world)
    assert shown.live is not None
    assert (shown.live.phase, shown.live.message) == (Phase.SUBMITTED, "no such volume")
    assert plan(shown) == Wait(seconds=20)
    assert plan_run(msgspec.structs.replace(shown, straggler=None)).phase is Phase.FAILED


def test_finished_job_keeps_its_name_as_long_as_a_post_would_make_it_again() -> None:
    old = make_job("r1", finish="Complete", finished_at=seconds_ago(90))
    status = make_status(make_run("r1", Phase.COMPLETED))
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1"), status=status, job_history_limit=0)

    assert isinstance(plan_after_writes(make_world(diemjob, old)), DeleteJob)
    waiting = make_world(diemjob, old, straggler=make_straggler())
    assert not isinstance(plan_after_writes(waiting), DeleteJob)
    assert rest(waiting) == Wait(seconds=20)


def test_post_of_unknown_outcome_is_repeated_unchanged_whatever_the_spec_says_by_then() -> None:
    attempt = make_unknown()
    template = msgspec.convert(make_template(image="changed"), JobTemplate)
    diemjob = make_diemjob(state=State.STOPPED, run=make_request("r2"), job_template=template)

    step = plan(make_world(diemjob, attempt=attempt))

    assert step == CreateJob(request=attempt.request, manifest=attempt.manifest)


def test_post_of_unknown_outcome_waits_for_its_turn() -> None:
    assert plan(make_world(make_wanted(), attempt=make_unknown(retry_in_seconds=2))) == Wait(seconds=2)


def test_post_of_unknown_outcome_is_told_after_the_second_failure() -> None:
    run = plan_run(make_world(make_wanted(), attempt=make_unknown(failures=2)))

    assert (run.phase, run.reason, run.message) == (Phase.SUBMITTED, reasons.API_SERVER_UNAVAILABLE, "time-out")


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(make_status(make_run("r0", Phase.RUNNING)), id="another is live"),
        pytest.param(make_status(make_run("r1", Phase.COMPLETED)), id="recorded as over"),
    ],
)
def test_post_of_unknown_outcome_never_overwrites_what_is_recorded(status: DiemJobStatus) -> None:
    attempt = make_unknown(failures=2)

    step = plan(make_world(make_wanted(status), attempt=attempt))

    assert step == CreateJob(request=attempt.request, manifest=attempt.manifest)


def test_job_that_appears_settles_the_unknown_outcome() -> None:
    run = plan_run(make_world(make_wanted(), make_job("r1"), attempt=make_unknown()))

    assert (run.id, run.phase, run.job_uid) == ("r1", Phase.PENDING, "job-1")


@pytest.mark.parametrize(
    ("in_the_way", "status"),
    [
        pytest.param(make_job("r0", owner_uid=OLDER_UID), None, id="unfinished Job of an older uid"),
        pytest.param(make_job("r0", owner_uid=OLDER_UID, finish="Complete"), None, id="finished Job of an older uid"),
        pytest.param(
            make_job("r0", deleted_at=NOW), make_status(make_run("r0", Phase.COMPLETED)), id="stray Job being deleted"
        ),
    ],
)
def test_start_waits_until_older_jobs_are_gone_and_says_so(in_the_way: Job, status: DiemJobStatus | None) -> None:
    world = make_world(make_wanted(status), in_the_way)

    run = plan_run(world)

    assert (run.id, run.phase, run.reason) == ("r1", Phase.SUBMITTED, reasons.WAITING_FOR_OLD_JOBS)
    assert run.message == "Jobs of an earlier run are still being removed"
    assert plan(write(world)) == Wait(seconds=None)
    assert isinstance(plan(msgspec.structs.replace(write(world), jobs=())), CreateJob)


def test_start_waits_no_longer_than_its_deadline() -> None:
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1"), start_deadline_seconds=DEADLINE)
    world = make_world(diemjob, make_job("r0", owner_uid=OLDER_UID))

    assert plan(write(world)) == Wait(seconds=DEADLINE)


@pytest.mark.parametrize(
    ("diemjob", "message"),
    [
        pytest.param(
            make_declaring(ParameterDeclaration(name="DAY", required=True)),
            "parameter 'DAY' is required",
            id="missing",
        ),
        pytest.param(
            make_declaring(values={"DAY": "1", "HOUR": "2"}),
            "parameter 'DAY' is not declared in spec.parameters; parameter 'HOUR' is not declared in spec.parameters",
            id="undefined",
        ),
        pytest.param(
            make_declaring(ParameterDeclaration(name="DAY", enum=("mon", "tue")), values={"DAY": "sun"}),
            "parameter 'DAY' must be one of mon, tue",
            id="invalid",
        ),
        pytest.param(
            make_diemjob(
                state=State.RUNNING,
                run=make_request("r1"),
                parameters=(ParameterDeclaration(name="DAY"),),
                job_template=msgspec.convert(make_template(env=[{"name": "DAY", "value": "mon"}]), JobTemplate),
            ),
            "parameter 'DAY' is also set by a container of spec.jobTemplate; remove one of the two",
            id="set by the template",
        ),
    ],
)
def test_invalid_parameters_fail_the_run_without_a_job(diemjob: DiemJob, message: str) -> None:
    world = make_world(diemjob)

    run = plan_run(world)

    assert (run.phase, run.reason, run.message) == (Phase.FAILED, reasons.INVALID_PARAMETERS, message)
    assert (run.job_name, run.job_uid) == ("", "")
    assert true_conditions(plan_status(world)) == {"Stalled"}


def test_start_by_state_fails_when_a_parameter_is_required() -> None:
    parameters = (ParameterDeclaration(name="DAY", required=True),)
    world: World = make_world(make_diemjob(state=State.RUNNING, parameters=parameters))

    run = plan_run(world)

    assert (run.id, run.phase, run.reason) == ("state-1", Phase.FAILED, reasons.INVALID_PARAMETERS)
    assert not isinstance(plan_after_writes(world), CreateJob)
