"""Runs one of our programs with a clock that is wrong: `python -m tests.reliability.skewed SECONDS operator …`.

Wall time is read in one module; it is replaced before any other module has imported it.
"""

import sys
from datetime import datetime, timedelta

from diem_operator import clock


def main(offset_seconds: float, arguments: list[str]) -> None:
    right_now = clock.now

    def wrong_now() -> datetime:
        return right_now() + timedelta(seconds=offset_seconds)

    clock.now = wrong_now
    from diem_operator.cli import main as run  # noqa: PLC0415 - only now may others import the clock

    run(arguments)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
