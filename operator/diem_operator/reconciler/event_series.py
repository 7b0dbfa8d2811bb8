"""How many Events of one kind a DiemJob may have before they are combined; pure, the time is an argument.

A DiemJob on a busy schedule, or one that fails at once whenever it is started, would fill its namespace with Events
that nobody reads. Of each reason a few appear one by one; after that, one a minute stands for all.
"""

from collections import OrderedDict
from typing import Final

from diem_operator.reconciler.event_manifest import EventDraft, combine

MAX_SERIES: Final = 4096

_Key = tuple[str, str]
"""The uid of a DiemJob, and a reason."""


class _Series:
    """The Events of one reason about one DiemJob."""

    def __init__(self, now: float, *, allowance: float) -> None:
        self.allowance = allowance
        self.refilled_at = now
        self.held_back = 0
        self.latest: EventDraft | None = None


class EventSeries:
    """Decides for each draft: now, or later as part of a combined one.

    Args:
        burst: as many of a series appear one by one.
        refill_seconds: after this long, one more may.
    """

    def __init__(self, *, burst: int = 10, refill_seconds: float = 60.0) -> None:
        self._burst = float(burst)
        self._refill_seconds = refill_seconds
        self._series: OrderedDict[_Key, _Series] = OrderedDict()
        self._holding_back: dict[_Key, _Series] = {}  # those of them with held-back Events

    def __len__(self) -> int:
        return len(self._series)

    def admit(self, draft: EventDraft, *, now: float) -> bool:
        """Return whether to post the draft now; if not, it is held back.

        Args:
            draft: the new one.
            now: seconds on a clock that never steps.
        """
        key = (draft.about.uid, draft.reason)
        series = self._find(key, now)
        self._refill(series, now)
        if series.allowance >= 1 and not series.held_back:
            series.allowance -= 1
            return True
        series.held_back += 1
        series.latest = draft
        self._holding_back[key] = series
        return False

    def release(self, *, now: float) -> tuple[EventDraft, ...]:
        """Return the combined drafts that may be posted by now."""
        due = [key for key, series in self._holding_back.items() if self._is_due(series, now)]
        return tuple(self._combine(self._holding_back.pop(key)) for key in due)

    @property
    def holds_back(self) -> bool:
        """Whether `release` will have something to return some time."""
        return bool(self._holding_back)

    def _find(self, key: _Key, now: float) -> _Series:
        series = self._series.setdefault(key, _Series(now, allowance=self._burst))
        self._series.move_to_end(key)
        if len(self._series) > MAX_SERIES:
            oldest, _ = self._series.popitem(last=False)
            self._holding_back.pop(oldest, None)
        return series

    def _refill(self, series: _Series, now: float) -> None:
        gained = (now - series.refilled_at) / self._refill_seconds
        series.allowance = min(self._burst, series.allowance + gained)
        series.refilled_at = now

    def _is_due(self, series: _Series, now: float) -> bool:
        self._refill(series, now)
        return series.allowance >= 1

    @staticmethod
    def _combine(series: _Series) -> EventDraft:
        assert series.latest is not None, "held back means there is a latest one"
        combined = combine(series.latest, count=series.held_back)
        series.allowance -= 1
        series.held_back, series.latest = 0, None
        return combined
