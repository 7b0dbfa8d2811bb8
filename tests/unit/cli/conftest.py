"""Commands set up logging for the whole process; tests put it back."""

import logging
from collections.abc import Iterator

import pytest

from diem_operator.cli.logs import QUIET_LOGGERS


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what configure_logging does to the whole process."""
    root = logging.getLogger()
    quiet = [logging.getLogger(name) for name in QUIET_LOGGERS]
    before = (root.handlers[:], root.level, [logger.level for logger in quiet])
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before[0], before[1]
    for logger, level in zip(quiet, before[2], strict=True):
        logger.setLevel(level)
