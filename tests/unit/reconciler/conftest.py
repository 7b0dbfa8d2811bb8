"""The reconciler's shell, put together around the fake API server, with a clock that tests turn."""

import random
from datetime import datetime, timedelta

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from diem_operator.cluster.resources import Cluster
from diem_operator.cluster.watch import EventType
from diem_operator.metrics import OperatorMetrics
from diem_operator.model.diemjob import DiemJob, Phase, RunStatus
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, ObjectMeta, RawObject, key_of
from diem_operator.model.names import RunId
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.steps import Wait
from diem_operator.reconciler.applier import Applier
from diem_operator.reconciler.controller import DiemJobController
from diem_operator.reconciler.events import EventRecorder
from diem_operator.reconciler.leadership import NotLeader
from diem_operator.reconciler.memory import Memory
from diem_operator.reconciler.observer import Observer
from diem_operator.reconciler.reporting import Reporter
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.store import Store
from diem_operator.settings import RESYNC_SECONDS
from tests.builders import NAME, NAMESPACE, NOW, make_template
from tests.unit.reconciler.fake_cluster import FakeApiServer

KEY = ObjectKey(namespace=NAMESPACE, name=NAME)


class TurnedClock:
    """Both clocks of a process, a wall and a steady one."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds - 1000)

    def steady_seconds(self) -> float:
        return self.seconds


class FakeFence:
    """A lease that is ours until a test takes it away."""

    def __init__(self) -> None:
        self.is_ours = True

    def write_budget_seconds(self) -> float:
        if not self.is_ours:
            raise NotLeader("test does not hold the lease")
        return 5.0


class Shell:
    """The parts of the reconciler, and what a test says to them."""

    def __init__(self, scope: Scope, *, server: FakeApiServer | None = None) -> None:
        self.server = server or FakeApiServer()
        self.clock = TurnedClock()
        self.fence = FakeFence()
        self.store = Store()
        self.memory = Memory(jitter=random.Random(0))
        self.metrics = OperatorMetrics(CollectorRegistry())
        cluster = self.cluster = Cluster(self.server)
        self.recorder = EventRecorder(cluster.events, reporter="test", now=self.clock.now)
        self.observer = Observer(
            cluster=cluster,
            store=self.store,
            memory=self.memory,
            scope=scope,
            now=self.clock.now,
            steady_seconds=self.clock.steady_seconds,
        )
        self.applier = Applier(
            cluster=cluster,
            fence=self.fence,
            store=self.store,
            memory=self.memory,
            reporter=Reporter(recorder=self.recorder, metrics=self.metrics),
            steady_seconds=self.clock.steady_seconds,
        )
        self.controller = self.build_controller()

    def build_controller(self, *, resync_seconds: float = RESYNC_SECONDS) -> DiemJobController:
        return DiemJobController(
            store=self.store,
            observer=self.observer,
            applier=self.applier,
            metrics=self.metrics.for_controller("diemjobs"),
            workers=2,
            resync_seconds=resync_seconds,
        )

    def apply(self, *, name: str = NAME, namespace: str = NAMESPACE, **spec: object) -> DiemJob:
        """Create a DiemJob, or change the given fields of its spec."""
        key = ObjectKey(namespace=namespace, name=name)
        if self.server.find("diemjobs", key) is None:
            metadata = {"namespace": namespace, "name": name}
            self.server.put("diemjobs", {"metadata": metadata, "spec": {"jobTemplate": make_template(), **spec}})
        else:
            self.server.edit("diemjobs", key, lambda raw: raw["spec"].update(spec))
        return self.diemjob(key)

    def start(self, run_id: str, **run: object) -> DiemJob:
        return self.apply(state="running", run={"id": run_id, **run})

    def stop(self, run_id: str) -> DiemJob:
        return self.apply(state="stopped", run={"id": run_id, "stop": {"requestedBy": "apikey/k"}})

    def diemjob(self, key: ObjectKey = KEY) -> DiemJob:
        """Return the DiemJob as the API server has it."""
        return msgspec.convert(self.server.find("diemjobs", key), DiemJob)

    def job_key(self, run_id: str) -> ObjectKey:
        """Return the key of the Job of a run, existing or not."""
        name = build_job_name(NAME, self.diemjob().metadata.uid, RunId(run_id))
        return ObjectKey(namespace=NAMESPACE, name=name)

    def run(self) -> RunStatus:
        """Return the latest run as the API server has it."""
        run = self.diemjob().status.run
        assert run is not None, "no run was recorded"
        return run

    def find_job(self, run_id: str) -> RawObject | None:
        return self.server.find("jobs", self.job_key(run_id))

    def has_phase(self, phase: Phase) -> bool:
        run = self.diemjob().status.run
        return run is not None and run.phase is phase

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        found = next(found for found in self.diemjob().status.conditions if found.type == kind)
        return found.status, found.reason

    def find_writes(self) -> list[str]:
        return [what for what in self.server.calls if what.startswith(("POST", "PATCH", "DELETE"))]

    async def retry(self, wait: Wait) -> Wait:
        """Let the time pass that a reconcile wanted to wait, and reconcile again."""
        assert wait.seconds is not None
        self.clock.seconds += wait.seconds
        return await self.reconcile()

    async def run_to(self, phase: Phase, run_id: str = "r1") -> ObjectKey:
        """Bring a run by id to a phase; return the key of its Job."""
        self.start(run_id)
        await self.reconcile()
        job_key = self.job_key(run_id)
        if phase is not Phase.PENDING:
            self.server.run_job(job_key)
            await self.reconcile()
        if phase is Phase.COMPLETED:
            self.server.finish_job(job_key)
            await self.reconcile()
        assert self.run().phase is phase
        self.tell()
        return job_key

    def tell(self) -> None:
        """Let the watches tell what has happened."""
        while self.server.pending_events:
            event = self.server.pending_events.popleft()
            if event.plural == "diemjobs":
                self.tell_diemjob(event.type, event.raw)
            elif event.plural == "jobs":
                self.tell_job(event.type, event.raw)

    def tell_diemjob(self, event_type: str, raw: RawObject) -> None:
        """Let a watch tell of a DiemJob, as `watch_diemjobs` does."""
        try:
            diemjob = msgspec.convert(raw, DiemJob)
        except msgspec.ValidationError:
            metadata = msgspec.convert(raw["metadata"], ObjectMeta)
            self.controller.forget_diemjob(key_of(metadata), resource_version=metadata.version)
        else:
            self.controller.observe_diemjob(EventType(event_type), diemjob)

    def tell_job(self, event_type: str, raw: RawObject) -> None:
        """Let a watch tell of a Job."""
        self.controller.observe_job(EventType(event_type), msgspec.convert(raw, Job))

    async def reconcile(self, key: ObjectKey = KEY) -> Wait:
        """Let the watches tell what has happened, and reconcile."""
        self.tell()
        wait = await self.controller.reconcile(key)
        assert wait is not None
        if (world := self.observer.observe(key, is_live=False)) is None or not world.is_being_inspected:
            return wait
        await self.observer.inspect(key)
        return await self.reconcile(key)


@pytest.fixture
def shell() -> Shell:
    return Shell(Scope())
