"""Starts processes, forked from an interpreter that has imported our programs already: importing is most of a start."""

import contextlib
import multiprocessing
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_MODULES = ("diem_operator.cli.operator_process", "diem_operator.api.serving")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__, *_MODULES])


@dataclass(frozen=True)
class Life:
    """A process from its start to its end.

    Attributes:
        pid: its process id; it leads a session of its own.
        wait: takes the seconds to wait at most, None for no limit; returns whether it has ended.
    """

    pid: int
    wait: Callable[[float | None], bool]

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if not self.wait(0):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def fork_program(arguments: Sequence[str], *, environment: Mapping[str, str], log_file: Path) -> Life:
    """Start `python -m diem_operator` of this checkout.

    Args:
        arguments: of its command line.
        environment: all of it.
        log_file: what it prints is appended.
    """
    process = _context.Process(target=_run, args=(tuple(arguments), dict(environment), log_file), daemon=True)
    process.start()

    def wait(seconds: float | None) -> bool:
        process.join(seconds)
        return process.exitcode is not None

    assert process.pid is not None
    return Life(process.pid, wait)


def spawn_program(command: Sequence[str], *, environment: Mapping[str, str], log_file: Path) -> Life:
    """Start a command of any kind; see `fork_program`."""
    with log_file.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(environment), start_new_session=True)

    def wait(seconds: float | None) -> bool:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    return Life(process.pid, wait)


def _run(arguments: tuple[str, ...], environment: dict[str, str], log_file: Path) -> None:
    os.setsid()
    with log_file.open("ab") as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    from diem_operator.cli import main  # noqa: PLC0415 - the parent has no use for it

    main(arguments, prog_name="diem-operator")
