"""Gathers the world a decision rests on: from the store, or, where absence must be proven, from the API server."""

import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from diem_operator.cluster.errors import ClusterError, NotFound
from diem_operator.cluster.resources import Cluster
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, ObjectMeta
from diem_operator.model.names import JOB_LABEL_SELECTOR, LABEL_DIEMJOB, LABEL_MANAGED_BY, MANAGED_BY
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.job_manifest import build_label_value
from diem_operator.planning.rules import find_live_run
from diem_operator.planning.steps import Wait
from diem_operator.planning.timing import is_worth_inspecting
from diem_operator.planning.world import Inspection, World
from diem_operator.reconciler.inspector import Inspector
from diem_operator.reconciler.lists import ServedLists
from diem_operator.reconciler.memory import Memory
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.store import Store

logger = logging.getLogger(__name__)

FIRST_LOOK_SECONDS: Final = 5.0
"""Between two live looks at a Job of which watches may not tell; between looks at one that is long in going, more."""

MAX_LOOK_SECONDS: Final = 60.0

_Lists = tuple[list[DiemJob], list[Job]]
"""The DiemJobs and the Jobs of one namespace, or of all."""


class Observer:
    """The only reader of the reconciler.

    Args:
        cluster: the API server.
        store: what watches have told; live reads are put into it.
        memory: what the leader remembers.
        scope: which namespaces are listed.
        now: the wall time.
        steady_seconds: a clock for retries that never steps.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        memory: Memory,
        scope: Scope,
        now: Callable[[], datetime],
        steady_seconds: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._memory = memory
        self._scope = scope
        self._lists = ServedLists(scope.listed, what="lists of DiemJobs and Jobs")
        self._inspector = Inspector(cluster)
        self._now = now
        self._steady_seconds = steady_seconds
        self._doubtful: set[ObjectKey] = set()
        self._to_inspect: set[ObjectKey] = set()

    def observe(self, key: ObjectKey, *, is_live: bool) -> World | None:
        """Return the world around one DiemJob as known; None when there is no such DiemJob."""
        diemjob = self._store.find_diemjob(key)
        if diemjob is None:
            self._memory.forget(key)
            return None
        # The write that told it may have had no answer, and the watch brought it.
        self._memory.settle(key, diemjob.metadata.uid, diemjob.status)
        jobs = self._store.find_jobs(key)
        self._memory.note_jobs(key, jobs)
        recollection = self._memory.find(key, diemjob.metadata.uid)
        now_seconds = self._steady_seconds()
        return World(
            diemjob=diemjob,
            jobs=jobs,
            attempt=recollection.find_attempt(now_seconds=now_seconds),
            straggler=self._memory.find_straggler(key, now_seconds=now_seconds),
            inspection=recollection.inspection,
            is_being_inspected=key in self._to_inspect,
            is_live=is_live,
            now=self._now(),
        )

    async def start(self, *, led_since: float) -> set[ObjectKey]:
        """Forget what an earlier term of leadership knew, and begin with quorum LISTs; return all keys there are.

        Those where LISTs are refused come with the LIST that is not.

        Args:
            led_since: a LIST of DiemJobs that a watch begins with will do, if it is no older than this.
        """
        self._memory.clear()
        self._doubtful.clear()
        self._to_inspect.clear()
        doubtful = await self.resync(begun_since=led_since)
        return doubtful | {diemjob.key for diemjob in self._store.list_diemjobs() if self.is_listed(diemjob.key)}

    def want_inspection(self, key: ObjectKey) -> None:
        """Have decisions wait for no look at the pods until `inspect` has taken one."""
        self._to_inspect.add(key)

    async def inspect(self, key: ObjectKey) -> None:
        """Look up why the pods of the live run's Job are not as they should be, for the next decision."""
        world = self.observe(key, is_live=False)
        live, job = (None, None) if world is None else (world.live, world.live_job)
        if world is not None and live is not None and job is not None and is_worth_inspecting(live, job):
            await self._inspect(job, world)
        self._to_inspect.discard(key)

    async def _inspect(self, job: Job, world: World) -> None:
        at = self._now()
        try:
            inspection = await self._inspector.inspect(job, at=at)
        except ClusterError as error:
            # Why a pod is missing is worth a look, and not worth holding up what else is to be done.
            logger.warning("Could not look up the pods of Job %s: %s", job.key, error)
            known = world.inspection or Inspection(job_uid=job.uid, at=at)
            inspection = msgspec.structs.replace(known, job_uid=job.uid, at=at, has_failed=True)
        if self._is_still_there(world.diemjob):
            self._memory.note_inspection(world.diemjob.key, world.diemjob.metadata.uid, inspection)

    def _is_still_there(self, diemjob: DiemJob) -> bool:
        """Whether the DiemJob of that name is still the same one."""
        known = self._store.find_diemjob(diemjob.key)
        return known is not None and known.metadata.uid == diemjob.metadata.uid

    async def refresh(self, key: ObjectKey) -> None:
        """Read one DiemJob and the Jobs around it from the API server, the DiemJob first."""
        began_seconds = self._steady_seconds()  # what arrives while it reads, it may not show
        self._doubtful.discard(key)
        try:
            diemjob = await self._read_diemjob(key)
            await self._read_jobs(key, diemjob)
        except BaseException:
            self._doubtful.add(key)
            raise
        if diemjob is not None:
            self._memory.note_read(key, began_seconds=began_seconds)

    def doubt(self, key: ObjectKey) -> None:
        """Have a DiemJob read before it is decided on: something may have happened that the store does not know."""
        self._doubtful.add(key)

    def forget_diemjob(self, key: ObjectKey, *, resource_version: int) -> None:
        """Forget a DiemJob that made no sense at this version: nothing may be decided on what it was before.

        Its Jobs go on, and a later version that makes sense brings it back. To read it would tell no more.
        """
        version = ObjectMeta(name=key.name, namespace=key.namespace, resource_version=str(resource_version))
        self._store.remove_diemjob(key, metadata=version)
        if self._store.find_diemjob(key) is None:
            self._doubtful.discard(key)

    def doubt_diemjobs_unlike(self, diemjobs: Iterable[DiemJob], *, namespace: str | None) -> set[ObjectKey]:
        """Doubt the DiemJobs that differ from a LIST of them; return their keys.

        Args:
            diemjobs: already put into the store.
            namespace: of the LIST; None for all.
        """
        return self._doubt_all(self._store.find_doubtful_diemjobs(diemjobs, namespace=namespace))

    def doubt_jobs_unlike(self, jobs: Iterable[Job], *, namespace: str | None) -> set[ObjectKey]:
        """Doubt the DiemJobs around which a LIST of Jobs differs from what is known; return their keys.

        Args:
            jobs: already put into the store.
            namespace: of the LIST; None for all.
        """
        return self._doubt_all(self._store.find_owners_of_doubtful_jobs(jobs, namespace=namespace))

    def _doubt_all(self, keys: set[ObjectKey]) -> set[ObjectKey]:
        self._doubtful |= keys
        return keys

    def is_listed(self, key: ObjectKey) -> bool:
        """Whether the last LIST of its namespace was not refused, so that what watches tell goes on from there."""
        return key.namespace not in self._lists.refused

    async def refresh_if_doubtful(self, key: ObjectKey) -> bool:
        """Read what the last LISTs contradicted or could not tell, or a write left open; return whether it was read."""
        if key not in self._doubtful and (self.is_listed(key) or self._store.find_diemjob(key) is None):
            return False
        await self.refresh(key)
        return True

    def limit_wait(self, wait: Wait, world: World) -> Wait:
        """Return the wait, short where no watch may tell what is waited for: see `_find_look_seconds`.

        After it, such a DiemJob is read before it is decided on, and one with a POST of unknown outcome.
        """
        looks = [seconds for job in world.jobs if (seconds := _find_look_seconds(world, job)) is not None]
        if looks or (world.attempt is not None and world.attempt.is_unknown):
            self.doubt(world.diemjob.key)
        if not looks:
            return wait
        return Wait(seconds=min(looks if wait.seconds is None else [*looks, wait.seconds]))

    async def resync(self, *, begun_since: float | None = None) -> set[ObjectKey]:
        """Compare the store with LISTs; return the keys of DiemJobs around which something was different.

        What a watch has brought since a LIST was taken is newer than the LIST. So nothing is taken away on its word
        alone: where it lacks an object, or has another version, that object is read before anything is decided.
        What is known of a namespace whose LISTs are refused stays as it is.

        Args:
            begun_since: a LIST of DiemJobs that somebody else has begun since then, and still waits for, will do.
        """
        began_seconds = self._steady_seconds() if begun_since is None else begun_since
        refused_before = self._lists.refused
        listed = await self._lists.take(partial(self._list, begun_since=begun_since))
        changed = self._compare(listed)
        self._memory.note_lists(began_seconds=began_seconds, unlisted=self._lists.refused)
        doubtful = {key for key in self._doubtful if self.is_listed(key)}
        return changed | doubtful | self._find_known(refused_before & listed.keys())

    async def list_refused(self) -> set[ObjectKey]:
        """Try again where the last LISTs were refused; return all keys of namespaces where they are so no longer."""
        listed = await self._lists.take_refused(self._list)
        if not listed:
            return set()
        changed = self._compare(listed)
        return changed | self._find_known(listed.keys())

    def _find_known(self, namespaces: AbstractSet[str | None]) -> set[ObjectKey]:
        """Return all keys of these namespaces, also those of DiemJobs that may be gone."""
        known = self._doubtful | {diemjob.key for diemjob in self._store.list_diemjobs()}
        return {key for key in known if key.namespace in namespaces}

    def _compare(self, listed: Mapping[str | None, _Lists]) -> set[ObjectKey]:
        """Take LISTs by namespace over into the store, and doubt what they contradict; return what was new."""
        diemjobs = [diemjob for each, _ in listed.values() for diemjob in each]
        jobs = [job for _, each in listed.values() for job in each]
        changed = {diemjob.key for diemjob in diemjobs if self._store.put_diemjob(diemjob)}
        changed |= {owner for job in jobs if (owner := self._store.put_job(job)) is not None}
        unlike = self._store.find_doubtful_diemjobs(diemjobs) | self._store.find_owners_of_doubtful_jobs(jobs)
        self._doubtful |= {key for key in unlike if None in listed or key.namespace in listed}
        return changed

    async def _list(self, namespace: str | None, *, begun_since: float | None = None) -> _Lists:
        listing = await self._cluster.diemjobs.list(namespace, begun_since=begun_since)
        for key in listing.undecodable:
            self.forget_diemjob(key, resource_version=listing.resource_version)
        jobs = await self._cluster.jobs.list(namespace, label_selector=JOB_LABEL_SELECTOR)
        serves = self._scope.serves
        return (
            [diemjob for diemjob in listing.items if serves(diemjob.metadata.namespace)],
            [job for job in jobs.items if serves(job.metadata.namespace)],
        )

    async def _read_diemjob(self, key: ObjectKey) -> DiemJob | None:
        before = self._store.find_diemjob(key)
        try:
            diemjob = await self._cluster.diemjobs.get(key)
        except NotFound:
            if self._store.find_diemjob(key) is before:
                self._store.remove_diemjob(key)
            return None
        is_unchanged = self._store.find_diemjob(key) is before
        self._store.put_diemjob(diemjob, is_live=is_unchanged)
        return diemjob

    async def _read_jobs(self, key: ObjectKey, diemjob: DiemJob | None) -> None:
        """LIST by label, then GET by name what should be there too: labels can be edited, names cannot."""
        before = {job.key: job for job in self._store.find_jobs(key)}
        if diemjob is None and not before:
            return
        selector = f"{LABEL_DIEMJOB}={build_label_value(key.name)}"
        listing = await self._cluster.jobs.list(key.namespace, label_selector=selector)
        for job in listing.items:
            self._take_job(job, before.get(job.key))
        expected = set(before) | (set() if diemjob is None else self._find_expected_keys(diemjob))
        settled = {job.key for job in listing.items if self._store.find_job(job.key) is not None}
        for job_key in sorted(expected - settled):
            await self._read_job(job_key)

    def _find_expected_keys(self, diemjob: DiemJob) -> set[ObjectKey]:
        """Return the keys that the Jobs of the live run and of the last POST have, or would have."""
        metadata, run = diemjob.metadata, find_live_run(diemjob.status)
        attempt = self._memory.find(diemjob.key, metadata.uid).attempt
        names: set[str] = set()
        if run is not None:
            names.add(run.job_name or build_job_name(metadata.name, metadata.uid, run.id))
        if attempt is not None:
            names.add(build_job_name(metadata.name, metadata.uid, attempt.request.id))
        return {ObjectKey(namespace=metadata.namespace, name=name) for name in names}

    async def _read_job(self, key: ObjectKey) -> None:
        before = self._store.find_job(key)
        try:
            job = await self._cluster.jobs.get(key)
        except NotFound:
            if self._store.find_job(key) is before:
                self._store.remove_job(key)
            return
        self._take_job(job, before)

    def _take_job(self, job: Job, before: Job | None) -> None:
        """Believe what was read, unless a watch has brought something else since the request was sent."""
        self._store.put_job(job, is_live=self._store.find_job(job.key) is before)


def _find_look_seconds(world: World, job: Job) -> float | None:
    """Return the seconds until a Job is to be read live; None where watches tell all that matters.

    They do not select one that has lost their label. And a deletion is what a stop waits for, and what one that lies
    silent would hide longest: so a Job that is on its way out is looked after, ever more rarely.
    """
    if job.metadata.is_being_deleted:
        return min(max(FIRST_LOOK_SECONDS, world.age_seconds(job.metadata.deletion_timestamp)), MAX_LOOK_SECONDS)
    is_watched = job.metadata.labels.get(LABEL_MANAGED_BY) == MANAGED_BY
    return None if job in world.owned and (job.is_finished or is_watched) else FIRST_LOOK_SECONDS
