"""Waiting with an end."""

import pytest

from hack.local.errors import NotInTimeError
from hack.local.waiting import wait_for


def test_first_thing_found_is_returned() -> None:
    looks = iter(["", "", "found", "later"])

    assert wait_for("it", lambda: next(looks)) == "found"


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(NotInTimeError, match="Waited 0 s in vain for a miracle"):
        wait_for("a miracle", lambda: None, within_seconds=0.0)
