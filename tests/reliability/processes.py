"""Our two processes as an installation runs them: their own programs, ServiceAccounts and signals, and a restart after
each death; between each and the API server stands a proxy of its own."""

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.integration.operator_process import find_free_port, find_sample
from tests.localcluster.kubeconfig import write_token_kubeconfig
from tests.reliability.lives import Life, fork_program, spawn_program
from tests.reliability.proxy import FaultProxy
from tests.reliability.waiting import eventually

QUICK_LEASE = ("--lease-duration=3", "--lease-renew=0.5", "--lease-poll=0.1")
"""So that nobody waits long for the Lease of a killed leader."""

SOURCE_ROOT = Path(__file__).parents[2] / "operator"
STOP_SECONDS = 15.0
RESTART_SECONDS = 0.1
"""How soon a process that died is there again, as a container is after its first crash."""


def read_usage(process: int) -> tuple[int, float]:
    """Return resident bytes and processor seconds of a process.

    Raises:
        OSError, IndexError: it is not there.
    """
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return pages * os.sysconf("SC_PAGE_SIZE"), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Program:
    """One of our processes, in all its lives.

    Attributes:
        name: of the proxy, too.
        role: "operator" or "api".
        proxy: its way to the API server.
        port: where it serves: probes of the operator, callers of the API.
        source: the source root that it is started from; where None, this checkout's, and forked, which is quicker.
        shadows: directories of modules that it finds before all others, if it is started from a source root.
        clock_offset_seconds: how wrong its clock is.
        lease: flags of an operator about its Lease.
        lives: how often it was started.
        deaths: how often it ended without being told to.
        kills: of these, how often it was killed.
    """

    name: str
    role: str
    proxy: FaultProxy
    arguments: Sequence[str]
    directory: Path
    source: Path | None = None
    shadows: Sequence[Path] = ()
    clock_offset_seconds: float = 0.0
    lease: Sequence[str] = QUICK_LEASE
    port: int = field(default_factory=find_free_port)
    probe_port: int = field(default_factory=find_free_port)
    lives: int = 0
    deaths: int = 0
    kills: int = 0
    _life: Life | None = None
    _keeper: threading.Thread | None = None
    _is_wanted: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def log_file(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def log(self) -> list[dict[str, Any]]:
        """The complete lines of the log so far."""
        if not self.log_file.exists():
            return []
        text = self.log_file.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line.startswith("{")]

    def start(self) -> None:
        """Start it, and start it again whenever it ends, until `stop`."""
        self._is_wanted = True
        self._begin_life()
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name=f"keeper of {self.name}", daemon=True)
            self._keeper.start()

    def kill(self) -> None:
        """End it as a crash does; it is started again."""
        self.kills += 1
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self, *, is_killed: bool = False) -> None:
        """End it for good."""
        with self._lock:
            self._is_wanted = False
            life = self._life
        if life is None:
            return
        life.send_signal(signal.SIGKILL if is_killed else signal.SIGTERM)
        life.send_signal(signal.SIGCONT)
        if not life.wait(STOP_SECONDS):
            life.send_signal(signal.SIGKILL)
            life.wait(None)
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None

    def ask(self, path: str) -> tuple[int, str]:
        """Return status and text of a probe; 0 while nothing listens."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self.probe_port}{path}", timeout=5)
        except requests.RequestException:
            return 0, ""
        return answer.status_code, answer.text

    def wait_ready(self, *, within_seconds: float = 60.0) -> None:
        eventually(f"{self.name} is ready", lambda: self.ask("/readyz")[0] == 200, within_seconds=within_seconds)

    def read_usage(self) -> tuple[int, float]:
        """Return resident bytes and processor seconds of its present life.

        Raises:
            OSError, IndexError: it has just died.
        """
        return read_usage(self.proxy.process)

    def read_metric(self, sample: str) -> float:
        """Return the value of a sample, given with its labels as /metrics shows it; 0 if it is not there."""
        return find_sample(self.ask("/metrics")[1], sample) or 0.0

    @property
    def is_leader(self) -> bool:
        return self.read_metric("diem_operator_leader") == 1.0

    def _signal(self, number: int) -> None:
        if self._life is not None:
            self._life.send_signal(number)

    def _begin_life(self) -> None:
        kubeconfig = self.directory / f"{self.name}.kubeconfig"
        arguments = [self.role, f"--kubeconfig={kubeconfig}", *self.arguments]
        arguments += ["--probe-host=127.0.0.1", f"--probe-port={self.probe_port}"]
        arguments += ["--host=127.0.0.1", f"--port={self.port}", "--drain=0"] if self.role == "api" else self.lease
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DIEM_", "KUBE"))}
        with self._lock:
            if not self._is_wanted:
                return
            self.lives += 1
            self._life = self._run(arguments, environment)
            self.proxy.process = self._life.pid

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Life:
        if self.clock_offset_seconds:
            command = [sys.executable, "-m", "tests.reliability.skewed", str(self.clock_offset_seconds), *arguments]
            return spawn_program(command, environment=environment, log_file=self.log_file)
        if self.source is not None:
            command = [sys.executable, "-m", "diem_operator", *arguments]
            paths = {"PYTHONPATH": os.pathsep.join(map(str, (*self.shadows, self.source)))}
            return spawn_program(command, environment={**environment, **paths}, log_file=self.log_file)
        return fork_program(arguments, environment=environment, log_file=self.log_file)

    def _keep(self) -> None:
        while self._is_wanted:
            assert self._life is not None
            if self._life.wait(0.1) and self._is_wanted:
                self.deaths += 1
                threading.Event().wait(RESTART_SECONDS)
                self._begin_life()


def write_kubeconfig(program: Program, *, ca_file: Path, token: str, namespace: str, server: str = "") -> None:
    """Let a program reach the API server through its proxy only, or at an address of its own."""
    write_token_kubeconfig(
        program.directory / f"{program.name}.kubeconfig",
        server=server or f"https://127.0.0.1:{program.proxy.port}",
        ca_file=ca_file,
        token=token,
        namespace=namespace,
    )
