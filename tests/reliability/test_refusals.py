"""The API server refuses, fails or dawdles, at each call: it is asked again, and no run is lost or doubled by that."""

from collections.abc import Mapping

import pytest

from tests.reliability.matrix import Point, run_all
from tests.reliability.playing import Theatre
from tests.reliability.points import MakeFault, build_boot_cases, build_cases, changes_something
from tests.reliability.proxy.faults import Delay, LoseRequest, Trickle, refusal
from tests.reliability.story import Story, list_stories

FAULTS: Mapping[str, MakeFault] = {
    "refused with 409": lambda _: LoseRequest(refusal(409)),
    "refused with 429": lambda _: LoseRequest(refusal(429, retry_after="1")),
    "refused with 429 and no time": lambda _: LoseRequest(refusal(429)),
    "refused with 401": lambda _: LoseRequest(refusal(401)),
    "refused with 403": lambda _: LoseRequest(refusal(403)),
    "failed with 500": lambda _: LoseRequest(refusal(500)),
    "failed with 503": lambda _: LoseRequest(refusal(503, retry_after="1")),
    "failed with 504": lambda _: LoseRequest(refusal(504)),
    "answered late": lambda _: Delay(2.5),
    "answered in drops": lambda _: Trickle(bytes_at_once=300, pause_seconds=0.05),
}


def is_short(story: Story, point: Point, fault: str) -> bool:
    """Leave out a failed POST of a Job: after it, a stop takes more than a minute."""
    is_chosen = story.name == "run_is_stopped_and_started_again" and point.nth == 1
    fails = fault == "failed with 503" and changes_something(point) and point.what != "create jobs"
    return is_chosen and (fault == "refused with 429" or fails)


@pytest.mark.matrix
@pytest.mark.parametrize("role", ["operator", "api"])
@pytest.mark.parametrize("story", list_stories(), ids=str)
def test_any_call_may_fail(theatre: Theatre, story: Story, role: str) -> None:
    run_all(build_cases(theatre, story, role, FAULTS, is_short=is_short))


@pytest.mark.matrix
@pytest.mark.parametrize("role", ["operator", "api"])
def test_any_call_of_a_start_may_fail(theatre: Theatre, role: str) -> None:
    run_all(build_boot_cases(theatre, role, FAULTS))
