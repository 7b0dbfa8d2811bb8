"""A few Events of a kind appear one by one; a flood becomes one a minute."""

import msgspec

from diem_operator.model.names import RunId, Uid
from diem_operator.reconciler.event_manifest import EventDraft
from diem_operator.reconciler.event_series import MAX_SERIES, EventSeries
from tests.builders import NOW, make_diemjob

BURST = 10
REFILL_SECONDS = 60.0


def make_draft(number: int, **changes: object) -> EventDraft:
    draft = EventDraft(
        about=make_diemjob().metadata,
        run_id=RunId(f"run-{number}"),
        reason="RunStarted",
        message=f"Run {number} started",
        type="Normal",
        at=NOW,
    )
    return msgspec.structs.replace(draft, **changes)


def admit_many(series: EventSeries, count: int, *, now: float = 0.0) -> list[bool]:
    return [series.admit(make_draft(number), now=now) for number in range(count)]


def test_first_ones_appear_and_the_rest_is_held_back() -> None:
    series = EventSeries(burst=BURST, refill_seconds=REFILL_SECONDS)
    assert admit_many(series, BURST + 3) == [True] * BURST + [False] * 3
    assert series.holds_back


def test_held_back_ones_become_one_when_the_next_may_appear() -> None:
    series = EventSeries(burst=BURST, refill_seconds=REFILL_SECONDS)
    admit_many(series, BURST + 3)
    assert series.release(now=REFILL_SECONDS - 1) == ()
    (combined,) = series.release(now=REFILL_SECONDS)
    assert combined.count == 3
    assert combined.message == f"(combined from 3 similar events) Run {BURST + 2} started"
    assert not series.holds_back


def test_released_one_is_spent() -> None:
    series = EventSeries(burst=BURST, refill_seconds=REFILL_SECONDS)
    admit_many(series, BURST + 1)
    assert len(series.release(now=REFILL_SECONDS)) == 1
    assert series.release(now=REFILL_SECONDS) == ()
    assert not series.admit(make_draft(99), now=REFILL_SECONDS)


def test_none_overtakes_those_held_back() -> None:
    series = EventSeries(burst=BURST, refill_seconds=REFILL_SECONDS)
    admit_many(series, BURST + 1)
    assert not series.admit(make_draft(99), now=REFILL_SECONDS)
    (combined,) = series.release(now=REFILL_SECONDS)
    assert combined.count == 2


def test_quiet_time_restores_the_burst_and_no_more() -> None:
    series = EventSeries(burst=BURST, refill_seconds=REFILL_SECONDS)
    admit_many(series, BURST)
    assert admit_many(series, BURST + 1, now=1000 * REFILL_SECONDS) == [True] * BURST + [False]


def test_other_reasons_and_resources_are_not_affected() -> None:
    series = EventSeries(burst=BURST, refill_seconds=REFILL_SECONDS)
    admit_many(series, BURST + 1)
    other = msgspec.structs.replace(make_diemjob().metadata, uid=Uid("other"))
    assert series.admit(make_draft(1, reason="RunFailed"), now=0)
    assert series.admit(make_draft(1, about=other), now=0)


def test_memory_is_bounded() -> None:
    series = EventSeries(burst=BURST, refill_seconds=REFILL_SECONDS)
    metadata = make_diemjob().metadata
    for number in range(MAX_SERIES + 10):
        series.admit(make_draft(1, about=msgspec.structs.replace(metadata, uid=Uid(str(number)))), now=0)
    assert len(series) == MAX_SERIES


def test_series_that_is_forgotten_holds_nothing_back() -> None:
    series = EventSeries(burst=BURST, refill_seconds=REFILL_SECONDS)
    metadata = make_diemjob().metadata
    admit_many(series, BURST + 1)
    for number in range(MAX_SERIES):
        series.admit(make_draft(1, about=msgspec.structs.replace(metadata, uid=Uid(str(number)))), now=0)
    assert not series.holds_back
    assert series.release(now=REFILL_SECONDS) == ()
