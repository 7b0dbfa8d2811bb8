"""How a person or a script ends a run: Ctrl-C, SIGTERM, or the terminal's end, each just once.

`make` passes SIGTERM on to what it runs, also when that has got it already with the process group; a second signal
must not interrupt the clean-up that the first one began.
"""

import signal
from types import FrameType
from typing import NoReturn

from tests.localcluster.interruption import Terminated

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_at_first_signal() -> None:
    """Raise Terminated at the first signal that asks for the end, also where a script's `&` has SIGINT ignored."""
    for number in _SIGNALS:
        signal.signal(number, _end)


def ignore_further_signals() -> None:
    """Let signals that ask for the end pass unheard: it is under way."""
    for number in _SIGNALS:
        # Not SIG_IGN: programs that are run to clean up would inherit that.
        signal.signal(number, _ignore)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    ignore_further_signals()
    raise Terminated(number)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass
