"""Which DiemJobs may be started now: idle ones, as long as fewer than the wanted number of runs are live.

Callers take a name, and give it back with the run they have started; the witness tells when that run is over.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.reliability.history import RunKey, list_runs
from tests.reliability.oracle import TERMINAL


@dataclass
class Run:
    """One run that was accepted.

    Attributes:
        accepted_at, job_at, over_at: on the monotonic clock; None: not yet.
        phase: its last one, once it is over.
    """

    name: str
    key: RunKey
    accepted_at: float
    job_at: float | None = None
    over_at: float | None = None
    phase: str = ""


@dataclass
class Fleet:
    """The DiemJobs that run in turn.

    Attributes:
        uids: of every DiemJob, by name.
        runs: every accepted one.
        answered: DiemJobs whose spec, as it is, has been answered by the operator.
        last_job_at: when a run's Job was last seen for the first time, on the monotonic clock.
    """

    names: Sequence[str]
    live: int
    uids: dict[str, str] = field(default_factory=dict)
    runs: dict[RunKey, Run] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    last_job_at: float = 0.0
    _jobs: dict[RunKey, float] = field(default_factory=dict)
    _ends: dict[RunKey, tuple[float, str]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._idle = deque(self.names)
        self._busy = 0

    def take(self, *, within_seconds: float) -> str | None:
        """Return the name of one to be started; None if there is none in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._idle and self._busy < self.live, within_seconds):
                return None
            self._busy += 1
            return self._idle.popleft()

    def note_start(self, name: str, run_id: str) -> Run:
        """Take note that a start was accepted."""
        run = Run(name, RunKey(self.uids[name], run_id), time.monotonic())
        with self._changed:
            self.runs[run.key] = run
            run.job_at = self._jobs.pop(run.key, None)
            if run.key in self._ends:
                self._end(run, *self._ends.pop(run.key))
        return run

    def note_diemjob(self, raw: dict[str, Any]) -> None:
        """Take note of a version of a DiemJob."""
        metadata, status = raw["metadata"], raw.get("status", {})
        with self._changed:
            if status.get("observedGeneration") == metadata["generation"]:
                self.answered.add(metadata["name"])
            for told in list_runs(status):
                if told["phase"] in TERMINAL:
                    self._note_end(RunKey(metadata["uid"], told["id"]), told["phase"])

    def note_job(self, run: RunKey) -> None:
        """Take note that a run has a Job."""
        with self._changed:
            known = self.runs.get(run)
            if run in self._jobs or (known is not None and known.job_at is not None):
                return
            self.last_job_at = time.monotonic()
            if known is None:
                self._jobs[run] = self.last_job_at
            else:
                known.job_at = self.last_job_at

    def list_live(self) -> list[Run]:
        with self._changed:
            return [run for run in self.runs.values() if run.over_at is None]

    def _note_end(self, key: RunKey, phase: str) -> None:
        run = self.runs.get(key)
        if run is None:
            # The caller that started it has not heard of it yet.
            self._ends.setdefault(key, (time.monotonic(), phase))
        elif run.over_at is None:
            self._end(run, time.monotonic(), phase)

    def _end(self, run: Run, over_at: float, phase: str) -> None:
        run.over_at, run.phase = over_at, phase
        self._busy -= 1
        self._idle.append(run.name)
        self._changed.notify_all()
