"""The reconciler of DiemJobs: keys in, one step at a time out, until there is nothing to do but wait.

    watch events ─► store ─► queue ─► worker: observe ─► plan ─► apply ─┐
                              ▲ ▲         ▲                             │
                              │ │         └──────── until Wait ─────────┤
                              │ └── postponed: only telling is left ────┤
                              └──────── look at the pods ◄──────────────┘

One worker per key at a time, so the steps of one DiemJob never overlap within a process; between processes the
preconditions of the writes see to it. Only the leader runs; a standby merely keeps its store warm.

Two kinds of work stand back for starts and stops. What only tells or tidies up is postponed while other DiemJobs wait,
see `planning.urgency`. And pods are looked at by one task, one Job after the other, for at most a part of its time:
a LIST of Events costs the API server as much as there are Events, and many runs may be waiting for their pods.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from diem_operator.cluster.errors import ClusterError, Forbidden, OutcomeUnknown, find_retry_after_seconds
from diem_operator.cluster.watch import EventType
from diem_operator.metrics import ControllerMetrics
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey
from diem_operator.planning.plan import plan
from diem_operator.planning.steps import InspectPods, ObserveLive, Step, Wait
from diem_operator.planning.urgency import has_time
from diem_operator.planning.world import World
from diem_operator.reconciler.applier import Applier, PreconditionFailedError
from diem_operator.reconciler.leadership import NotLeader
from diem_operator.reconciler.observer import Observer
from diem_operator.reconciler.queue import WorkQueue
from diem_operator.reconciler.store import Store
from diem_operator.settings import RESYNC_SECONDS

logger = logging.getLogger(__name__)

MAX_STEPS = 64
"""Steps of one DiemJob in a row; a start needs three."""

RESYNC_HASTE: Final = 10.0
"""A comparison that failed is made again so many times sooner; watches that begin anew compare by themselves."""

REFUSED_RETRY_SECONDS: Final = 5.0
"""Between two tries to list a namespace in which that is refused."""

INSPECTION_PAUSE_RATIO: Final = 4.0
"""Between two looks at pods, as a multiple of what the first of them took."""

MAX_INSPECTION_PAUSE_SECONDS: Final = 5.0

MayLeave = Callable[[Step, World], bool]
"""Whether a step may be left for later."""


class UnsettledError(Exception):
    """Every step called for another one; to go on without a pause could load the API server for nothing."""


class DiemJobController:
    """Reconciles every DiemJob it is told of.

    Args:
        store: shared with the observer and the applier.
        observer: reads.
        applier: writes.
        metrics: counts.
        workers: how many DiemJobs are worked on at the same time.
        resync_seconds: between two comparisons of the store with LISTs.
    """

    def __init__(
        self,
        *,
        store: Store,
        observer: Observer,
        applier: Applier,
        metrics: ControllerMetrics,
        workers: int,
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        self._store = store
        self._observer = observer
        self._applier = applier
        self._metrics = metrics
        self._workers = workers
        self._resync_seconds = resync_seconds
        self._queue: WorkQueue[ObjectKey] | None = None
        self._inspections: WorkQueue[ObjectKey] | None = None

    @property
    def is_leading(self) -> bool:
        """Whether this process reconciles; a standby only listens."""
        return self._queue is not None

    @property
    def queue_depth(self) -> int:
        """How many DiemJobs wait for a worker, and may have something to start or stop."""
        return 0 if self._queue is None else len(self._queue) - self._queue.postponed_count

    @property
    def postponed_count(self) -> int:
        """How many DiemJobs wait for a worker, and only for their status or for tidying up."""
        return 0 if self._queue is None else self._queue.postponed_count

    def observe_diemjob(self, event_type: EventType, diemjob: DiemJob) -> None:
        """Take a DiemJob as a watch told it."""
        if event_type is EventType.DELETED:
            changed = self._store.remove_diemjob(diemjob.key, metadata=diemjob.metadata)
        else:
            changed = self._store.put_diemjob(diemjob)
        if changed:
            self._enqueue(diemjob.key)

    def observe_diemjob_list(self, diemjobs: Sequence[DiemJob], *, namespace: str | None) -> None:
        """Take all DiemJobs of one namespace or, with None, of all, as a watch begins with them.

        Nothing is taken away on a list's word alone, see `Observer.resync`.
        """
        changed = {diemjob.key for diemjob in diemjobs if self._store.put_diemjob(diemjob)}
        for key in changed | self._observer.doubt_diemjobs_unlike(diemjobs, namespace=namespace):
            self._enqueue(key)

    def forget_diemjob(self, key: ObjectKey, *, resource_version: int) -> None:
        """Take it that a DiemJob made no sense at this version; see `Observer.forget_diemjob`."""
        self._observer.forget_diemjob(key, resource_version=resource_version)

    def observe_job(self, event_type: EventType, job: Job) -> None:
        """Take a Job as a watch told it; what it means is decided for the DiemJob that owns it."""
        if event_type is EventType.DELETED:
            owner = self._store.remove_job(job.key, metadata=job.metadata)
        else:
            owner = self._store.put_job(job)
        if owner is not None:
            self._enqueue(owner)

    def observe_job_list(self, jobs: Sequence[Job], *, namespace: str | None) -> None:
        """Take all Jobs of one namespace or, with None, of all, as a watch begins with them.

        Nothing is taken away on a list's word alone, see `Observer.resync`.
        """
        owners = {owner for job in jobs if (owner := self._store.put_job(job)) is not None}
        for key in owners | self._observer.doubt_jobs_unlike(jobs, namespace=namespace):
            self._enqueue(key)

    async def run(self, *, led_since: float) -> None:
        """Reconcile until cancelled, as the leader: first everything, then what changes.

        Args:
            led_since: when the lease was taken, by the observer's steady clock.
        """
        keys = await self._observer.start(led_since=led_since)
        self._queue = WorkQueue(on_wait=self._metrics.observe_queue_wait)
        self._inspections = WorkQueue()
        try:
            for key in keys:
                self._queue.add(key)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._resync_for_ever())
                tasks.create_task(self._list_refused_for_ever())
                tasks.create_task(self._inspect_for_ever(self._inspections))
                for _ in range(self._workers):
                    tasks.create_task(self._work(self._queue))
        finally:
            self._queue.shut_down()
            self._inspections.shut_down()
            self._queue = self._inspections = None

    def _enqueue(self, key: ObjectKey) -> None:
        if self._queue is not None:
            self._queue.add(key)

    async def _resync_for_ever(self) -> None:
        pause_seconds = self._resync_seconds
        while True:
            await asyncio.sleep(pause_seconds)
            try:
                changed = await self._observer.resync()
            except ClusterError as error:
                logger.warning("Could not compare the caches with the API server: %s", error)
                pause_seconds = max(self._resync_seconds / RESYNC_HASTE, find_retry_after_seconds(error))
                continue
            pause_seconds = self._resync_seconds
            for key in changed:
                self._enqueue(key)

    async def _list_refused_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REFUSED_RETRY_SECONDS)
            for key in await self._observer.list_refused():
                self._enqueue(key)

    async def _inspect_for_ever(self, inspections: WorkQueue[ObjectKey]) -> None:
        while True:
            key = await inspections.get()
            started_at = self._loop_seconds()
            try:
                await self._observer.inspect(key)
            except Exception:
                logger.exception("Could not look up pods, trying again", extra=_fields(key))
                inspections.add_rate_limited(key)
            else:
                inspections.forget(key)
                self._enqueue(key)
            finally:
                inspections.done(key)
            pause_seconds = (self._loop_seconds() - started_at) * INSPECTION_PAUSE_RATIO
            await asyncio.sleep(min(pause_seconds, MAX_INSPECTION_PAUSE_SECONDS))

    async def _work(self, queue: WorkQueue[ObjectKey]) -> None:
        while True:
            key = await queue.get()
            try:
                await self._reconcile_once(queue, key)
            finally:
                queue.done(key)

    async def _reconcile_once(self, queue: WorkQueue[ObjectKey], key: ObjectKey) -> None:
        """Reconcile one key; whatever fails is tried again later, without end."""
        started_at = self._loop_seconds()
        outcome = "done"
        try:
            wait = await self.reconcile(
                key, may_leave=lambda step, world: queue.has_to_stand_back(key) and has_time(step, world)
            )
        except (ClusterError, UnsettledError) as error:
            outcome = "retry"
            if isinstance(error, Forbidden) and not self._observer.is_listed(key):
                queue.forget(key)  # it comes with the LIST of its namespace that is not refused
            else:
                logger.warning("Could not reconcile, trying again: %s", error, extra=_fields(key))
                queue.add_rate_limited(key, at_least_seconds=find_retry_after_seconds(error))
        except NotLeader:
            raise
        except Exception:
            outcome = "error"
            logger.exception("Could not reconcile, trying again", extra=_fields(key))
            queue.add_rate_limited(key)
        else:
            queue.forget(key)
            if wait is None:
                queue.postpone(key)
            elif wait.seconds is not None:
                queue.add_after(key, wait.seconds)
        self._metrics.observe_reconcile(outcome, self._loop_seconds() - started_at)

    async def reconcile(self, key: ObjectKey, *, may_leave: MayLeave = lambda *_: False) -> Wait | None:
        """Take one DiemJob as far as it goes now, or to the first step that may be left.

        Returns:
            When to look at it again without being told to; None where a step was left.
        """
        is_live = await self._observer.refresh_if_doubtful(key)
        for _ in range(MAX_STEPS):
            world = self._observer.observe(key, is_live=is_live)
            if world is None:
                return Wait()
            step = plan(world)
            if isinstance(step, Wait):
                return self._observer.limit_wait(step, world)
            if may_leave(step, world):
                return None
            is_live = await self._carry_out(step, world)
        raise UnsettledError(f"{MAX_STEPS} steps were not enough")

    async def _carry_out(self, step: Step, world: World) -> bool:
        """Do one step; return whether the world was read live because of it."""
        key = world.diemjob.key
        match step:
            case ObserveLive():
                await self._observer.refresh(key)
                return True
            case InspectPods():
                self._observer.want_inspection(key)
                if self._inspections is not None:
                    self._inspections.add(key)
                return False
            case Wait():
                return False
        try:
            await self._applier.apply(step, world)
        except PreconditionFailedError:
            await self._observer.refresh(key)
            return True
        except OutcomeUnknown:
            self._observer.doubt(key)
            raise
        return False

    @staticmethod
    def _loop_seconds() -> float:
        return asyncio.get_running_loop().time()


def _fields(key: ObjectKey) -> dict[str, str]:
    return {"namespace": key.namespace, "diemjob": key.name}
