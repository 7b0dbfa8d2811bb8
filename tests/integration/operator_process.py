"""The operator as a real process: its own program, its own ServiceAccount, its own signals."""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests

READY_SECONDS = 20.0
POLL_SECONDS = 0.05

_SERVED_PORTS = itertools.cycle(random.sample(range(22_000, 32_000), 10_000))
"""Below what outgoing connections are given; each before any again, and in another order in each process."""


def eventually(what: str, holds: Callable[[], bool], *, within_seconds: float = READY_SECONDS) -> None:
    """Return as soon as it holds."""
    deadline = time.monotonic() + within_seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {within_seconds} s: {what}")
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True, kw_only=True)
class OperatorProcess:
    """A started operator."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        """The complete lines of the log so far."""
        text = self.log_file.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @property
    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.log]

    def ask(self, path: str) -> tuple[int, str]:
        """Return status and text of a probe; 0 while nothing listens."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)
        except requests.ConnectionError:
            return 0, ""
        return answer.status_code, answer.text

    def read_metric(self, sample: str) -> float:
        """Return the value of a sample, given with its labels as /metrics shows it; 0 if it is not there."""
        return find_sample(self.ask("/metrics")[1], sample) or 0.0

    @property
    def is_leader(self) -> bool:
        return self.read_metric("diem_operator_leader") == 1.0

    def wait_ready(self) -> None:
        eventually("the operator is ready", lambda: self._is_ready_or_dead() and self.ask("/readyz")[0] == 200)

    def wait_leading(self) -> None:
        eventually("this replica leads", lambda: self.is_leader)

    def _is_ready_or_dead(self) -> bool:
        assert self.process.poll() is None, self.log_file.read_text()[-3000:]
        return True

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        return code, time.monotonic() - began


@contextmanager
def running_operator(kubeconfig: Path, directory: Path, *arguments: str) -> Iterator[OperatorProcess]:
    """Run an operator while the block runs; at its end it is told to go, so that it does not keep the lease."""
    log_file = directory / f"operator-{time.monotonic_ns()}.log"
    port = find_free_port()
    command = [sys.executable, "-m", "diem_operator", "operator", f"--kubeconfig={kubeconfig}"]
    command += ["--probe-host=127.0.0.1", f"--probe-port={port}", *arguments]
    with log_file.open("wb") as log:
        operator = OperatorProcess(process=_start(command, log), port=port, log_file=log_file)
        try:
            yield operator
            operator.terminate()
        finally:
            operator.process.kill()
            operator.process.wait()


def _start(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DIEM_", "KUBE"))}
    return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def find_sample(exposition: str, sample: str) -> float | None:
    """Return the value of a sample, given with its labels as /metrics shows it; None if it is not there."""
    found = [line for line in exposition.splitlines() if line.startswith(f"{sample} ")]
    return float(found[0].rpartition(" ")[2]) if found else None


def find_free_port() -> int:
    """Return a port that nothing listens on now, and that no outgoing connection is given before something does."""
    while True:
        port = next(_SERVED_PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
