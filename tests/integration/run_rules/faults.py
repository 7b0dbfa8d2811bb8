"""What befalls operators: they freeze, and they die without a word."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.operator_process import OperatorProcess


@contextmanager
def paused(*operators: OperatorProcess) -> Iterator[None]:
    """Freeze operators while the block runs; then all of them go on at once, with what they have missed."""
    for operator in operators:
        operator.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for operator in operators:
            operator.process.send_signal(signal.SIGCONT)


def kill(operator: OperatorProcess) -> None:
    """End an operator as a crash does: its Lease stays taken."""
    operator.process.kill()
    operator.process.wait()
