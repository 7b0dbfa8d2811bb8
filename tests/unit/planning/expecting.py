"""Takes a step apart, and fails with the step itself where it is not of the expected kind."""

from diem_operator.model.diemjob import DiemJobStatus, RunStatus
from diem_operator.model.metadata import Condition
from diem_operator.planning.plan import plan
from diem_operator.planning.steps import WriteStatus
from diem_operator.planning.world import World


def plan_status(world: World) -> DiemJobStatus:
    """Return the status that is to be written next."""
    step = plan(world)
    assert isinstance(step, WriteStatus), step
    return step.status


def plan_run(world: World) -> RunStatus:
    """Return the latest run of the status that is to be written next."""
    run = plan_status(world).run
    assert run is not None
    return run


def find_condition(status: DiemJobStatus, kind: str) -> Condition:
    return next(condition for condition in status.conditions if condition.type == kind)
