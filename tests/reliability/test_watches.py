"""Watches freeze, fall silent, jump back, lose, double and disorder their events: decisions do not rest on them."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from tests.reliability.installation import KEY, Installation
from tests.reliability.matrix import Case, long_form, run_all
from tests.reliability.playing import Theatre
from tests.reliability.proxy import Call
from tests.reliability.proxy.faults import LoseRequest, refusal
from tests.reliability.proxy.rules import Fault, Rule
from tests.reliability.proxy.watches import (
    Rewound,
    Watching,
    coalesced,
    dropped,
    duplicated,
    ended,
    failed,
    frozen,
    garbled,
    half_open,
    reordered,
    replayed,
    trickled,
    truncated,
    without_bookmarks,
)
from tests.reliability.scene import PATIENCE_SECONDS
from tests.reliability.story import Story, find_story, list_stories

ALWAYS: dict[str, Callable[[], Fault]] = {
    "doubled": lambda: Watching(duplicated),
    "replayed": lambda: Watching(replayed),
    "disordered": lambda: Watching(reordered(3)),
    "coalesced": lambda: Watching(coalesced(within_seconds=0.5)),
    "in pieces": lambda: Watching(trickled(pieces=5, pause_seconds=0.1)),
    "without bookmarks": lambda: Watching(without_bookmarks),
    "told from the beginning again and again": lambda: Rewound(progress=2),
    "ended after each event": lambda: Watching(ended(after=1)),
    "broken after each event": lambda: Watching(ended(after=1, is_reset=True)),
}
"""What watches do from their first to their last."""

ONCE: dict[str, Callable[[], Fault]] = {
    "frozen for a while": lambda: Watching(frozen(after=2, seconds=10)),
    "ended with 410": lambda: Watching(failed(410, after=2)),
    "ended with 500": lambda: Watching(failed(500, after=2)),
    "ended with 429": lambda: Watching(failed(429, after=2)),
    "ended within an event": lambda: Watching(truncated(after=2)),
    "with a line that is no JSON": lambda: Watching(garbled(after=0)),
    "refused with 410": lambda: LoseRequest(refusal(410)),
    "refused with 401": lambda: LoseRequest(refusal(401)),
    "refused with 403": lambda: LoseRequest(refusal(403)),
    "refused with 429": lambda: LoseRequest(refusal(429, retry_after="1")),
    "refused with 503": lambda: LoseRequest(refusal(503)),
}
"""What happens to the first watch of each kind."""

BLIND: dict[str, Callable[[], Fault]] = {
    "half-open": lambda: Watching(half_open()),
    "without deletions": lambda: Watching(dropped(lambda event: event["type"] == "DELETED")),
    "without changes": lambda: Watching(dropped(lambda event: event["type"] == "MODIFIED")),
}
"""What hides events for good: the comparison with LISTs finds them."""

WATCHED = {"operator": ("jobs", "diemjobs", "diemapikeys"), "api": ("diemjobs", "diemapikeys")}
QUICK_RESYNC = ("--resync=2",)

HALF_OPEN_PATIENCE_SECONDS = 150.0
"""The API begins a watch anew that has told nothing for 70 seconds, a bookmark's time and some more."""

CHOSEN = {
    "replayed",
    "disordered",
    "broken after each event",
    "told from the beginning again and again",
    "ended with 410",
    "with a line that is no JSON",
}
"""What the short form tries of the first two tables."""


def check(
    theatre: Theatre,
    story: Story,
    role: str,
    make_fault: Callable[[], Fault],
    *,
    times: int | None,
    arguments: Sequence[str] = (),
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Play a story with a fault for the watches of one process, of each kind of object for itself."""
    rules: list[Rule] = []

    def arrange(installation: Installation) -> None:
        program = installation.operator if role == "operator" else installation.api
        rules.extend(
            program.proxy.rules.add(partial(is_watch_of, resource), make_fault(), times=times)
            for resource in WATCHED[role]
        )

    theatre.check(story, arrange, arguments=arguments, patience_seconds=patience_seconds)
    assert all(rule.met for rule in rules), "a kind of object was not watched"


def is_watch_of(resource: str, call: Call) -> bool:
    return call.what == f"watch {resource}"


def build_cases(theatre: Theatre, story: Story, role: str) -> list[Case]:
    is_chosen = story.name == "run_is_stopped_and_started_again"
    endless = [(name, make_fault, None) for name, make_fault in ALWAYS.items()]
    single = [(name, make_fault, 1) for name, make_fault in ONCE.items()]
    return [
        Case(
            name=f"{story} {role} watches {name}",
            run=partial(check, theatre, story, role, make_fault, times=times),
            is_long=not is_chosen or name not in CHOSEN,
        )
        for name, make_fault, times in (*endless, *single)
    ]


@pytest.mark.matrix
@pytest.mark.parametrize("role", ["operator", "api"])
@pytest.mark.parametrize("story", list_stories(), ids=str)
def test_watches_may_do_what_they_like(theatre: Theatre, story: Story, role: str) -> None:
    run_all(build_cases(theatre, story, role))


@long_form
@pytest.mark.parametrize("fault", BLIND)
def test_what_watches_hide_is_found_by_looking(theatre: Theatre, fault: str) -> None:
    story = find_story("run_is_stopped_and_started_again")
    check(theatre, story, "operator", BLIND[fault], times=None, arguments=QUICK_RESYNC)


def test_revocation_that_the_api_is_not_told_of_is_found_by_listing(theatre: Theatre) -> None:
    def arrange(installation: Installation) -> None:
        installation.api.proxy.rules.add(partial(is_watch_of, "diemapikeys"), BLIND["without changes"]())

    with theatre.stage(api_arguments=QUICK_RESYNC, arrange=arrange) as stage:
        stage.kube.patch("diemapikeys", stage.namespace, KEY, {"spec": {"revoked": True}})
        stage.wait_until("the key opens nothing", lambda: not stage.installation.is_let_in())
        stage.kube.patch("diemapikeys", stage.namespace, KEY, {"spec": {"revoked": False}})
        stage.wait_until("the key opens its door again", stage.installation.is_let_in)


@long_form
@pytest.mark.parametrize("after", [1, 2, 4])
def test_api_whose_first_watches_fall_silent_decides_right(theatre: Theatre, after: int) -> None:
    """What it decides rests on the API server; what it tells is right again once the watches have begun anew."""
    story = find_story("run_is_stopped_and_started_again")
    check(
        theatre,
        story,
        "api",
        lambda: Watching(half_open(after=after)),
        times=1,
        patience_seconds=HALF_OPEN_PATIENCE_SECONDS,
    )


@pytest.mark.parametrize(("role", "resource"), [("operator", "jobs"), ("operator", "diemjobs"), ("api", "diemjobs")])
def test_watch_that_the_api_server_no_longer_remembers_begins_with_a_list(
    theatre: Theatre, role: str, resource: str
) -> None:
    """As after a compaction of etcd: the place to go on from is too old, however often it is asked for."""
    with theatre.stage() as stage:
        program = stage.installation.operator if role == "operator" else stage.installation.api
        proxy = program.proxy
        forgotten = stage.watch_anew(program, resource, LoseRequest(refusal(410)))
        stage.wait_until("a watch is refused again and again", lambda: len(forgotten.met) > 1)
        begun = len(proxy.exchanges)
        stage.wait_until(
            "a list was asked for",
            lambda: any(each.call.what == f"list {resource}" for each in proxy.exchanges[begun:]),
        )
