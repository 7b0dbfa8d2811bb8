"""Waiting for what becomes true by itself, with an end."""

import time
from collections.abc import Callable
from typing import TypeVar

from hack.local.errors import NotInTimeError

_POLL_SECONDS = 0.1

Found = TypeVar("Found")


def wait_for(what: str, find: Callable[[], Found | None], *, within_seconds: float = 60.0) -> Found:
    """Return the first thing found that counts as true.

    Args:
        what: the error's name for it.
        find: looks once.
        within_seconds: after this long it is given up.

    Raises:
        NotInTimeError: it was not found in time.
    """
    deadline = time.monotonic() + within_seconds
    while not (found := find()):
        if time.monotonic() > deadline:
            raise NotInTimeError(f"Waited {within_seconds:.0f} s in vain for {what}")
        time.sleep(_POLL_SECONDS)
    return found
