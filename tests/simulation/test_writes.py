"""What a run costs the API server, whatever the order in which its news arrives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.simulation import Simulation

news = ["tell DiemJob", "tell Job", "reconcile"]
before_its_pod_runs = st.lists(st.sampled_from([*news, "begin"]), max_size=15)
while_it_runs = st.lists(st.sampled_from([*news, "ready"]), max_size=15)


def make_idle_world() -> Simulation:
    world = Simulation()
    world.create_diemjob(state=None)
    world.elect(0)
    world.rest()
    world.operators[0].sent.clear()
    return world


def move(world: Simulation, name: str) -> None:
    if name == "tell DiemJob":
        world.operators[0].tell("DiemJob", 1)
    elif name == "tell Job":
        world.operators[0].tell("Job", 1)
    elif name == "reconcile":
        world.finish_reconcile(0)
    else:
        world.advance_job(0, name)


def count(world: Simulation, text: str) -> int:
    return sum(sent.startswith(text) for sent in world.operators[0].sent)


@given(before=before_its_pod_runs, after=while_it_runs, end=st.sampled_from(["complete", "fail"]))
@settings(deadline=None)
def test_plain_run_costs_one_post_three_status_patches_and_one_annotation(
    before: list[str], after: list[str], end: str
) -> None:
    world = make_idle_world()
    world.start()
    for name in before:
        move(world, name)
    world.advance_job(0, "begin")
    world.advance_job(0, "ready")
    for name in after:
        move(world, name)
    world.rest()
    world.advance_job(0, end)
    world.rest_for_long()

    assert count(world, "POST Job") == 1
    assert count(world, "PATCH DiemJob status") <= 3
    assert count(world, "PATCH DiemJob") - count(world, "PATCH DiemJob status") == 1
    assert count(world, "DELETE") == 0


def test_second_run_costs_no_annotation() -> None:
    world = make_idle_world()
    for _ in range(2):
        world.operators[0].sent.clear()
        world.start()
        world.rest()
        world.advance_job(-1, "complete")
        world.rest()

    writes = [text for text in world.operators[0].sent if not text.startswith(("LIST", "GET"))]
    assert [text.split(" ")[0] for text in writes] == ["POST", "PATCH", "PATCH"]
    assert writes[1:] == ["PATCH DiemJob status"] * 2


@pytest.mark.parametrize("is_running", [False, True])
def test_stopped_run_costs_one_delete(is_running: bool) -> None:
    world = make_idle_world()
    world.start()
    world.rest()
    if is_running:
        world.advance_job(0, "ready")
        world.rest()
    world.stop()
    world.rest()

    assert count(world, "DELETE Job") == 1
    assert count(world, "PATCH DiemJob status") == 3 + is_running
