"""Plays one load from the first DiemJob to the judgement."""

import random
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.reliability.history import History, find_outcome
from tests.reliability.installation import Installation, Site, find_token, make_key
from tests.reliability.load.crowd import Crowd
from tests.reliability.load.desk import Desk
from tests.reliability.load.disturbances import Disturbances
from tests.reliability.load.fleet import Fleet
from tests.reliability.load.floods import FLOOD_SECONDS, PERIOD_SECONDS, Floods
from tests.reliability.load.judgement import judge_load
from tests.reliability.load.meter import Meter
from tests.reliability.load.prober import Prober
from tests.reliability.load.sight import QuickKube, build_witness
from tests.reliability.load.sizes import RUN_HISTORY, Sizes
from tests.reliability.people import make_diemjob
from tests.reliability.processes import SOURCE_ROOT
from tests.reliability.waiting import eventually

CREATORS = 6
ANSWERED_SECONDS = 900.0
REST_SECONDS = 120.0
FLOOD_KEY = "flood"


@dataclass
class Load:
    """One load, and everything that tells of it.

    Attributes:
        creating_seconds, answering_seconds: until all DiemJobs were there, and had their first status.
        loaded_seconds: how long runs were started.
        complaints: what is wrong; empty until it is over.
    """

    installation: Installation
    kube: QuickKube
    sizes: Sizes
    creating_seconds: float = 0.0
    answering_seconds: float = 0.0
    loaded_seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = [f"etl-{place}" for place in range(self.sizes.diemjobs)]
        self.names, active = names, names[: self.sizes.active]
        self.fleet = Fleet(active, self.sizes.live)
        self.witness = build_witness(self.kube, self.installation.namespace, self.fleet)
        self.disturbances = Disturbances(self.installation, self.sizes, self.fleet)
        self.prober = Prober(self.installation.programs, self.disturbances.suffering)
        self.meter = Meter(self.installation.programs, self.disturbances.suffering)

    def prepare(self) -> None:
        """Make the DiemJobs, start the processes, and return when every DiemJob has its first status."""
        self.witness.start()
        began_at = time.monotonic()
        with ThreadPoolExecutor(CREATORS) as pool:
            self.fleet.uids |= dict(pool.map(self._create, self.names))
        self.creating_seconds = time.monotonic() - began_at
        self.prober.begin()
        self.meter.begin()
        began_at = time.monotonic()
        self.installation.begin()
        eventually("every DiemJob has its first status", self._is_answered, within_seconds=ANSWERED_SECONDS)
        self.answering_seconds = time.monotonic() - began_at

    def run(self) -> None:
        """Keep runs alive, flood and disturb for the time that was asked for; then let everything come to rest."""
        api = self.installation.api
        self.desk = Desk(api.port, self.installation.token)
        self.crowd = Crowd(self.fleet, self.desk, self.kube, self.installation.namespace, self.sizes.run_seconds)
        share = min(1.0, self.sizes.seconds / 4 / PERIOD_SECONDS)
        self.floods = Floods(
            api.port, self._make_flood_token(), self.fleet.names, FLOOD_SECONDS * share, PERIOD_SECONDS * share
        )
        self.meter.begin_anew()
        began_at = time.monotonic()
        for part in (self.crowd, self.floods, self.disturbances):
            part.begin()
        threading.Event().wait(self.sizes.seconds)
        for part in (self.disturbances, self.floods, self.crowd):
            part.end()
        self.loaded_seconds = time.monotonic() - began_at
        self._come_to_rest()

    def conclude(self) -> None:
        """Judge it."""
        self.prober.end()
        self.meter.end()
        self.witness.stop()
        seen = sorted(self.witness.seen, key=lambda each: each.revision)
        history = History(seen=seen, exchanges=[], told=self.crowd.told)
        parts: Iterable[list[str]] = (
            self.crowd.complaints,
            self.desk.complaints,
            self.floods.complain(),
            self.disturbances.complain(),
            self.prober.complain(),
            judge_load(history, self.fleet),
        )
        self.complaints += [complaint for part in parts for complaint in part]

    def _create(self, name: str) -> tuple[str, str]:
        average = self.sizes.run_seconds
        milliseconds = random.Random(name).uniform(0.5, 1.5) * average * 1000
        pod = {"run-for": f"{milliseconds:.0f}ms"}
        manifest = make_diemjob(name, pod=pod, runHistoryLimit=RUN_HISTORY, jobHistoryLimit=1)
        created = self.kube.create("diemjobs", self.installation.namespace, manifest)
        return name, created["metadata"]["uid"]

    def _is_answered(self) -> bool:
        return len(self.fleet.answered) == len(self.names)

    def _make_flood_token(self) -> str:
        """Return the token of a key of the flood's own: what it is denied, callers are not."""
        namespace = self.installation.namespace
        self.kube.create("diemapikeys", namespace, make_key(FLOOD_KEY))
        eventually("the flood has its key", lambda: bool(find_token(self.kube, namespace, FLOOD_KEY)))
        return find_token(self.kube, namespace, FLOOD_KEY)

    def _come_to_rest(self) -> None:
        """Wait until nothing is under way; what never ends is for the judge."""
        patience = REST_SECONDS + 2 * self.sizes.run_seconds
        try:
            eventually("every run is over", lambda: not self.fleet.list_live(), within_seconds=patience)
            eventually("no Job is under way", self._is_quiet, within_seconds=patience)
        except AssertionError as error:
            live = [f"{run.name} {run.key.run_id}" for run in self.fleet.list_live()]
            self.complaints.append(f"{error}; live: {live[:20]}")
        self.witness.catch_up()

    def _is_quiet(self) -> bool:
        jobs = self.kube.list_all("jobs", self.installation.namespace)
        return all(find_outcome(job) and "deletionTimestamp" not in job["metadata"] for job in jobs)


def play(site: Site, sizes: Sizes) -> Load:
    """Play a load and have it judged."""
    with site.install(operators=2, is_direct=True) as installation:
        for program in installation.programs:
            program.source = SOURCE_ROOT  # what a forked process holds in memory is not its own
        if sizes.is_long:
            for operator in installation.operators:
                operator.lease = ()  # as it is delivered: the times to take over are those that people see
        load = Load(installation, QuickKube(site.cluster), sizes)
        try:
            load.prepare()
            load.run()
        finally:
            load.witness.stop()
        load.conclude()
        return load
