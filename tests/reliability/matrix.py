"""Many cases of one kind, several at a time: most of a case is waiting for a lease to run out.

DIEM_RELIABILITY=long        every case, instead of a choice that fits into minutes
DIEM_RELIABILITY_CASE=TEXT   only cases with this in their name, to replay what a failure has named
"""

import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.reliability.proxy import Call, Exchange

AT_ONCE = 10
MANY_RENEWALS = 2
IS_LONG = os.environ.get("DIEM_RELIABILITY", "short") == "long"
ONLY = os.environ.get("DIEM_RELIABILITY_CASE", "")

UNMET: list[str] = []
"""Of which cases the summary of all tests is to say that their fault was not met."""

long_form = pytest.mark.skipif(not IS_LONG, reason="belongs to the long form")
"""Marks a test that the short form has no time for."""


@dataclass(frozen=True)
class Case:
    """One cell of a matrix.

    Attributes:
        run: plays it; returns False if the fault was not met, as what it was put on need not come each time.
    """

    name: str
    run: Callable[[], object]
    is_long: bool = False


@dataclass(frozen=True)
class Point:
    """A call of an undisturbed story, so that it is found again whatever else is different: the n-th of its kind.

    Attributes:
        is_boot: the process did not serve yet, and they are counted apart.
    """

    what: str
    nth: int
    is_boot: bool = False

    def __str__(self) -> str:
        return f"{'boot: ' if self.is_boot else ''}{self.what} #{self.nth}"


class Reaching:
    """A condition that holds for one call: the n-th of its kind."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._count = 0

    def __call__(self, call: Call) -> bool:
        if (call.what, call.is_boot) != (self._point.what, self._point.is_boot):
            return False
        self._count += 1
        return self._count == self._point.nth


def list_points(exchanges: Iterable[Exchange]) -> list[Point]:
    """Return the calls of a story, in order; of the lease's renewals, which are all alike, two."""
    points: list[Point] = []
    counts: Counter[tuple[str, bool]] = Counter()
    for call in (exchange.call for exchange in exchanges):
        counts[call.what, call.is_boot] += 1
        nth = counts[call.what, call.is_boot]
        if call.what != "update leases" or nth <= MANY_RENEWALS:
            points.append(Point(call.what, nth, call.is_boot))
    return points


def run_all(cases: Sequence[Case], *, at_once: int = AT_ONCE) -> None:
    """Run the cases that are asked for.

    Args:
        cases: of which the form and DIEM_RELIABILITY_CASE choose.
        at_once: how many; one, if they disturb what all share.

    Raises:
        AssertionError: some failed; with the end of each one's story. Or none met its fault.
    """
    chosen = [case for case in cases if ONLY in case.name and (IS_LONG or ONLY or not case.is_long)]
    if not chosen:
        pytest.skip("none of these cases belongs to the short form")
    failures, unmet = [], []
    with ThreadPoolExecutor(at_once) as pool:
        for case, (is_met, failure) in zip(chosen, pool.map(_run, chosen), strict=True):
            if failure:
                failures.append(failure)
                print(f"failed, and told of below: {case.name}", flush=True)
            elif not is_met:
                unmet.append(case.name)
    held = len(chosen) - len(failures) - len(unmet)
    print(f"{held} of {len(chosen)} cases held ({len(cases)} in the long form)")
    if unmet:
        print("These held without their fault, as what it was put on did not come:", *unmet, sep="\n  ")
        UNMET.append(f"{len(unmet)} of {len(chosen)} cases held without their fault, such as {unmet[0]}")
    assert held or failures or ONLY, "no case met its fault, so nothing was shown"
    assert failures == [], f"{len(failures)} of {len(chosen)} cases failed:\n\n" + "\n\n".join(failures)


def _run(case: Case) -> tuple[bool, str]:
    """Return whether the fault was met, and what went wrong."""
    try:
        return case.run() is not False, ""
    except Exception:  # noqa: BLE001 - each failure is told, and the others go on
        replay = f"make reliability CASE='{case.name}'"
        return True, f"=== {replay}\n{traceback.format_exc(limit=-4)}"
