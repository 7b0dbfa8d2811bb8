"""Runs one of our programs with a clock that is wrong: `python -m tests.reliability.skewed SECONDS operator …`.

Wall time is read in one module of ours, which is replaced before any other module has imported it; and in kopf, which
compares it with when the credentials end that we have given it.
"""

import sys
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Self

from kopf._cogs.structs import credentials

from diem_operator import clock


def main(offset_seconds: float, arguments: list[str]) -> None:
    offset, right_now = timedelta(seconds=offset_seconds), clock.now

    class WrongDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + offset

    clock.now = lambda: right_now() + offset
    vars(credentials)["datetime"] = SimpleNamespace(datetime=WrongDatetime, UTC=UTC)
    from diem_operator.cli import main as run  # noqa: PLC0415 - only now may others import the clock

    run(arguments)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
