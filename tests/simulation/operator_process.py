"""One operator process: the real reconciler, run by hand, one request to the API server at a time.

Beside it a look at pods may be under way, whose requests are answered or lost on their own.
"""

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import cast

import msgspec

from diem_operator.cluster.errors import ClusterError
from diem_operator.cluster.resources import Cluster
from diem_operator.cluster.watch import EventType
from diem_operator.metrics import ControllerMetrics
from diem_operator.model.diemjob import DiemJob, DiemJobStatus
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey
from diem_operator.planning.steps import Wait
from diem_operator.planning.urgency import has_time
from diem_operator.reconciler.applier import Applier
from diem_operator.reconciler.controller import DiemJobController
from diem_operator.reconciler.leadership import NotLeader
from diem_operator.reconciler.memory import Memory
from diem_operator.reconciler.observer import Observer
from diem_operator.reconciler.reporting import Reporter
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.store import Store
from tests.builders import NAME, NAMESPACE, NOW
from tests.simulation.api_server import Kind, ModelApiServer, is_selected
from tests.simulation.cluster import ModelCluster
from tests.simulation.trace import Request

KEY = ObjectKey(namespace=NAMESPACE, name=NAME)


class SilentReporter:
    """Takes what people would be told; the ledger judges the writes themselves."""

    def report(self, diemjob: DiemJob, before: DiemJobStatus, after: DiemJobStatus) -> None:
        """Tell nobody."""


@dataclass
class OperatorProcess:
    """A replica of the operator: as a standby it keeps its store warm, as the leader it reconciles.

    Attributes:
        request: what it waits for an answer to; None while it does nothing.
        look: what a look at pods waits for an answer to, meanwhile; None while there is none.
        is_leader: what it believes.
        is_fenced: its lease is over, whether or not it has noticed; it may finish what it has sent and begin no write.
        is_ghost: another one leads, and its fence does not hold it back.
        wakes_at: when it wants to look again without being told to; None for never.
        is_dirty: it was told something that it has not looked at yet.
        sent: every request it has made, in order.
    """

    server: ModelApiServer
    name: str
    is_leader: bool = False
    is_fenced: bool = False
    is_ghost: bool = False
    is_synced: bool = False
    request: Request | None = None
    look: Request | None = None
    is_dirty: bool = False
    wakes_at: float | None = None
    sent: list[str] = field(default_factory=list)
    told: dict[Kind, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._coroutine: Coroutine[Request, object, object] | None = None
        self._looking: Coroutine[Request, object, object] | None = None
        self.restart()

    def restart(self) -> None:
        """Begin anew, as after a crash: with nothing but what a first LIST shows."""
        self._drop()
        self.store = Store()
        self.memory = Memory(jitter=_STEADY)
        cluster = cast("Cluster", ModelCluster(self.server))
        self._observer = Observer(
            cluster=cluster,
            store=self.store,
            memory=self.memory,
            scope=Scope(),
            now=lambda: self.server.now,
            steady_seconds=self.find_seconds,
        )
        applier = Applier(
            cluster=cluster,
            fence=self,
            store=self.store,
            memory=self.memory,
            reporter=cast("Reporter", SilentReporter()),
            steady_seconds=self.find_seconds,
        )
        self._controller = DiemJobController(
            store=self.store,
            observer=self._observer,
            applier=applier,
            metrics=cast("ControllerMetrics", None),
            workers=1,
        )
        self.told: dict[Kind, int] = {}
        for kind in self.server.journals:
            self.list_anew(kind)

    def write_budget_seconds(self) -> float:
        """Refuse to begin a write for one that does not lead."""
        if self.is_fenced or not self.is_leader:
            raise NotLeader("the lease is gone")
        return 10.0

    def find_seconds(self) -> float:
        return (self.server.now - NOW).total_seconds()

    def lead(self) -> None:
        """Gain the lease: forget, and look at everything first."""
        self.is_leader, self.is_synced = True, False
        self._run(self._observer.start(led_since=self.find_seconds()), self._end_sync)

    def step_down(self) -> None:
        """Stop leading, in good order or because the fence was met; the store stays, and watches go on."""
        self._drop()

    def begin_reconcile(self, *, is_busy: bool = False) -> None:
        """Look at the DiemJob, if the last look is over; a busy one has others to look at, and leaves what has time."""
        self.is_dirty, self.wakes_at = False, None
        may_leave = has_time if is_busy else lambda *_: False
        self._run(self._controller.reconcile(KEY, may_leave=may_leave), self._end_reconcile)

    def begin_resync(self) -> None:
        """Compare the store with LISTs, as every few minutes."""
        self._run(self._observer.resync(), self._end_resync)

    @property
    def is_due(self) -> bool:
        """Whether there is something to look at, or the time has come."""
        is_awake = self.wakes_at is not None and self.find_seconds() >= self.wakes_at
        return self.request is None and (self.is_dirty or is_awake or not self.is_synced)

    def answer(self, value: object) -> None:
        """Go on with the answer to the request."""
        assert self._coroutine is not None
        coroutine = self._coroutine
        self._advance(lambda: coroutine.send(value))

    def fail(self, error: ClusterError) -> None:
        """Go on with a failure of the request."""
        assert self._coroutine is not None
        coroutine = self._coroutine
        self._advance(lambda: coroutine.throw(error))

    def answer_look(self) -> None:
        """Go on with a look at pods."""
        if self.look is not None and self._looking is not None:
            looking, value = self._looking, self.look.carry_out()
            self._advance_look(lambda: looking.send(value))

    def fail_look(self, error: ClusterError) -> None:
        """Go on with a failure of a look at pods."""
        if self._looking is not None:
            looking = self._looking
            self._advance_look(lambda: looking.throw(error))

    def tell(self, kind: Kind, count: int) -> None:
        """Deliver the next events of a watch."""
        begin = self.told[kind]
        for event in self.server.journals[kind][begin : begin + count]:
            before = self._known()
            if kind == "DiemJob":
                self._controller.observe_diemjob(EventType(event.type), msgspec.convert(event.raw, DiemJob))
            else:
                self._controller.observe_job(EventType(event.type), msgspec.convert(event.raw, Job))
            self.is_dirty = self.is_dirty or self._known() != before
            self.told[kind] += 1

    def list_anew(self, kind: Kind) -> None:
        """Begin a watch anew with a list; the events until then are not told any more."""
        if kind == "DiemJob":
            found = self.server.diemjob
            diemjobs = [] if found is None else [msgspec.convert(found, DiemJob)]
            self._controller.observe_diemjob_list(diemjobs, namespace=None)
        else:
            jobs = [msgspec.convert(job, Job) for job in filter(is_selected, self.server.jobs.values())]
            self._controller.observe_job_list(jobs, namespace=None)
        self.told[kind] = len(self.server.journals[kind])
        self.is_dirty = True

    def has_news(self, kind: Kind) -> bool:
        return self.told[kind] < len(self.server.journals[kind])

    def _known(self) -> tuple[DiemJob | None, tuple[Job, ...]]:
        return self.store.find_diemjob(KEY), self.store.find_jobs(KEY)

    def _run(self, coroutine: Coroutine[Request, object, object], end: Callable[[object], None]) -> None:
        assert self.request is None, "one thing at a time"
        self._coroutine, self._end = coroutine, end
        self._advance(lambda: coroutine.send(None))

    def _advance(self, step: Callable[[], Request]) -> None:
        self.request = None
        try:
            self.request = step()
        except StopIteration as stop:
            self._coroutine = None
            self._end(stop.value)
        except ClusterError:
            self._coroutine, self.is_dirty = None, True
        except NotLeader:
            self.step_down()
        else:
            self._note_sent(self.request)

    def _note_sent(self, request: Request) -> None:
        self.sent.append(request.text)
        self.server.trace.note(f"  {self.name}: {request.text}")
        self.server.watcher.request_sent(request, is_fenced=self.is_fenced)

    def _end_sync(self, _: object) -> None:
        self.is_synced = self.is_dirty = True

    def _end_resync(self, changed: object) -> None:
        assert isinstance(changed, set)
        self.is_dirty = self.is_dirty or KEY in changed

    def _end_reconcile(self, wait: object) -> None:
        world = self._observer.observe(KEY, is_live=False)
        if isinstance(wait, Wait) and wait.seconds is not None:
            self.wakes_at = self.find_seconds() + wait.seconds
        if wait is None and world is not None:
            self.is_dirty = True
            self.server.watcher.work_left(world)
        if world is not None and world.is_being_inspected and self._looking is None:
            looking = self._looking = self._observer.inspect(KEY)
            self._advance_look(lambda: looking.send(None))

    def _advance_look(self, step: Callable[[], Request]) -> None:
        self.look = None
        try:
            self.look = step()
        except StopIteration:
            self._looking, self.is_dirty = None, True

    def _drop(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()
        if self._looking is not None:
            self._looking.close()
        self._looking = self.look = None
        self._coroutine = self.request = self.wakes_at = None
        self.is_leader = self.is_fenced = self.is_ghost = self.is_synced = self.is_dirty = False


class _Steady(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return 1.0


_STEADY = _Steady(0)
