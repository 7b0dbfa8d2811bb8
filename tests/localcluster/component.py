"""One long-running process of a cluster, and the faults a test can put upon it.

It runs in a process group of its own and is ended by id. It knows nothing of Kubernetes.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.localcluster.errors import ComponentError
from tests.localcluster.inheritance import build_environment
from tests.localcluster.processes import find_children, signal_group

_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0
_READY_SECONDS = 90.0
_FREEZING = (signal.SIGSTOP, signal.SIGCONT)
_LOG_TAIL_BYTES = 3000

Probe = Callable[[], bool]


class Component:
    """A process that can be started, ended, killed, frozen and started again.

    Attributes:
        name: what errors call it.
        command: the program and its arguments.
        log_file: where everything it prints goes, all its lives one after the other.
        on_change: called after it got or lost its process id.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        through: Callable[[], Sequence[str]] = tuple,
        is_ready: Probe | None = None,
    ) -> None:
        """Describe it; nothing is started.

        Args:
            environment: added to this process's own.
            through: the command that runs it somewhere else, such as nsenter; asked for at each start.
            is_ready: tells whether it serves; without it, it is taken to be ready once started.
        """
        self.name = name
        self.log_file = log_file
        self.command = tuple(command)
        self._environment = dict(environment or {})
        self._through = through
        self._is_wrapped = False
        self._is_ready = is_ready or (lambda: True)
        self.on_change: Callable[[], None] = lambda: None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The id of its process group, which its first process leads; None when it was not started."""
        return self._process.pid if self._process is not None else None

    @property
    def is_running(self) -> bool:
        """Whether it was started, and has not ended by itself since."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it serves unless told not to."""
        if self.is_running:
            return
        self._forget()
        wrapper = self._through()
        self._is_wrapped = bool(wrapper)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*_die_with_parent(), *wrapper, *self.command],
                env=build_environment(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.on_change()
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout_seconds: float = _READY_SECONDS) -> None:
        """Wait until it serves.

        Raises:
            ComponentError: it ended, or the time was too short; with the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._is_ready():
            if not self.is_running:
                raise ComponentError(f"{self.name} ended before it was ready. {self.log_tail()}")
            if time.monotonic() > deadline:
                raise ComponentError(f"{self.name} was not ready after {timeout_seconds:.0f} s. {self.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def stop(self, timeout_seconds: float = _STOP_SECONDS) -> None:
        """Ask it to end (SIGTERM); kill it when it takes longer than the time-out."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        if not self._wait_gone(timeout_seconds):
            self.kill()
        self._forget()

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash does."""
        self.signal(signal.SIGKILL)
        self.signal(signal.SIGCONT)
        self._wait_gone(_STOP_SECONDS)
        self._forget()

    def restart(self, *, wait: bool = True) -> None:
        """Stop it if it runs, and start it again with the same data."""
        self.stop()
        self.start(wait=wait)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its connections stay open, and nothing answers."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause` (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send any signal to it and to what it started in its group."""
        if self._process is None:
            return
        # A command that the program runs through must see it end: else the program's zombie goes to the machine's
        # first process, and not every container has one that cares.
        inner = find_children(self._process.pid) if self._is_wrapped and number not in _FREEZING else []
        for pid in inner:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if not inner:
            signal_group(self._process.pid, number)

    def log_tail(self) -> str:
        """Return the end of its log as one sentence for an error message."""
        text = self.log_file.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace") if self.log_file.exists() else ""
        return f"The end of {self.log_file}:\n{text.strip()}"

    def _wait_gone(self, timeout_seconds: float) -> bool:
        deadline = time.monotonic() + timeout_seconds
        while self._is_group_there():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _is_group_there(self) -> bool:
        if self._process is None:
            return False
        self._process.poll()  # reaps the leader: as a zombie it would still count
        return signal_group(self._process.pid, 0)

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None
            self.on_change()


def _die_with_parent() -> list[str]:
    # The kernel ends the child with the *thread* that started it: fine only for the main thread, which lives longest.
    # setpriv instead of preexec_fn: that one is not safe in a process with other threads.
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    return [setpriv, "--pdeathsig", "KILL"]
