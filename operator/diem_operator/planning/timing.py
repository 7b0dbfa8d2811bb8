"""Limits in seconds: when a start is late, when pods are worth a look, when a finished Job may go."""

from datetime import datetime

from diem_operator.model.diemjob import Phase, RunStatus
from diem_operator.model.job import Job
from diem_operator.planning.world import World

FIRST_INSPECTION_SECONDS = 3.0
"""A pod usually runs by then; only after that its absence is looked into."""

MAX_INSPECTION_INTERVAL_SECONDS = 60.0

DELETION_BLOCKED_SECONDS = 60.0
"""A Job that is still being deleted after this, and after its pods' own grace, is looked into."""

MIN_FINISHED_JOB_SECONDS = 60.0
"""Finished Jobs stay at least this long, so that a start repeated after a crash meets its Job."""


def find_start_deadline_seconds_left(world: World, run: RunStatus) -> float | None:
    """Return the seconds until spec.startDeadlineSeconds is over for this run; None where it does not apply.

    Counted from the Job's creation, or, while there is none, from when the run was recorded; never from requestedAt,
    which is the caller's text.
    """
    limit = world.diemjob.spec.start_deadline_seconds
    if limit is None or run.phase not in {Phase.SUBMITTED, Phase.PENDING}:
        return None
    job = world.find_job(run)
    since = _find_reconciling_since(world) if job is None else job.metadata.creation_timestamp
    return limit - world.age_seconds(since)


def is_start_deadline_over(world: World, run: RunStatus) -> bool:
    """Whether a run has had no running pod in time; of a Job that may have one, only a look after the time tells."""
    left = find_start_deadline_seconds_left(world, run)
    if left is None or left > 0:
        return False
    job = world.find_job(run)
    return job is None or job.spec.suspend or _has_looked(world, job, seconds_ago=-left)


def _has_looked(world: World, job: Job, *, seconds_ago: float, is_try_enough: bool = False) -> bool:
    """Whether pods were looked up no longer ago than that."""
    inspection = world.find_inspection(job)
    if inspection is None or (inspection.has_failed and not is_try_enough):
        return False
    return world.age_seconds(inspection.at) <= seconds_ago


def _find_reconciling_since(world: World) -> datetime | None:
    for condition in world.diemjob.status.conditions:
        if condition.type == "Reconciling" and condition.status == "True":
            return condition.last_transition_time
    return None


def is_inspection_due(world: World, job: Job) -> bool:
    """Whether the Job's pods are to be looked up now."""
    left = find_inspection_seconds_left(world, job)
    return left is not None and left <= 0


def is_worth_inspecting(run: RunStatus, job: Job) -> bool:
    """Whether pods can tell why a live run is no further."""
    return run.phase in {Phase.PENDING, Phase.STOPPING} and not job.spec.suspend and not job.is_finished


def find_inspection_seconds_left(world: World, job: Job) -> float | None:
    """Return the seconds until the next look at the Job's pods, ever rarer; None where one is under way or useless."""
    live = world.live
    if live is None or world.is_being_inspected or not is_worth_inspecting(live, job):
        return None
    if live.phase is Phase.STOPPING:
        since, first = job.metadata.deletion_timestamp, DELETION_BLOCKED_SECONDS
    else:
        since, first = job.metadata.creation_timestamp, FIRST_INSPECTION_SECONDS
    waited = world.age_seconds(since)
    deadline = find_start_deadline_seconds_left(world, live)
    if (
        deadline is not None
        and deadline <= 0
        and not _has_looked(world, job, seconds_ago=-deadline, is_try_enough=True)
    ):
        return 0.0
    inspection = world.find_inspection(job)
    if inspection is None or (since is not None and inspection.at < since):
        return first - waited
    interval = min(max(FIRST_INSPECTION_SECONDS, waited / 4), MAX_INSPECTION_INTERVAL_SECONDS)
    return interval - world.age_seconds(inspection.at)


def find_removal_seconds_left(world: World, job: Job, *, is_kept: bool) -> float | None:
    """Return the seconds until a finished Job is to be removed; None while the limits keep it.

    Args:
        world: what is known.
        job: a finished Job whose run is recorded.
        is_kept: whether it is among the jobHistoryLimit latest.
    """
    ttl = world.diemjob.spec.ttl_seconds_after_finished
    if is_kept and ttl is None:
        return None
    finish = job.finish
    finished_at = None if finish is None else finish.last_transition_time
    limit = ttl if is_kept and ttl is not None else 0
    return max(float(limit), MIN_FINISHED_JOB_SECONDS) - world.age_seconds(finished_at)
