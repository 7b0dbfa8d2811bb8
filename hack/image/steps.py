"""Runs the programs that the build is made of, in namespaces of their own: none leaves a mount or a process.

What they do is not known here.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.image.errors import StepFailedError
from tests.localcluster.system_packages import search_path

_END_CHARACTERS = 3000
# With the first process of a process namespace all others end, and with the last one go the mounts.
_CONFINED = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--")


def run_confined(command: Sequence[str], *, folder: Path | None = None) -> str:
    """Run a program that mounts or starts others (Linux, root)."""
    return run([*_CONFINED, *command], folder=folder)


def run(command: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a program without questions and return what it printed.

    Raises:
        StepFailedError: it failed.
    """
    polite = ["nice", "-n", "10", *command]
    done = subprocess.run(
        polite,
        cwd=folder,
        env=os.environ | {"PATH": search_path()} | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        end = (done.stdout + done.stderr).strip()[-_END_CHARACTERS:]
        raise StepFailedError(f"`{' '.join(command)}` failed ({done.returncode}): {end}")
    return done.stdout
