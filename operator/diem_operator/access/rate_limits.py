"""How often somebody may do something: a rate with a burst, for each subject, in bounded memory.

The generic cell rate algorithm: all that is kept of a subject is the moment until which its events are paid for.

    paid until ≤ now ──► idle, the same as unknown: forgotten as soon as room is made
    paid until > now ──► in debt; the event is refused where the debt is that of the whole burst

Where more subjects are in debt than there is room for, the one with the least debt goes. So whoever wants to have a hot
subject forgotten must first run up as much debt for every other one, which costs more than it brings.
"""

import heapq
from typing import Final

MAX_SUBJECTS: Final = 10_000
"""Some 2 MB."""


class RateLimiter:
    """Counts events by subject.

    Args:
        per_second: events that each subject may cause in the long run; above 0.
        burst: events that an idle subject may cause at once; 1 or more.
        max_subjects: how many are remembered.
    """

    def __init__(self, *, per_second: float, burst: int, max_subjects: int = MAX_SUBJECTS) -> None:
        self._interval_seconds = 1 / per_second
        # Half an interval on top: sums of intervals are not exact, and the burst is.
        self._allowed_debt_seconds = (burst - 0.5) * self._interval_seconds
        self._max_subjects = max_subjects
        self._paid_until: dict[str, float] = {}
        # One entry a subject, perhaps with an earlier time than the true one: put right when it comes to the top.
        self._by_time: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._paid_until)

    def admit(self, subject: str, *, now: float) -> float:
        """Count an event, unless it is one too many.

        Args:
            subject: who causes it.
            now: seconds on a clock that never steps back.

        Returns:
            0 where it is admitted, else the seconds until one will be. What is refused is not counted.
        """
        paid_until = max(self._paid_until.get(subject, now), now)
        wait_seconds = paid_until - now - self._allowed_debt_seconds
        if wait_seconds > 0:
            return wait_seconds
        if subject not in self._paid_until:
            self._make_room(now)
            heapq.heappush(self._by_time, (paid_until + self._interval_seconds, subject))
        self._paid_until[subject] = paid_until + self._interval_seconds
        return 0.0

    def _make_room(self, now: float) -> None:
        """Forget who is idle; of those in debt no more than needed."""
        while self._by_time:
            recorded, subject = self._by_time[0]
            paid_until = self._paid_until[subject]
            if paid_until != recorded:
                heapq.heapreplace(self._by_time, (paid_until, subject))
            elif paid_until > now and len(self._paid_until) < self._max_subjects:
                return
            else:
                heapq.heappop(self._by_time)
                del self._paid_until[subject]
