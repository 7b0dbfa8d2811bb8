"""The folder in which a run tells other terminals and scripts about itself: `.local` of the checkout.

It exists for as long as the run: nothing in it is right any more once the cluster is gone.
"""

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hack.local.errors import AlreadyRunningError
from tests.localcluster.locking import try_exclusive


class Workspace:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; `held_workspace` is the way to get it."""
        self.env_file = folder / "env"
        self.kubectl = folder / "bin" / "kubectl"
        self._folder = folder

    def write_env(self, values: Mapping[str, str]) -> None:
        """Write what a shell needs to talk to this run, readable by its owner alone: a key is among it."""
        _write(self.env_file, build_env(values))

    def write_pid(self, name: str, pid: int | None) -> None:
        """Write the id of a process into `NAME.pid`."""
        _write(self._folder / f"{name}.pid", f"{pid}\n")

    def link_kubectl(self, target: Path) -> None:
        """Make the cluster's kubectl easy to find."""
        self.kubectl.parent.mkdir(exist_ok=True)
        self.kubectl.symlink_to(target)

    def clear(self) -> None:
        """Remove everything that a run leaves there, this one or one that was killed."""
        for path in (self.env_file, self.kubectl, *self._folder.glob("*.pid"), *self._folder.glob(".*.new")):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it was never made, or holds something else
            self.kubectl.parent.rmdir()


@contextmanager
def held_workspace(folder: Path) -> Iterator[Workspace]:
    """Have the folder alone for the block, empty at its begin and at its end.

    Raises:
        AlreadyRunningError: another run has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock_file = folder / "run.lock"
    lock = try_exclusive(lock_file)
    if lock is None:
        raise AlreadyRunningError(
            f"Another `make run` (process {lock_file.read_text().strip()}) uses {folder}; end that one first (Ctrl-C)"
        )
    with lock:
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        workspace = Workspace(folder)
        workspace.clear()
        try:
            yield workspace
        finally:
            workspace.clear()
            lock_file.unlink()


def build_env(values: Mapping[str, str]) -> str:
    """Return lines that a shell understands, and simpler readers of NAME=value too."""
    assignments = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join([*assignments, f"export {' '.join(values)}", ""])


def _write(path: Path, content: str) -> None:
    """Write a private file that appears whole."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(content)
    unfinished.replace(path)
