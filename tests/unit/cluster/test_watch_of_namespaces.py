"""What is said of all namespaces together, and of each, when reads are refused in some."""

import asyncio

import pytest

from diem_operator.cluster.reflector import Reflector, Watch
from diem_operator.model.diemjob import DiemJob

SECONDS = 60.0


class PlayedReflector(Reflector[DiemJob]):
    """One whose state the test says."""

    def __init__(self, namespace: str | None, state: str) -> None:
        self._namespace = namespace
        self.state = state

    @property
    def is_synced(self) -> bool:
        return self.state in {"confirmed", "silent", "refused", "just refused"}

    @property
    def is_refused(self) -> bool:
        return "refused" in self.state

    @property
    def confirmed_at(self) -> float | None:
        now = asyncio.get_running_loop().time()
        return {"confirmed": now, "just refused": now, "silent": now - 61, "refused": now - 61}.get(self.state)


def make_watch(*states: str) -> Watch[DiemJob]:
    """Return the watch of team-a, team-b and so on."""
    return Watch([PlayedReflector(f"team-{chr(ord('a') + place)}", state) for place, state in enumerate(states)])


@pytest.mark.parametrize(
    ("states", "is_synced", "is_confirmed"),
    [
        (["confirmed", "confirmed"], True, True),
        (["confirmed", "silent"], True, False),
        (["confirmed", "not listed"], False, False),
        (["confirmed", "refused"], True, True),
        (["confirmed", "just refused"], True, True),
        (["confirmed", "refused, never listed"], True, True),
        (["silent", "refused, never listed"], True, False),
        (["not listed", "refused, never listed"], False, False),
        (["refused", "refused"], True, False),
        (["refused", "just refused"], True, True),
        (["refused, never listed", "refused, never listed"], False, False),
    ],
)
async def test_refused_namespace_is_left_out_as_long_as_there_is_another(
    states: list[str], is_synced: bool, is_confirmed: bool
) -> None:
    watch = make_watch(*states)
    assert watch.is_synced is is_synced
    assert watch.is_confirmed(within_seconds=SECONDS) is is_confirmed


@pytest.mark.parametrize(
    ("state", "is_synced", "is_confirmed"),
    [
        ("confirmed", True, True),
        ("silent", True, False),
        ("not listed", False, False),
        ("refused", True, False),
        ("just refused", True, True),
        ("refused, never listed", False, False),
    ],
)
async def test_refusal_changes_nothing_for_one_that_watches_all(
    state: str, is_synced: bool, is_confirmed: bool
) -> None:
    watch = Watch([PlayedReflector(None, state)])
    assert watch.is_synced is is_synced
    assert watch.may_lack("team-a") is not is_synced
    assert watch.is_confirmed(within_seconds=SECONDS) is is_confirmed
    assert watch.is_confirmed(within_seconds=SECONDS, namespace="team-a") is is_confirmed


@pytest.mark.parametrize(
    ("state", "is_confirmed", "may_lack"),
    [
        ("confirmed", True, False),
        ("silent", False, False),
        ("not listed", False, True),
        ("refused", False, True),
        ("just refused", True, True),
        ("refused, never listed", False, True),
    ],
)
@pytest.mark.parametrize("other", ["confirmed", "silent", "refused", "refused, never listed"])
async def test_what_is_said_of_one_namespace_is_its_own(
    state: str, other: str, is_confirmed: bool, may_lack: bool
) -> None:
    watch = make_watch(state, other)
    assert watch.is_confirmed(within_seconds=SECONDS, namespace="team-a") is is_confirmed
    assert watch.may_lack("team-a") is may_lack


async def test_no_namespace_is_confirmed_before_all_that_may_be_read_are_listed() -> None:
    """A token may be claimed elsewhere, and first."""
    watch = make_watch("confirmed", "not listed")
    assert not watch.is_confirmed(within_seconds=SECONDS, namespace="team-a")


async def test_namespace_that_is_not_watched_lacks_nothing_and_is_not_confirmed() -> None:
    watch = make_watch("confirmed", "confirmed")
    assert not watch.may_lack("elsewhere")
    assert not watch.is_confirmed(within_seconds=SECONDS, namespace="elsewhere")
