"""Turns the signals that ask this process to end into exceptions, so that clusters are taken down on the way out.

Changes only what nobody else has set: a program with signal handlers of its own keeps them.
"""

import signal
import threading
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Terminated(KeyboardInterrupt):
    """The process was asked to end; as final as Ctrl-C, also for pytest, which goes on after a SystemExit."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def turn_signals_into_exceptions() -> None:
    """Do so for the rest of this process's life; Ctrl-C is an exception already."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _raise)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated(number)
