"""Asks each process for its probes as a kubelet does, and more often; tells how near one came to being killed by them.

What a process cannot answer because it was just killed or frozen on purpose does not count.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.reliability.processes import Program

VALUES = Path(__file__).parents[3] / "helm" / "diem-operator" / "values.yaml"
PERIOD_SECONDS = 1.0
BOOT_PERIOD_SECONDS = 0.1
PATHS = ("/healthz", "/readyz")


@dataclass(frozen=True, kw_only=True)
class Kubelet:
    """How a kubelet asks.

    Attributes:
        period_seconds: between two probes.
        timeout_seconds: a later answer is none.
        failures: so many in a row, and the container is killed.
    """

    period_seconds: float
    timeout_seconds: float
    failures: int

    @property
    def patience_seconds(self) -> float:
        """How long a process may fail before it may be killed."""
        return self.period_seconds * (self.failures - 1)


DEFAULTS = Kubelet(period_seconds=10, timeout_seconds=1, failures=3)
"""What Kubernetes takes where a chart says nothing; ours says something, and need not."""


@cache
def read_chart(probe: str) -> Kubelet:
    """Return what the chart sets for "startup", "readiness" or "liveness"."""
    timing: dict[str, Any] = yaml.safe_load(VALUES.read_text())["probes"][probe]
    return Kubelet(
        period_seconds=timing["periodSeconds"],
        timeout_seconds=timing["timeoutSeconds"],
        failures=timing["failureThreshold"],
    )


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One probe of a process that lives and has answered before.

    Attributes:
        life: which of the program's lives.
        code: 0 where there was no answer.
    """

    program: str
    life: int
    path: str
    code: int
    seconds: float

    def is_good_for(self, kubelet: Kubelet) -> bool:
        return self.code == requests.codes.ok and self.seconds <= kubelet.timeout_seconds


@dataclass
class Prober:
    """Asks from `begin` to `end`.

    Attributes:
        suffering: names of programs that are being killed or frozen right now.
        probes: in order, for each program and path.
        boots: for each life and path, the seconds from its start to the first good answer.
    """

    programs: Sequence[Program]
    suffering: set[str]
    probes: list[Probe] = field(default_factory=list)
    boots: dict[str, list[float]] = field(default_factory=lambda: {path: [] for path in PATHS})
    _threads: list[threading.Thread] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        for program in self.programs:
            for path in PATHS:
                thread = threading.Thread(target=self._follow, args=(program, path), name="prober", daemon=True)
                thread.start()
                self._threads.append(thread)

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def complain(self) -> list[str]:
        """Return which probes would have killed a container that lived, or taken callers from it, as the chart asks."""
        liveness, startup, readiness = (read_chart(probe) for probe in ("liveness", "startup", "readiness"))
        unready = find_longest_silence(self.probes, "/readyz", readiness)
        silent = find_longest_silence(self.probes, "/healthz", liveness)
        slowest_boot = max(self.boots["/healthz"], default=0.0)
        complaints = []
        if silent >= liveness.patience_seconds:
            complaints.append(f"the liveness probe failed for {silent:.0f} s and would have killed a living process")
        if slowest_boot >= startup.patience_seconds:
            complaints.append(f"the startup probe failed for {slowest_boot:.0f} s and would have killed a new process")
        if unready >= readiness.patience_seconds:
            complaints.append(f"the readiness probe failed for {unready:.0f} s and would have kept callers away")
        if any(probe.code not in {0, requests.codes.ok} for probe in self.probes if probe.path == "/healthz"):
            complaints.append("a living process said that it is not alive")
        return complaints

    def _follow(self, program: Program, path: str) -> None:
        life, born_at, has_answered = 0, 0.0, False
        session = requests.Session()
        while not self._is_over.wait(PERIOD_SECONDS if has_answered else BOOT_PERIOD_SECONDS):
            if program.lives != life:
                life, born_at, has_answered = program.lives, time.monotonic(), False
            if life == 0 or program.name in self.suffering:
                continue
            began_at = time.monotonic()
            code = _ask(session, program, path)
            now = time.monotonic()
            if program.name in self.suffering or program.lives != life:
                continue
            if has_answered:
                probe = Probe(program=program.name, life=life, path=path, code=code, seconds=now - began_at)
                self.probes.append(probe)
            elif code == requests.codes.ok:
                has_answered = True
                self.boots[path].append(now - born_at)


def find_longest_silence(probes: Iterable[Probe], path: str, kubelet: Kubelet) -> float:
    """Return the longest time in which no probe in a row would have been a good one, in seconds."""
    lives: dict[tuple[str, int], list[Probe]] = {}
    for probe in probes:
        if probe.path == path:
            lives.setdefault((probe.program, probe.life), []).append(probe)
    streaks = (
        sum(probe.seconds + PERIOD_SECONDS for probe in streak)
        for life in lives.values()
        for is_good, streak in groupby(life, key=lambda probe: probe.is_good_for(kubelet))
        if not is_good
    )
    return max(streaks, default=0.0)


def _ask(session: requests.Session, program: Program, path: str) -> int:
    try:
        # Without a kept connection, as the kubelet asks.
        answer = session.get(
            f"http://127.0.0.1:{program.probe_port}{path}",
            headers={"Connection": "close"},
            timeout=read_chart("liveness").timeout_seconds,
        )
    except requests.RequestException:
        return 0
    return answer.status_code
