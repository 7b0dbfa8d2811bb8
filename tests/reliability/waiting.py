"""Waits for what must come to be."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.05


def eventually(what: str, holds: Callable[[], bool], *, within_seconds: float = 60.0) -> None:
    """Return as soon as it holds.

    Raises:
        AssertionError: it did not in time.
    """
    deadline = time.monotonic() + within_seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {within_seconds} s: {what}")
        time.sleep(POLL_SECONDS)
