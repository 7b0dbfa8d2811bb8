"""Keeps runs alive: callers and people who start what is idle, stop some of it, and ask how it goes."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import requests

from tests.reliability.history import Told
from tests.reliability.kube import Kube, KubeError
from tests.reliability.load.desk import Desk
from tests.reliability.load.fleet import Fleet, Run

CALLERS = 8
ASKING = 2
ASK_PAUSE_SECONDS = 0.1
PATCHED_SHARE = 0.1
STOPPED_SHARE = 0.1
PHASES = {"Submitted", "Pending", "Running", "Stopping", "Completed", "Failed", "Stopped"}


@dataclass
class Crowd:
    """Threads that work from `begin` to `end`.

    Attributes:
        run_seconds: how long a run takes; what is stopped is stopped within that time.
        told: what they were told, for the oracle.
        complaints: what went wrong for one of them.
    """

    fleet: Fleet
    desk: Desk
    kube: Kube
    namespace: str
    run_seconds: float
    told: Told = field(default_factory=Told)
    complaints: list[str] = field(default_factory=list)
    _timers: list[threading.Timer] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        works = [*(partial(self._keep_starting, place) for place in range(CALLERS)), *[self._keep_asking] * ASKING]
        for work in works:
            thread = threading.Thread(target=self._guard, args=(work,), name="crowd", daemon=True)
            thread.start()
            self._threads.append(thread)

    def end(self) -> None:
        """Start nothing more; return when all that was begun is answered."""
        self._is_over.set()
        for thread in (*self._threads, *self._timers):
            thread.join()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a caller that fails would be missed by nobody
            self.complaints.append(f"a caller failed: {error!r}")

    def _keep_starting(self, place: int) -> None:
        chance = random.Random(place)
        while not self._is_over.is_set():
            name = self.fleet.take(within_seconds=0.5)
            if name is None:
                continue
            start = self._patch if chance.random() < PATCHED_SHARE else self._call
            run = start(name)
            if run is not None and chance.random() < STOPPED_SHARE:
                self._stop_later(run, after_seconds=chance.uniform(0, self.run_seconds))

    def _call(self, name: str) -> Run | None:
        answer = self.desk.start(name, "load")
        return None if answer is None else self._note(name, answer["run"]["id"])

    def _patch(self, name: str) -> Run | None:
        """Start a run as people do who write the spec themselves."""
        run_id = f"person-{time.monotonic_ns()}"
        spec = {"state": "running", "run": {"id": run_id, "requestedBy": "a person"}}
        operations = [{"op": "add", "path": f"/spec/{key}", "value": value} for key, value in spec.items()]
        try:
            self.kube.patch("diemjobs", self.namespace, name, operations)
        except (KubeError, requests.RequestException) as error:
            self.complaints.append(f"{name} could not be patched: {error}")
            return None
        return self._note(name, run_id)

    def _note(self, name: str, run_id: str) -> Run:
        run = self.fleet.note_start(name, run_id)
        with self._lock:
            self.told.labels[run.key] = f"{name} {run_id}"
        return run

    def _stop_later(self, run: Run, *, after_seconds: float) -> None:
        timer = threading.Timer(after_seconds, self._stop, args=(run,))
        timer.start()
        with self._lock:
            self._timers.append(timer)

    def _stop(self, run: Run) -> None:
        answer = self.desk.stop(run.name, run.key.run_id)
        if answer is not None and answer["message"] == "job stopped":
            with self._lock:
                self.told.stopped.add(run.key)

    def _keep_asking(self) -> None:
        chance = random.Random()
        while not self._is_over.wait(ASK_PAUSE_SECONDS):
            name = chance.choice(self.fleet.names)
            answer = self.desk.ask(name)
            if answer is not None and answer["message"] not in PHASES:
                self.complaints.append(f"callers were told that {name} is {answer['message']}")
