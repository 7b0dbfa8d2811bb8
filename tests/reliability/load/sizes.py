"""How much load, and for how long."""

import os
from dataclasses import dataclass

from tests.reliability.matrix import IS_LONG

RUN_HISTORY = 5
"""Runs that each DiemJob's status keeps."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """One form of the load.

    Attributes:
        diemjobs: how many there are.
        live: how many runs are kept alive.
        seconds: how long.
        run_seconds: how long a run takes on average.
    """

    diemjobs: int = 200
    live: int = 20
    seconds: float = 14.0
    run_seconds: float = 2.0

    @property
    def is_long(self) -> bool:
        """Whether it lasts long enough to tell how memory grows."""
        return self.seconds >= 600

    @property
    def active(self) -> int:
        """How many DiemJobs ever run: few enough that each has its full history soon, so that memory may be flat."""
        return min(self.diemjobs, self.live * 2)


def read_sizes() -> Sizes:
    """Return the sizes that the environment asks for."""
    form = Sizes(diemjobs=10_000, live=200, seconds=600.0, run_seconds=20.0) if IS_LONG else Sizes()
    seconds = float(os.environ.get("DIEM_LOAD_SECONDS", form.seconds))
    return Sizes(
        diemjobs=int(os.environ.get("DIEM_LOAD_DIEMJOBS", form.diemjobs)),
        live=int(os.environ.get("DIEM_LOAD_LIVE", form.live)),
        seconds=seconds,
        run_seconds=float(os.environ.get("DIEM_LOAD_RUN_SECONDS", form.run_seconds)),
    )
