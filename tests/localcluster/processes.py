"""What is known of processes of other parents: whether they live, which are whose, how to end them.

A process id alone names nobody, since ids are used again: an identity here is the id with the time it began.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_POLL_SECONDS = 0.01
_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Identity:
    """One process, for good.

    Attributes:
        began: opaque; equal only for the same process.
    """

    pid: int
    began: str


def identify(pid: int) -> Identity | None:
    """Return who has this id now; None when nobody has."""
    began = _linux_start(pid) if _PROC.is_dir() else _portable_start(pid)
    return Identity(pid, began) if began else None


def is_alive(identity: Identity) -> bool:
    """Tell whether that very process is there, be it as a zombie."""
    return identify(identity.pid) == identity


def find_children(pid: int) -> list[int]:
    """Return the ids of the process's children (Linux only)."""
    return [child for child in _all_pids() if _stat_field(child, 4) == str(pid)]


def signal_group(leader: int, number: int) -> bool:
    """Send a signal to a process group; return whether anybody was in it."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS answers so for a group of zombies
        return False
    return True


def kill_groups(leaders: Iterable[Identity]) -> None:
    """End process groups at once, if their leaders are still who they were, and wait until they are empty."""
    living = [leader.pid for leader in leaders if is_alive(leader)]
    for leader in living:
        signal_group(leader, signal.SIGKILL)
    deadline = time.monotonic() + _KILL_SECONDS
    while any(signal_group(leader, 0) for leader in living) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _linux_start(pid: int) -> str:
    # Since boot, in ticks: field 22 of /proc/PID/stat, proc(5).
    return _stat_field(pid, 22)


def _portable_start(pid: int) -> str:
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _stat_field(pid: int, number: int) -> str:
    """Return a field of /proc/PID/stat, numbered from 1 as in proc(5); empty when there is no such process."""
    with contextlib.suppress(OSError):
        # The second field is the program's name in brackets, and may have blanks and brackets in it.
        after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return after_name[number - 3]
    return ""
