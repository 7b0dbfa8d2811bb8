"""A write is carried out, and whoever asked for it never hears of it; or it is lost on its way, or comes late."""

from collections.abc import Mapping

import pytest

from tests.reliability.matrix import Point, run_all
from tests.reliability.playing import Theatre
from tests.reliability.points import MakeFault, build_boot_cases, build_cases, changes_something, is_write
from tests.reliability.proxy.faults import RESET, SILENCE, LoseReply, LoseRequest, Straggle, Truncate, refusal
from tests.reliability.story import Story, list_stories

FAULTS: Mapping[str, MakeFault] = {
    "reply lost by a reset": lambda _: LoseReply(RESET),
    "reply lost in silence": lambda _: LoseReply(SILENCE),
    "reply replaced by 500": lambda _: LoseReply(refusal(500)),
    "reply replaced by 504": lambda _: LoseReply(refusal(504)),
    "reply cut short": lambda _: Truncate(is_reset=False),
    "reply broken off": lambda _: Truncate(is_reset=True),
    "request lost by a reset": lambda _: LoseRequest(RESET),
    "request lost in silence": lambda _: LoseRequest(SILENCE),
    "request comes late": lambda _: Straggle(after_seconds=4),
}


def is_short(story: Story, point: Point, fault: str) -> bool:
    is_chosen = story.name == "run_is_stopped_and_started_again"
    return is_chosen and point.nth == 1 and fault in {"reply lost by a reset", "reply replaced by 500"}


@pytest.mark.matrix
@pytest.mark.parametrize("role", ["operator", "api"])
@pytest.mark.parametrize("story", list_stories(), ids=str)
def test_answer_to_any_write_may_be_lost(theatre: Theatre, story: Story, role: str) -> None:
    run_all(build_cases(theatre, story, role, FAULTS, points=is_write, is_short=is_short))


@pytest.mark.matrix
@pytest.mark.parametrize("role", ["operator", "api"])
def test_answer_to_any_write_of_a_start_may_be_lost(theatre: Theatre, role: str) -> None:
    run_all(build_boot_cases(theatre, role, FAULTS, points=changes_something))
