"""Policies that write down Jobs the status does not know, and remove those that should not run.

The ordinary start ends here too: the POST makes a Job whose run is unseen, and recording it is the same act as after a
crash between the two. One path, walked every time, instead of a recovery that nobody walks.
"""

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJobStatus, Phase
from diem_operator.model.job import Job
from diem_operator.planning.following import advance, finish_like
from diem_operator.planning.ids import is_seen
from diem_operator.planning.statuses import build_run_of_job, finish_run, settle, with_past_run, with_run
from diem_operator.planning.steps import DeleteJob, ObserveLive, Step, WriteStatus
from diem_operator.planning.world import PostOutcome, World


def record_unseen_jobs(world: World) -> Step | None:
    """Record every owned Job whose run is unseen: one as the live run where none is live, the others as history.

    One that is unfinished and will not be the live run may be gone already, and its run over for another reason.
    """
    jobs = [job for job in world.unseen_jobs if not _is_next(world, job)]
    if not jobs:
        return None
    latest = None if world.live else jobs.pop(0)
    if not world.is_live and not all(job.is_finished for job in jobs):
        return ObserveLive(reason="more than one Job is unfinished")
    status = world.diemjob.status
    for job in reversed(jobs):
        status = _record_past(world, status, job)
    if latest is not None:
        status = with_run(status, advance(world, build_run_of_job(status, latest), latest))
    return WriteStatus(status=settle(world, status))


def _is_next(world: World, job: Job) -> bool:
    """Whether this is the Job of the start that waits for the live run to end: it will be the live run's."""
    return world.live is not None and world.due is not None and job.run_id == world.due.id and not job.is_finished


def _record_past(world: World, status: DiemJobStatus, job: Job) -> DiemJobStatus:
    run = build_run_of_job(status, job)
    if job.is_finished:
        return with_past_run(status, finish_like(run, job, world.now))
    ended = finish_run(run, Phase.STOPPED, reason=reasons.SUPERSEDED, message="", at=world.now)
    return with_past_run(status, ended)


def record_vanished_job(world: World) -> Step | None:
    """Record a Job that this process created and that was gone before its run was recorded; it is not made again."""
    attempt = world.attempt
    if attempt is None or attempt.outcome is not PostOutcome.CREATED or attempt.job is None:
        return None
    if world.live is not None or is_seen(world.diemjob.status, attempt.request.id):
        return None
    status = world.diemjob.status
    return WriteStatus(status=settle(world, with_run(status, build_run_of_job(status, attempt.job))))


def delete_stray_jobs(world: World) -> Step | None:
    """Delete an unfinished Job of a run that is known and not live: the late write of a leader that no longer leads."""
    for job in world.stray_jobs:
        if not job.metadata.is_being_deleted:
            return DeleteJob(job=job, propagation="Foreground", reason=reasons.SUPERSEDED)
    return None
