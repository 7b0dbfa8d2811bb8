"""Policies for a DiemJob that needs no run started or ended: report, remove old Jobs, and rest."""

from diem_operator.model.job import Job
from diem_operator.model.names import ANNOTATION_RECORDED_UID
from diem_operator.planning.ids import is_seen
from diem_operator.planning.statuses import settle
from diem_operator.planning.steps import DeleteJob, Step, Wait, WriteRecordedUid, WriteStatus
from diem_operator.planning.timing import (
    find_inspection_seconds_left,
    find_removal_seconds_left,
    find_start_deadline_seconds_left,
)
from diem_operator.planning.world import World

_HISTORY_REASON = "History"


def report(world: World) -> Step | None:
    """Write the status when the spec has changed without changing what runs."""
    status = settle(world, world.diemjob.status)
    return None if status == world.diemjob.status else WriteStatus(status=status)


def clean_up(world: World) -> Step | None:
    """Delete a finished Job that jobHistoryLimit or ttlSecondsAfterFinished no longer keeps."""
    for job, left in _find_removals(world):
        if left <= 0:
            return DeleteJob(job=job, propagation="Background", reason=_HISTORY_REASON)
    return None


def mark_recorded(world: World) -> Step | None:
    """Note on the DiemJob, once, that its status holds a finished run."""
    metadata, run = world.diemjob.metadata, world.diemjob.status.run
    if run is None or run.is_live or metadata.annotations.get(ANNOTATION_RECORDED_UID) == metadata.uid:
        return None
    return WriteRecordedUid()


def rest(world: World) -> Wait:
    """Wait for an event, or for the first limit in seconds."""
    limits: list[float | None] = [left for _, left in _find_removals(world)]
    limits.append(None if world.straggler is None else world.straggler.arrives_for_seconds)
    if world.live is not None:
        job = world.live_job
        deadline = find_start_deadline_seconds_left(world, world.live)
        limits.append(deadline if deadline is not None and deadline > 0 else None)  # else a look at the pods decides
        limits.append(None if job is None else find_inspection_seconds_left(world, job))
    waits = [left for left in limits if left is not None]
    return Wait(seconds=max(0.0, min(waits)) if waits else None)


def _find_removals(world: World) -> list[tuple[Job, float]]:
    """Return the finished Jobs that are to go, each with the seconds until then; the latest runs count as history.

    One holds its name as long as a POST without an answer would make it again.
    """
    status = world.diemjob.status
    recorded = [
        job
        for job in world.owned
        if job.is_finished
        and job.run_id
        and is_seen(status, job.run_id)
        and job is not world.live_job
        and not job.metadata.is_being_deleted
    ]
    recorded.sort(key=lambda job: job.run_number, reverse=True)
    limit = world.diemjob.spec.job_history_limit
    removals = [
        (job, find_removal_seconds_left(world, job, is_kept=position < limit)) for position, job in enumerate(recorded)
    ]
    return [(job, max(left, _find_straggler_seconds(world, job))) for job, left in removals if left is not None]


def _find_straggler_seconds(world: World, job: Job) -> float:
    straggler = None if job.run_id is None else world.find_straggler(job.run_id)
    return 0 if straggler is None else straggler.arrives_for_seconds
