"""Several operators: who leads is frozen, cut off, killed or wrong about the time, and still only the leader writes."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

import pytest

from tests.reliability.history import History
from tests.reliability.installation import Installation
from tests.reliability.matrix import IS_LONG, Case, Point, long_form, run_all
from tests.reliability.people import make_diemjob
from tests.reliability.playing import Outcome, Theatre, conclude
from tests.reliability.points import interrupt, list_calls
from tests.reliability.processes import Program
from tests.reliability.proxy import Call, Rule
from tests.reliability.proxy.faults import SILENCE, Delay, Hold, LoseRequest
from tests.reliability.story import Story, find_story, list_stories
from tests.reliability.waiting import eventually

MANY = 24

CREATED = Point("create jobs", 1)
TOLD = Point("patch diemjobs/status", 2)


def freeze_leader(installation: Installation, *, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Stop the leader past its lease, and let it go on when another one leads."""
    installation.operator.pause()
    wait_for_another_leader(installation)
    meanwhile()
    installation.operator.resume()


def cut_leader_off(installation: Installation) -> None:
    """Take the leader's network away past its lease."""
    installation.operator.proxy.cut()
    wait_for_another_leader(installation)
    installation.operator.proxy.mend()


def silence_lease(installation: Installation, *, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Let none of the leader's calls about its lease be answered; all others are."""
    rule = installation.operator.proxy.rules.add(is_about_lease, LoseRequest(SILENCE))
    wait_for_another_leader(installation)
    meanwhile()
    installation.operator.proxy.rules.remove(rule)


def kill_leader(installation: Installation) -> None:
    installation.operator.kill()


def is_about_lease(call: Call) -> bool:
    return call.resource == "leases"


def wait_for_another_leader(installation: Installation) -> None:
    eventually("another operator leads", lambda: any(each.is_leader for each in installation.operators[1:]))


DEEDS = {
    "is frozen": freeze_leader,
    "is cut off": cut_leader_off,
    "loses its lease": silence_lease,
    "is killed": kill_leader,
}


def check_interrupted(
    theatre: Theatre, story: Story, point: Point, deed: Callable[[Installation], None], *, operators: int
) -> None:
    """Play a story in which a deed begins at a point."""
    rules: list[Rule] = []
    theatre.check(
        story,
        lambda here: rules.append(interrupt(here, point, partial(deed, here), is_after=True)),
        operators=operators,
    )
    assert all(rule.met for rule in rules), "it never happened"


def is_short(story: Story, point: Point, operators: int) -> bool:
    return story.name == "run_is_stopped_and_started_again" and point == CREATED and operators == 2


def build_cases(theatre: Theatre, story: Story) -> list[Case]:
    calls = list_calls(theatre, story, "operator")
    return [
        Case(
            name=f"{story} leader of {operators} {name} at {point}",
            run=partial(check_interrupted, theatre, story, point, deed, operators=operators),
            is_long=not is_short(story, point, operators),
        )
        for name, deed in DEEDS.items()
        for point in (CREATED, TOLD)
        if point in calls
        for operators in (2, 3)
    ]


@pytest.mark.matrix
@pytest.mark.parametrize("story", list_stories(), ids=str)
def test_leader_may_be_lost_at_any_time(theatre: Theatre, story: Story) -> None:
    run_all(build_cases(theatre, story))


class Disturb(Protocol):
    """Takes the leader's lease away, calls `meanwhile` when another one leads, and lets the first go on."""

    def __call__(self, installation: Installation, *, meanwhile: Callable[[], object]) -> None: ...


def play_many(theatre: Theatre, disturb: Disturb) -> Outcome:
    """Start many runs at once, and have it all judged; the leader gets the answers to its writes when it leads no more.

    Then it knows what comes next, and only its fence tells it that this is not its to do.
    """
    hold = Hold(is_answer=True)
    with theatre.stage(operators=2) as stage:
        leader = stage.installation.operator
        for place in range(MANY):
            stage.create(make_diemjob(f"etl-{place}", pod={"run-for": "100ms"}))
        for place in range(MANY):
            stage.wait_answered(f"etl-{place}")
        rule = leader.proxy.rules.add(lambda call: call.is_write and not is_about_lease(call), hold)
        for place in range(MANY):
            stage.set_state(f"etl-{place}", "running")
        eventually("writes are under way", lambda: len(rule.met) > 8)
        try:
            disturb(stage.installation, meanwhile=hold.release)
        finally:
            hold.release()
        for place in range(MANY):
            stage.wait_run(f"etl-{place}", "Completed", "state-1")
        return conclude(stage)


@pytest.mark.parametrize(
    "disturb", [freeze_leader, pytest.param(silence_lease, marks=long_form)], ids=["frozen", "lease-lost"]
)
def test_leader_that_comes_back_to_unfinished_work_writes_nothing(theatre: Theatre, disturb: Disturb) -> None:
    outcome = play_many(theatre, disturb)

    assert outcome.complaints == []
    assert count_leaders(outcome.history) >= 2, "nobody took over, so nothing was shown"


def count_leaders(history: History) -> int:
    holders = {
        each.answered["spec"].get("holderIdentity")
        for each in history.exchanges
        if is_about_lease(each.call) and each.is_stored
    }
    return len(holders - {None, ""})


def test_new_leader_lists_once_and_a_standby_that_takes_over_anew(theatre: Theatre) -> None:
    with theatre.site.install(operators=2) as installation:
        leader, standby = installation.operators
        lists = [
            each.proxy.rules.add(lambda call: call.what == "list diemjobs", Delay(0.5)) for each in (leader, standby)
        ]
        for each in (leader, standby):
            each.start()
            each.wait_ready()
        assert [len(each.met) for each in lists] == [1, 1]
        leader.stop()
        eventually("the standby has listed what it leads", lambda: standby.is_leader and len(lists[1].met) > 1)
        threading.Event().wait(2)
        assert len(lists[1].met) == 2


WHOSE_CLOCK: dict[str, Callable[[Installation], Program]] = {
    "leader": lambda installation: installation.operators[0],
    "successor": lambda installation: installation.operators[1],
    "api": lambda installation: installation.api,
}


@pytest.mark.parametrize("minutes", [-10, 10] if IS_LONG else [10])
@pytest.mark.parametrize("whose", WHOSE_CLOCK if IS_LONG else ["leader"])
def test_clock_may_be_wrong(theatre: Theatre, whose: str, minutes: int) -> None:
    """One clock is off; the leader is killed, and another one goes on."""

    rules: list[Rule] = []

    def arrange(installation: Installation) -> None:
        WHOSE_CLOCK[whose](installation).clock_offset_seconds = minutes * 60
        rules.append(interrupt(installation, CREATED, installation.operator.kill, is_after=True))

    theatre.check(find_story("run_is_stopped_and_started_again"), arrange, operators=2)
    assert all(rule.met for rule in rules), "it never happened"
