"""The reconciler's shell, put together around the fake API server, with a clock that tests turn."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from diem_operator.cluster.resources import Cluster
from diem_operator.metrics import OperatorMetrics
from diem_operator.model.diemjob import DiemJob, RunStatus
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import RunId
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.steps import Wait
from diem_operator.reconciler.applier import Applier
from diem_operator.reconciler.controller import DiemJobController
from diem_operator.reconciler.events import EventRecorder
from diem_operator.reconciler.leader import NotLeader
from diem_operator.reconciler.memory import Memory
from diem_operator.reconciler.observer import Observer
from diem_operator.reconciler.reporting import Reporter
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.store import Store
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

    def __init__(self, scope: Scope) -> None:
        self.server = FakeApiServer()
        self.clock = TurnedClock()
        self.fence = FakeFence()
        self.store = Store()
        self.memory = Memory(jitter=random.Random(0))
        self.metrics = OperatorMetrics(CollectorRegistry())
        cluster = Cluster(self.server)
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
        self.controller = DiemJobController(
            store=self.store,
            observer=self.observer,
            applier=self.applier,
            metrics=self.metrics.for_controller("diemjobs"),
            workers=2,
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

    def tell(self) -> None:
        """Let the watches tell what has happened."""
        while self.server.pending_events:
            event = self.server.pending_events.popleft()
            observe: Callable[[str | None, RawObject], None] = {
                "diemjobs": self.controller.observe_diemjob,
                "jobs": self.controller.observe_job,
            }.get(event.plural, lambda _type, _raw: None)
            observe(event.type, event.raw)

    async def reconcile(self, key: ObjectKey = KEY) -> Wait:
        """Let the watches tell what has happened, and reconcile."""
        self.tell()
        return await self.controller.reconcile(key)


@pytest.fixture
def shell() -> Shell:
    return Shell(Scope())
