"""Which steps have time while other DiemJobs wait: those that only tell or tidy up, and hold up nothing else."""

import msgspec

from diem_operator.planning.plan import plan
from diem_operator.planning.steps import CreateJob, DeleteJob, ObserveLive, Step, WriteStatus
from diem_operator.planning.world import World


def has_time(step: Step, world: World) -> bool:
    """Whether a step may be taken later, so that Jobs of other DiemJobs are created and stopped first.

    A status may be written later if nothing but telling and tidying up would follow from it. A crash before it is one
    that the plan is made for: what it would tell can be read off the cluster.
    """
    match step:
        case CreateJob() | ObserveLive() | DeleteJob(propagation="Foreground"):
            return False
        case WriteStatus():
            diemjob = msgspec.structs.replace(world.diemjob, status=step.status)
            return has_time(plan(msgspec.structs.replace(world, diemjob=diemjob)), world)
        case _:
            return True
