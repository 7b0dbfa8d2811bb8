"""The only place that reads a clock of the machine; decisions get the time as an argument."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the wall time in UTC; for what people read, never for the order of things."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


def steady_seconds() -> float:
    """Return seconds on a clock that never steps and goes on while the machine sleeps.

    CLOCK_MONOTONIC stands still during a suspend, in which another replica may well take over a lease; where the
    platform has no CLOCK_BOOTTIME it is still the best there is.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
