"""Carries out the steps of a plan: one write each, with its precondition, fenced by the lease.

A precondition that fails is no error here: the world has moved on, so it is read live and planned again.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from diem_operator.cluster.errors import Conflict, NotFound
from diem_operator.cluster.resources import Cluster
from diem_operator.model.diemjob import DiemJobStatus
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import ANNOTATION_RECORDED_UID
from diem_operator.planning.merge_patch import build_merge_patch
from diem_operator.planning.steps import CreateJob, DeleteJob, WriteRecordedUid, WriteStatus
from diem_operator.planning.world import PostOutcome, World
from diem_operator.reconciler.memory import Memory
from diem_operator.reconciler.posting import post_job
from diem_operator.reconciler.reporting import Reporter
from diem_operator.reconciler.store import Store

WRITE_TIMEOUT_SECONDS = 10.0

Write = CreateJob | DeleteJob | WriteStatus | WriteRecordedUid


class Fence(Protocol):
    """Says how long this process may still write."""

    def write_budget_seconds(self) -> float:
        """Return the seconds left; raises NotLeader where there are none."""


class PreconditionFailedError(Exception):
    """The object is not what the step was planned on; read it live and plan again."""


class Applier:
    """The only writer of DiemJobs and Jobs; every answer goes into the store at once.

    So no decision is older than the last write, whatever the watch still has to tell.

    Args:
        cluster: the API server.
        fence: asked before each write.
        store: takes the answers.
        memory: takes the outcomes of POSTs.
        reporter: is told of status writes.
        steady_seconds: a clock for retries that never steps.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        fence: Fence,
        store: Store,
        memory: Memory,
        reporter: Reporter,
        steady_seconds: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._fence = fence
        self._store = store
        self._memory = memory
        self._reporter = reporter
        self._steady_seconds = steady_seconds

    async def apply(self, step: Write, world: World) -> None:
        """Carry out one write.

        Raises:
            PreconditionFailedError: nothing was changed, and the plan rests on something outdated.
            ClusterError: it failed in another way; the next plan is right whether or not it was carried out.
            NotLeader: nothing was sent.
        """
        try:
            match step:
                case CreateJob():
                    await self._create_job(step, world)
                case DeleteJob():
                    await self._delete_job(step)
                case WriteStatus():
                    await self._write_status(step, world)
                case WriteRecordedUid():
                    await self._write_recorded_uid(world)
        except (Conflict, NotFound) as error:
            raise PreconditionFailedError(str(error)) from error

    async def _create_job(self, step: CreateJob, world: World) -> None:
        is_repeated = world.find_attempt(PostOutcome.UNKNOWN, step.request.id) is not None
        result = await post_job(self._cluster.jobs, step, is_repeated=is_repeated, timeout_seconds=self._find_timeout())
        metadata = world.diemjob.metadata
        self._memory.note_post(world.diemjob.key, metadata.uid, result, now_seconds=self._steady_seconds())
        job = result.attempt.job
        if job is not None and job.uid:
            self._store.put_job(job)

    async def _delete_job(self, step: DeleteJob) -> None:
        metadata = step.job.metadata
        remaining = await self._cluster.jobs.delete(
            step.job.key,
            uid=metadata.uid,
            resource_version=metadata.resource_version if step.propagation == "Foreground" else None,
            propagation=step.propagation,
            timeout_seconds=self._find_timeout(),
        )
        if remaining is None:
            self._store.remove_job(step.job.key)
        else:
            self._store.put_job(remaining)

    async def _write_status(self, step: WriteStatus, world: World) -> None:
        before = world.diemjob.status
        body = {
            "metadata": {"resourceVersion": world.diemjob.metadata.resource_version},
            "status": build_merge_patch(_to_json(before), _to_json(step.status)),
        }
        stored = await self._cluster.diemjobs.patch_status(
            world.diemjob.key, body, timeout_seconds=self._find_timeout()
        )
        self._store.put_diemjob(stored)
        self._reporter.report(stored, before, step.status)

    async def _write_recorded_uid(self, world: World) -> None:
        metadata = world.diemjob.metadata
        key: ObjectKey = world.diemjob.key
        annotations = {ANNOTATION_RECORDED_UID: metadata.uid}
        body = {"metadata": {"resourceVersion": metadata.resource_version, "annotations": annotations}}
        self._store.put_diemjob(await self._cluster.diemjobs.patch(key, body, timeout_seconds=self._find_timeout()))

    def _find_timeout(self) -> float:
        return min(WRITE_TIMEOUT_SECONDS, self._fence.write_budget_seconds())


def _to_json(status: DiemJobStatus) -> RawObject:
    converted: RawObject = msgspec.to_builtins(status)
    return converted
