"""Our processes are killed before and after every call they make, and start again: nothing is lost, nothing twice."""

from collections.abc import Mapping

import pytest

from tests.reliability.matrix import IS_LONG, Case, Point, run_all
from tests.reliability.playing import Theatre
from tests.reliability.points import MakeFault, build_boot_cases, build_cases
from tests.reliability.proxy.faults import Kill
from tests.reliability.story import Story, list_stories

FAULTS: Mapping[str, MakeFault] = {
    "killed before": lambda program: Kill(program.kill, is_after=False),
    "killed after": lambda program: Kill(program.kill, is_after=True),
}
CREATED = Point("create jobs", 1)
CHOSEN = {
    "killed before": {"create jobs", "delete jobs"},
    "killed after": {"create jobs", "delete jobs", "patch diemjobs/status", "patch diemjobs"},
}


def is_short(story: Story, point: Point, fault: str) -> bool:
    return story.name == "run_is_stopped_and_started_again" and point.what in CHOSEN[fault]


@pytest.mark.matrix
@pytest.mark.parametrize("role", ["operator", "api"])
@pytest.mark.parametrize("story", list_stories(), ids=str)
def test_process_may_die_at_any_call(theatre: Theatre, story: Story, role: str) -> None:
    run_all(build_cases(theatre, story, role, FAULTS, is_short=is_short))


@pytest.mark.matrix
@pytest.mark.skipif(IS_LONG, reason="is among the cases of the long form")
def test_operator_may_die_when_it_has_made_the_first_job_of_any_story(theatre: Theatre) -> None:
    """So every story meets a fault, also in the short form."""
    faults = {"killed after": FAULTS["killed after"]}
    cases: list[Case] = []
    for story in list_stories():
        cases += build_cases(theatre, story, "operator", faults, points=lambda point: point == CREATED)
    run_all(cases)


@pytest.mark.matrix
@pytest.mark.parametrize("role", ["operator", "api"])
def test_process_may_die_at_any_call_of_its_start(theatre: Theatre, role: str) -> None:
    def is_short(_: Story, point: Point, fault: str) -> bool:
        return point.what.startswith(("create", "patch")) and fault == "killed after"

    run_all(build_boot_cases(theatre, role, FAULTS, is_short=is_short))
