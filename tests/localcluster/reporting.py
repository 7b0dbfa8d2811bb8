"""Where one-line reports go: how a build gets on, what gets installed, what is only simulated.

Says nothing of its own, and decides nothing.
"""

import sys
from collections.abc import Callable

Log = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Print one line at once, also when the output is a file."""
    print(line, file=sys.stderr, flush=True)
