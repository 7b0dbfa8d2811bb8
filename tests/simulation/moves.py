"""Every move that a history may consist of: written once, for Hypothesis and for the explorer.

A move is a function of the world and of a few choices. Its weight says how often the explorer takes it; a choice that
stands in its list twice is twice as likely. Operators are chosen by the part they play, so that most moves of an
operator are those of the leader.
"""

from typing import Final, Literal

from diem_operator.model.names import RunId
from tests.simulation.api_server import Kind
from tests.simulation.move import MOVES, move
from tests.simulation.operators import LastRequest, OldLeader
from tests.simulation.people import ForeignJob, find_known_ids, find_replayable_ids
from tests.simulation.simulation import Simulation

__all__ = ["MOVES"]

Role = Literal["leader", "other"]
Moment = Literal["now", "write"]

ALL: Final = 1000
KINDS: Final[tuple[Kind, ...]] = ("DiemJob", "Job")
ROLES: Final = ("leader", "leader", "leader", "leader", "leader", "other")
PLACES: Final = (0, 1, 2, 3)
STATES: Final = ("running", "stopped")
MOMENTS: Final = ("now", "write", "write")
FLAGS: Final = (False, True)


@move(0, state=(None, *STATES), has_run=FLAGS, is_settled=(True, True, False))
def create(world: Simulation, state: str | None, has_run: bool, is_settled: bool) -> None:
    world.create_diemjob(state=state, run_id=RunId("person-0") if has_run else None)
    world.elect(0)
    if is_settled:
        world.rest()


# Callers


@move(12)
def start(world: Simulation) -> None:
    world.start()


@move(12)
def stop(world: Simulation) -> None:
    world.stop()


@move(4)
def begin_start(world: Simulation) -> None:
    world.begin_start()


@move(4)
def begin_stop(world: Simulation) -> None:
    world.begin_stop()


@move(3, place=PLACES, is_old=FLAGS)
def begin_start_with_key(world: Simulation, place: int, is_old: bool) -> None:
    diemjob = world.diemjob
    known = find_replayable_ids(diemjob) if is_old and diemjob is not None else []
    world.begin_start(run_id=known[place % len(known)] if known else world.next_id("key"))


@move(8, place=PLACES)
def go_on_with_command(world: Simulation, place: int) -> None:
    world.go_on_with_command(place)


@move(1)
def start_with_wrong_parameter(world: Simulation) -> None:
    world.begin_start(parameters={"UNKNOWN": "1"})


# People


@move(8, state=STATES)
def set_state(world: Simulation, state: str) -> None:
    world.set_state(state)


@move(2)
def remove_state(world: Simulation) -> None:
    world.set_state(None)


@move(5, state=(None, *STATES), is_targeted=FLAGS, place=PLACES)
def write_run(world: Simulation, state: str | None, is_targeted: bool, place: int) -> None:
    diemjob = world.diemjob
    known = [] if diemjob is None else find_known_ids(diemjob)
    run_id = known[place] if place < len(known) else world.next_id("person")
    world.write_run(run_id, state=state, is_targeted=is_targeted)


@move(2)
def remove_run(world: Simulation) -> None:
    world.remove_run()


@move(3, jobs=(0, 1, 2), runs=(0, 1, 2, 3), ttl=(None, 0, 100), deadline=(None, 30))
def edit_limits(world: Simulation, jobs: int, runs: int, ttl: int | None, deadline: int | None) -> None:
    world.edit(jobHistoryLimit=jobs, runHistoryLimit=runs, ttlSecondsAfterFinished=ttl, startDeadlineSeconds=deadline)


@move(1, is_required=FLAGS)
def edit_parameters(world: Simulation, is_required: bool) -> None:
    world.edit(parameters=[{"name": "DAY", "required": is_required}])


@move(4)
def wipe_status(world: Simulation) -> None:
    world.wipe_status()


@move(7, place=PLACES, is_foreground=FLAGS)
def delete_job(world: Simulation, place: int, is_foreground: bool) -> None:
    world.delete_job(place, is_foreground=is_foreground)


@move(3, place=PLACES)
def strip_label(world: Simulation, place: int) -> None:
    world.strip_label(place)


@move(3, kind=("plain", "copied", "of another uid"))
def take_name(world: Simulation, kind: ForeignJob) -> None:
    world.take_name(kind)


@move(4, is_foreground=FLAGS)
def delete_diemjob(world: Simulation, is_foreground: bool) -> None:
    world.delete_diemjob(is_foreground=is_foreground)


@move(8, state=(None, *STATES), is_restored=FLAGS)
def create_again(world: Simulation, state: str | None, is_restored: bool) -> None:
    if is_restored:
        world.restore_diemjob()
    else:
        world.create_diemjob(state=state)


# Kubernetes


@move(
    18,
    place=PLACES,
    event=("begin", "ready", "ready", "complete", "complete", "fail", "suspend", "resume", "gone", "gone"),
)
def advance_job(world: Simulation, place: int, event: str) -> None:
    world.advance_job(place, event)


@move(4)
def collect_garbage(world: Simulation) -> None:
    world.server.collect_garbage()


@move(2, is_exceeded=FLAGS)
def set_quota(world: Simulation, is_exceeded: bool) -> None:
    world.server.is_quota_exceeded = is_exceeded


@move(2, is_invalid=FLAGS)
def set_template(world: Simulation, is_invalid: bool) -> None:
    world.server.is_template_invalid = is_invalid


@move(5, seconds=(0.1, 1, 10, 40, 100))
def pass_time(world: Simulation, seconds: float) -> None:
    world.pass_time(seconds)


# Operators


@move(14, role=ROLES, kind=("DiemJob", "Job"), count=(1, 1, 2, 3))
def tell(world: Simulation, role: Role, kind: Kind, count: int) -> None:
    world.operators[find_place(world, role)].tell(kind, count)


@move(26, role=ROLES, kinds=("DiemJob", "Job", "both"), count=(1, ALL, ALL), is_busy=FLAGS)
def catch_up(
    world: Simulation, role: Role, kinds: Kind | Literal["both"], count: int, *, is_busy: bool = False
) -> None:
    """Hear news, of one kind or of both, and look."""
    place = find_place(world, role)
    for kind in KINDS if kinds == "both" else (kinds,):
        world.operators[place].tell(kind, count)
    world.finish_reconcile(place, is_busy=is_busy)


@move(3, role=ROLES)
def reconcile(world: Simulation, role: Role) -> None:
    world.reconcile(find_place(world, role))


@move(6, role=ROLES, is_busy=FLAGS)
def finish_reconcile(world: Simulation, role: Role, *, is_busy: bool = False) -> None:
    world.finish_reconcile(find_place(world, role), is_busy=is_busy)


@move(8, role=ROLES, is_lost=(False, False, True))
def serve_look(world: Simulation, role: Role, is_lost: bool) -> None:
    place = find_place(world, role)
    if is_lost:
        world.lose_look(place)
    else:
        world.serve_look(place)


@move(6, role=ROLES)
def serve(world: Simulation, role: Role) -> None:
    world.serve(find_place(world, role))


@move(3, role=ROLES)
def serve_next(world: Simulation, role: Role) -> None:
    world.reconcile(find_place(world, role))
    world.serve(find_place(world, role))


@move(10, role=ROLES)
def serve_to_write(world: Simulation, role: Role) -> None:
    world.serve_to_write(find_place(world, role))


@move(14, role=ROLES, at=MOMENTS)
def lose_answer(world: Simulation, role: Role, at: Moment) -> None:
    world.lose_answer(go_on_to(world, role, at))


@move(4, role=ROLES, at=MOMENTS, is_known=FLAGS)
def lose_request(world: Simulation, role: Role, at: Moment, is_known: bool) -> None:
    world.lose_request(go_on_to(world, role, at), is_known=is_known)


@move(6, role=ROLES, at=MOMENTS)
def delay_request(world: Simulation, role: Role, at: Moment) -> None:
    world.delay_request(go_on_to(world, role, at))


@move(6, place=PLACES)
def land_late(world: Simulation, place: int) -> None:
    world.land_late(place)


@move(4, role=ROLES)
def wake(world: Simulation, role: Role) -> None:
    world.wake(find_place(world, role))


@move(2, role=ROLES)
def resync(world: Simulation, role: Role) -> None:
    world.resync(find_place(world, role))


@move(3, role=ROLES, kind=KINDS)
def list_anew(world: Simulation, role: Role, kind: Kind) -> None:
    world.list_anew(find_place(world, role), kind)


@move(7, role=ROLES, at=MOMENTS, last=("is lost", "may land", "lands", "lands"))
def crash(world: Simulation, role: Role, at: Moment, last: LastRequest) -> None:
    world.crash(go_on_to(world, role, at), last=last)


@move(8, at=MOMENTS, old=("restarts", "steps down", "is fenced", "is fenced", "goes on"), is_warm=FLAGS)
def elect(world: Simulation, at: Moment, old: OldLeader, is_warm: bool) -> None:
    world.elect(1 - go_on_to(world, "leader", at), old=old, is_warm=is_warm)


# Rest


@move(2, is_late_first=FLAGS)
def rest(world: Simulation, is_late_first: bool) -> None:
    world.rest(is_late_first=is_late_first)


@move(1)
def rest_for_long(world: Simulation) -> None:
    world.rest_for_long()


@move(1)
def lose_status_at_rest(world: Simulation) -> None:
    world.lose_status_at_rest()


@move(1)
def restore_at_rest(world: Simulation) -> None:
    world.restore_at_rest()


def go_on_to(world: Simulation, role: Role, moment: Moment) -> int:
    """Let an operator go on to a moment at which something is to happen to it; return its place."""
    place = find_place(world, role)
    if moment == "write":
        world.serve_to_write(place)
    return place


def find_place(world: Simulation, role: Role) -> int:
    """Return the place of the operator that leads, or of the one that does not."""
    leading = 0 if world.leader is None else world.operators.index(world.leader)
    return leading if role == "leader" else 1 - leading
