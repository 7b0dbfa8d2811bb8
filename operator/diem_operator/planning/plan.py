"""The plan: the one next step for a DiemJob, found by asking the policies in their order.

    world ──► leave_deleted ─► settle_* ─► record_* ─► delete_stray_jobs ─► follow_live_run
                      ─► account_for_ids ─► start ─► report ─► clean_up ─► mark_recorded ─► rest ──► step

The first policy with something to say decides. The caller carries the step out, looks at the world again and asks
again, until the step is to wait; so a crash between any two steps leaves a world from which the same order goes on.
"""

from collections.abc import Callable
from typing import Final

from diem_operator.planning.accounting import account_for_ids, record_lost_state
from diem_operator.planning.following import follow_live_run
from diem_operator.planning.housekeeping import clean_up, mark_recorded, report, rest
from diem_operator.planning.recording import delete_stray_jobs, record_unseen_jobs, record_vanished_job
from diem_operator.planning.starting import settle_straggler, settle_unknown_post, start
from diem_operator.planning.steps import Step, Wait
from diem_operator.planning.world import World

Policy = Callable[[World], Step | None]


def leave_deleted(world: World) -> Step | None:
    """A DiemJob that is being deleted is left alone: its Jobs go with it by their owner references."""
    return Wait() if world.diemjob.metadata.is_being_deleted else None


POLICIES: Final[tuple[Policy, ...]] = (
    leave_deleted,
    settle_straggler,
    settle_unknown_post,
    record_lost_state,
    record_unseen_jobs,
    record_vanished_job,
    delete_stray_jobs,
    follow_live_run,
    account_for_ids,
    start,
    report,
    clean_up,
    mark_recorded,
)


def plan(world: World) -> Step:
    """Return the next step; `Wait` when all is as it should be for now."""
    for policy in POLICIES:
        step = policy(world)
        if step is not None:
            return step
    return rest(world)
