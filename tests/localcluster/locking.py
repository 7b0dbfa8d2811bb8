"""File locks, so that processes side by side do not do one thing twice.

The operating system drops such a lock when its holder ends, however it ends. Nothing else may be read into it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def exclusive(lock_file: Path) -> Iterator[None]:
    """Hold the lock in the body; wait for it as long as another process has it."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def try_exclusive(lock_file: Path) -> IO[str] | None:
    """Take the lock and return its open file, which holds it until closed; None while another process has it."""
    held = lock_file.open("a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        return None
    # Its last holder may have removed the file between our open() and flock(): then ours is a lock on nothing.
    if not _is_still_there(held, lock_file):
        held.close()
        return try_exclusive(lock_file)
    return held


def _is_still_there(held: IO[str], lock_file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held.fileno()), lock_file.stat())
    except FileNotFoundError:
        return False
