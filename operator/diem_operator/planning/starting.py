"""Policies that create the Job of a run: gate by gate, and never twice.

A POST whose outcome is unknown is repeated, unchanged, before anything else is decided for its DiemJob: until then
neither "it runs" nor "it does not" is true, and every other decision would rest on one of the two. Where that does not
help for long, and the run is no longer wanted, the API server's own limit on requests tells: after it, what a read does
not show was not made.
"""

import msgspec

from diem_operator.model import reasons
from diem_operator.model.diemjob import Phase
from diem_operator.planning.housekeeping import clean_up, rest
from diem_operator.planning.ids import is_seen
from diem_operator.planning.job_manifest import build_job
from diem_operator.planning.parameters import check_parameters, check_template
from diem_operator.planning.rules import StartRequest, build_next_number, is_stop_wanted
from diem_operator.planning.statuses import build_submitted_run, finish_run, settle, with_run
from diem_operator.planning.steps import CreateJob, ObserveLive, Step, Wait, WriteStatus
from diem_operator.planning.world import Attempt, PostOutcome, Straggler, World

_SHOWN_FAILURES = 2
"""From this failure on the reason is written to status; the first is usually over before anyone could read it."""

_PERMANENT_OUTCOMES = {PostOutcome.REJECTED: reasons.JOB_REJECTED, PostOutcome.NAME_TAKEN: reasons.JOB_NAME_TAKEN}

_PATIENT_FAILURES = 6
"""Up to so many POSTs are made for a run that is no longer wanted; that is some 20 seconds."""


def settle_straggler(world: World) -> Step | None:
    """Look for what came of a POST without an answer, now that nothing can come of it any more.

    Policies after this one meet only stragglers that may still arrive.
    """
    straggler = world.straggler
    if straggler is None or straggler.arrives_for_seconds > 0:
        return None
    return ObserveLive(reason=f"whether run {straggler.run_id} has another Job is unknown")


def settle_unknown_post(world: World) -> Step | None:
    """Find out what became of a POST of unknown outcome: repeat it, or wait until nothing can come of it any more."""
    attempt = world.attempt
    if attempt is None or not attempt.is_unknown:
        return None
    if any(job.run_id == attempt.request.id for job in world.owned):
        return None
    if attempt.failures >= _PATIENT_FAILURES and not _is_wanted(world, attempt.request):
        straggler = world.find_straggler(attempt.request.id)
        if straggler is not None:
            return Wait(seconds=straggler.arrives_for_seconds)
        return None if world.is_live else ObserveLive(reason=f"whether run {attempt.request.id} has a Job is unknown")
    return _retry(world, attempt) or CreateJob(request=attempt.request, manifest=attempt.manifest)


def _is_wanted(world: World, request: StartRequest) -> bool:
    live = world.live
    if live is not None and live.id == request.id:
        return live.phase is Phase.SUBMITTED and not is_stop_wanted(world.diemjob.spec) and not world.is_superseded
    return world.due is not None and world.due.id == request.id


def start(world: World) -> Step | None:
    """Create the Job of the start that is due, when nothing else is live."""
    return None if world.live is not None or world.due is None else create(world, world.due)


def create(world: World, request: StartRequest) -> Step:
    """Create the Job of a run, whether or not it is recorded as Submitted already.

    A run that has to wait holds up no housekeeping: old Jobs may be what uses up the quota it waits for.
    """
    step = _find_next_step(world, request)
    return clean_up(world) or _wait_no_longer_than(step, rest(world)) if isinstance(step, Wait) else step


def _find_next_step(world: World, request: StartRequest) -> Step:
    problems = _find_problems(world, request)
    if problems:
        return _fail(world, request, reasons.INVALID_PARAMETERS, "; ".join(problems))
    attempt = world.attempt if world.attempt is not None and world.attempt.request.id == request.id else None
    if attempt is not None and attempt.outcome in _PERMANENT_OUTCOMES:
        return _fail(world, request, _PERMANENT_OUTCOMES[attempt.outcome], attempt.message)
    if world.has_jobs_of_older_uid or world.has_unfinished_job:
        message = "Jobs of an earlier run are still being removed"
        return _show(world, request, reasons.WAITING_FOR_OLD_JOBS, message) or Wait()
    if world.straggler is not None and _may_make_another_job(world, world.straggler, request):
        return _wait_for_straggler(world, world.straggler, request)
    again = None if attempt is None else _retry(world, attempt)
    return again or CreateJob(request=request, manifest=_build_manifest(world, request))


def _may_make_another_job(world: World, straggler: Straggler, request: StartRequest) -> bool:
    """Whether a POST without an answer may make a Job beside that of this request: its name must be free for that."""
    if straggler.diemjob_uid != world.diemjob.metadata.uid:
        return True
    job = world.find_job_by_id(straggler.run_id)
    return straggler.run_id != request.id and (job is None or job.metadata.is_being_deleted)


def _wait_for_straggler(world: World, straggler: Straggler, request: StartRequest) -> Step:
    """Start nothing while a POST for another run may still make its Job; the first look may show that it has."""
    message = "a request without an answer may still make the Job of an earlier run, for a minute or so"
    shown = _show(world, request, reasons.WAITING_FOR_OLD_JOBS, message)
    if shown is not None and not world.is_live:
        return ObserveLive(reason=f"whether run {straggler.run_id} has a Job is unknown")
    return shown or Wait(seconds=straggler.arrives_for_seconds)


def _find_problems(world: World, request: StartRequest) -> tuple[str, ...]:
    spec = world.diemjob.spec
    wrong_values = check_parameters(spec.parameters, request.parameters)
    return (*wrong_values, *check_template(spec.parameters, spec.job_template))


def _build_manifest(world: World, request: StartRequest) -> dict[str, object]:
    status = world.diemjob.status
    is_recorded = status.run is not None and status.run.id == request.id
    number = status.run.number if is_recorded and status.run is not None else build_next_number(status)
    return build_job(world.diemjob, request, number=number)


def _retry(world: World, attempt: Attempt) -> Step | None:
    """Return what comes before the POST is repeated: telling why it has to be, and waiting; None when it is time."""
    if attempt.failures >= _SHOWN_FAILURES:
        shown = _show(world, attempt.request, attempt.reason, attempt.message)
        if shown is not None:
            return shown
    return Wait(seconds=attempt.retry_in_seconds) if attempt.retry_in_seconds > 0 else None


def _wait_no_longer_than(wait: Wait, other: Wait) -> Wait:
    limits = [seconds for seconds in (wait.seconds, other.seconds) if seconds is not None]
    return Wait(seconds=min(limits)) if limits else wait


def _show(world: World, request: StartRequest, reason: str, message: str) -> WriteStatus | None:
    """Record the run as Submitted for this reason; None where that is what the status says, or another run is live."""
    live, status = world.live, world.diemjob.status
    is_recorded = live is not None and live.id == request.id
    if not is_recorded and (live is not None or is_seen(status, request.id)):
        return None
    run = live if is_recorded and live is not None else build_submitted_run(status, request)
    shown = msgspec.structs.replace(run, phase=Phase.SUBMITTED, reason=reason, message=message)
    if shown == live:
        return None
    return WriteStatus(status=settle(world, with_run(status, shown)))


def _fail(world: World, request: StartRequest, reason: str, message: str) -> Step:
    """Record that the run cannot start, once no POST can make its Job any more."""
    straggler = world.find_straggler(request.id)
    if straggler is not None:
        return _show(world, request, reason, message) or Wait(seconds=straggler.arrives_for_seconds)
    status = world.diemjob.status
    live = world.live
    run = live if live is not None and live.id == request.id else build_submitted_run(status, request)
    failed = finish_run(run, Phase.FAILED, reason=reason, message=message, at=world.now)
    return WriteStatus(status=settle(world, with_run(status, failed)))
