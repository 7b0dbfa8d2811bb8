"""Which steps have time while other DiemJobs wait: those that only tell or tidy up, and hold up nothing else."""

import msgspec

from diem_operator.model.diemjob import DiemJobStatus, Phase, State
from diem_operator.planning.plan import plan
from diem_operator.planning.rules import find_unaccounted_ids
from diem_operator.planning.steps import CreateJob, DeleteJob, InspectPods, ObserveLive, Step, WriteStatus
from diem_operator.planning.world import PostOutcome, World


def has_time(step: Step, world: World) -> bool:
    """Whether a step may be taken later, so that Jobs of other DiemJobs are created and stopped first.

    What was read for it would have to be read again, and what a start waits for may be on its way: neither has time.
    """
    if world.is_live or _is_start_waiting(world):
        return False
    match step:
        case CreateJob() | ObserveLive() | InspectPods() | DeleteJob(propagation="Foreground"):
            return False  # a look at pods is only ordered here, and what has no time may come after it
        case WriteStatus():
            return _can_be_told_later(step.status, world)
        case _:
            return True


def _is_start_waiting(world: World) -> bool:
    """Whether a run that is due, or recorded as Submitted, has no Job yet."""
    live = world.live
    submitted = live.id if live is not None and live.phase is Phase.SUBMITTED else None
    waiting = {submitted, None if world.due is None else world.due.id} - {None}
    return bool(waiting - {job.run_id for job in world.owned})


def _can_be_told_later(status: DiemJobStatus, world: World) -> bool:
    """Whether a status loses nothing by being written later, whatever is asked for meanwhile, or if never.

    What it tells must be there to be read off Jobs: not so a request that came to nothing, nor that `spec.state` was
    seen as stopped, without which a later running starts nothing. A run that is over is told at once, as the API starts
    none while the last one seems to go on. A new run has time only while it is remembered that its Job was created: if
    somebody deleted that, the run would be started again, or would be in no history where it was over. And only
    telling and tidying up may follow.
    """
    diemjob, run = world.diemjob, status.run
    if diemjob.spec.state is not State.RUNNING or run is None or not run.is_live or world.find_job(run) is None:
        return False
    if not all(world.find_attempt(PostOutcome.CREATED, job.run_id) for job in world.unseen_jobs if job.run_id):
        return False
    if find_unaccounted_ids(diemjob.spec, diemjob.status, diemjob.metadata.uid):
        return False
    written = msgspec.structs.replace(world, diemjob=msgspec.structs.replace(diemjob, status=status))
    return has_time(plan(written), written)
