"""What tests of the plan ask of it: the status it writes, and the step it comes to once nothing is left to write."""

import msgspec

from diem_operator.model.diemjob import DiemJobStatus, RunStatus
from diem_operator.model.metadata import Condition
from diem_operator.model.names import ANNOTATION_RECORDED_UID
from diem_operator.planning.plan import plan
from diem_operator.planning.steps import Step, WriteStatus
from diem_operator.planning.world import World
from tests.builders import UID

RECORDED = {ANNOTATION_RECORDED_UID: str(UID)}
"""The annotation of a DiemJob whose first run is over."""


def plan_status(world: World) -> DiemJobStatus:
    """Return the status that is written next."""
    step = plan(world)
    assert isinstance(step, WriteStatus), step
    return step.status


def plan_run(world: World) -> RunStatus:
    """Return the run in the status that is written next."""
    run = plan_status(world).run
    assert run is not None
    return run


def write(world: World) -> World:
    """Return the world in which the status that is due is written."""
    diemjob = msgspec.structs.replace(world.diemjob, status=plan_status(world))
    return msgspec.structs.replace(world, diemjob=diemjob)


def plan_after_writes(world: World) -> Step:
    """Return the first step that is no status write; a status that settles needs no more than three."""
    for _ in range(3):
        step = plan(world)
        if not isinstance(step, WriteStatus):
            return step
        world = write(world)
    return plan(world)


def find_condition(status: DiemJobStatus, kind: str) -> Condition:
    """Return the condition of this type."""
    return next(condition for condition in status.conditions if condition.type == kind)


def true_conditions(status: DiemJobStatus) -> set[str]:
    """Return the types of the conditions that hold."""
    return {condition.type for condition in status.conditions if condition.status == "True"}
