"""Policies for the live run: report how its Job fares, and end it when it has to end.

                 Job unfinished             Job being deleted      Job finished          Job gone (live GET)
to be ended      Stopping, then DELETE,     Stopping               its own end, if it    Stopped (or Failed)
                 in the foreground                                 was not deleted first
otherwise        Pending / Running          Stopping, JobDeleted   Completed / Failed    Failed, JobDeleted

That a run is to end is written before its Job is deleted: so it ends for that reason, whoever leads and whatever the
spec says by then, and a Job that is deleted under a run that is not Stopping was deleted by somebody else.
"""

from datetime import datetime

import msgspec

from diem_operator.model import reasons
from diem_operator.model.diemjob import Phase, RunStatus
from diem_operator.model.job import Job
from diem_operator.planning.rules import find_request_of, is_stop_wanted
from diem_operator.planning.starting import create
from diem_operator.planning.statuses import LOST_REQUEST, finish_run, settle, with_run
from diem_operator.planning.steps import DeleteJob, InspectPods, ObserveLive, Step, WriteStatus
from diem_operator.planning.timing import is_inspection_due, is_start_deadline_over
from diem_operator.planning.world import Inspection, PostOutcome, World

_FAILED_ENDINGS = frozenset({reasons.JOB_DELETED, reasons.START_DEADLINE_EXCEEDED})

_MESSAGES = {
    reasons.JOB_DELETED: "the Job was deleted by someone else; it is not started again",
    reasons.START_DEADLINE_EXCEEDED: "no pod was running within spec.startDeadlineSeconds",
    reasons.NEVER_STARTED: "the request was taken out of spec.run before its Job could be created",
}


def follow_live_run(world: World) -> Step | None:
    """Bring the live run one step further, or report what has become of it."""
    live, job = world.live, world.live_job
    if live is None:
        return None
    if job is None:
        return _follow_without_job(world, live)
    advanced = advance(world, live, job)
    if advanced != live:
        return write_run(world, advanced)
    if live.phase is Phase.STOPPING and not job.metadata.is_being_deleted:
        return DeleteJob(job=job, propagation="Foreground", reason=live.reason)
    return InspectPods(job=job) if is_inspection_due(world, job) else None


def find_ending(world: World, run: RunStatus) -> str | None:
    """Return why the run must end; None while it may go on. The first reason stays."""
    if run.phase is Phase.STOPPING:
        return run.reason
    if is_stop_wanted(world.diemjob.spec):
        return reasons.STOP_REQUESTED
    if world.is_superseded:
        return reasons.SUPERSEDED
    return reasons.START_DEADLINE_EXCEEDED if is_start_deadline_over(world, run) else None


def advance(world: World, run: RunStatus, job: Job) -> RunStatus:
    """Return the run as its Job shows it, and as Stopping from the moment it must end."""
    run = msgspec.structs.replace(run, job_name=job.metadata.name, job_uid=job.uid)
    inspection = world.find_inspection(job)
    progressed = run if run.phase is Phase.STOPPING else _progress(run, job, inspection)
    ending = find_ending(world, progressed)
    if job.is_finished and not (job.metadata.is_being_deleted and ending):
        return finish_like(run, job, world.now)
    if job.metadata.is_being_deleted:
        return _stopping(run, ending or reasons.JOB_DELETED, inspection)
    return progressed if ending is None else _stopping(run, ending, inspection)


def finish_like(run: RunStatus, job: Job, now: datetime) -> RunStatus:
    """Return the run as over, the way its finished Job is."""
    finish = job.finish
    assert finish is not None, "asked only of a finished Job"
    run = _with_start(run, job)
    at = job.status.completion_time or finish.last_transition_time or now
    if finish.type == "Complete":
        return finish_run(run, Phase.COMPLETED, reason=reasons.COMPLETED, message="", at=at)
    return finish_run(run, Phase.FAILED, reason=finish.reason or reasons.JOB_FAILED, message=finish.message, at=at)


def _with_start(run: RunStatus, job: Job) -> RunStatus:
    """Take over the Job's startTime; not for a run that is still Pending, as that would cost a write of its own."""
    return msgspec.structs.replace(run, started_at=job.status.start_time or run.started_at)


def _stopping(run: RunStatus, reason: str, inspection: Inspection | None) -> RunStatus:
    known = run.message if run.phase is Phase.STOPPING and run.message != LOST_REQUEST else ""
    blocker = known if inspection is None else inspection.deletion_blocker
    return msgspec.structs.replace(run, phase=Phase.STOPPING, reason=reason, message=blocker)


def _progress(run: RunStatus, job: Job, inspection: Inspection | None) -> RunStatus:
    if job.spec.suspend:
        message = "the Job is suspended, for example until a queue admits it"
        return msgspec.structs.replace(run, phase=Phase.PENDING, reason=reasons.JOB_SUSPENDED, message=message)
    has_pod = job.status.ready > 0 or run.phase is Phase.RUNNING
    if has_pod or (inspection is not None and inspection.has_running_pod):
        return msgspec.structs.replace(_with_start(run, job), phase=Phase.RUNNING, reason="", message="")
    if inspection is None and run.phase is Phase.PENDING and run.reason not in {"", reasons.JOB_SUSPENDED}:
        return run  # as an earlier leader found out; the next inspection tells whether it is still so
    reason = inspection.reason if inspection is not None and inspection.reason else reasons.WAITING_FOR_POD
    message = "" if inspection is None else inspection.message
    return msgspec.structs.replace(run, phase=Phase.PENDING, reason=reason, message=message)


def _follow_without_job(world: World, live: RunStatus) -> Step | None:
    was_created = world.find_attempt(PostOutcome.CREATED, live.id) is not None
    if live.phase is not Phase.SUBMITTED or was_created:
        return _end_without_job(world, live, find_ending(world, live) or reasons.JOB_DELETED)
    ending = find_ending(world, live)
    if ending is not None:
        return _end_without_job(world, live, ending)
    request = find_request_of(world.diemjob.spec, live)
    if request is None:
        return _end_without_job(world, live, reasons.NEVER_STARTED)
    return create(world, request)


def _end_without_job(world: World, live: RunStatus, reason: str) -> Step | None:
    """End the run because its Job is not there, once the API server itself has said so.

    As long as another Job of it is there, or may still come, it is Stopping.
    """
    again = world.find_job_by_id(live.id)
    may_have_job = world.find_straggler(live.id) is not None or (again is not None and not again.is_finished)
    stopping = msgspec.structs.replace(live, phase=Phase.STOPPING, reason=reason, message=LOST_REQUEST)
    if may_have_job and live == stopping:
        return None
    if not world.is_live:
        return ObserveLive(reason=f"run {live.id} ends as its Job is absent")
    if may_have_job:
        return write_run(world, stopping)
    phase = Phase.FAILED if reason in _FAILED_ENDINGS else Phase.STOPPED
    ended = finish_run(live, phase, reason=reason, message=_MESSAGES.get(reason, ""), at=world.now)
    return write_run(world, ended)


def write_run(world: World, run: RunStatus) -> WriteStatus:
    """Return the write of the live run's new state."""
    return WriteStatus(status=settle(world, with_run(world.diemjob.status, run)))
