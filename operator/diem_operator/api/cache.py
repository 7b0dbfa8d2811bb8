"""The DiemJobs as this replica knows them: from the watch, from live reads, and from its own writes.

    watch ─ replace, apply ─►┐
    live reads ───── put ───►├─► by key, by name and alias ─► find, get, wait_until
    our own writes ─ put ───►┘

A version never gives way to an older one, whichever way that came: so no answer is older than what this replica has
written. resourceVersions are compared as integers (KEP-5504). Only a list is believed against all that was known when
it was asked for: what is older in it was restored from a backup. The cache asks nobody and decides nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

from diem_operator.access.permissions import Reference
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey

Predicate = Callable[[DiemJob | None], bool]
"""What somebody waits for; None is a DiemJob that is gone."""


class JobCache:
    """DiemJobs by key, findable by name and alias."""

    def __init__(self, *, excluded_namespaces: Iterable[str] = ()) -> None:
        self._excluded_namespaces = frozenset(excluded_namespaces)
        self._diemjobs: dict[ObjectKey, DiemJob] = {}
        self._keys_by_text: defaultdict[Reference, set[ObjectKey]] = defaultdict(set)
        self._watched_until: defaultdict[str | None, int] = defaultdict(int)
        self._known_until: dict[str | None, int] = {}
        self._waiters: defaultdict[ObjectKey, set[asyncio.Future[None]]] = defaultdict(set)
        self._is_closing = False

    def __len__(self) -> int:
        return len(self._diemjobs)

    @property
    def waiting_count(self) -> int:
        """How many callers wait for a DiemJob to change."""
        return sum(len(waiters) for waiters in self._waiters.values())

    def get(self, key: ObjectKey) -> DiemJob | None:
        """Return the newest version that is known."""
        return self._diemjobs.get(key)

    def find(self, reference: Reference) -> list[DiemJob]:
        """Return the DiemJobs that have this name or alias, in the order of their names."""
        return [self._diemjobs[key] for key in sorted(self._keys_by_text.get(reference, ()))]

    def expect_list(self, namespace: str | None = None) -> None:
        """Note what is known now: the list that `replace` takes over next is asked for later than this."""
        self._known_until[namespace] = max(
            (self._diemjobs[key].metadata.version for key in self._list_keys(namespace)), default=0
        )

    def replace(self, diemjobs: Iterable[DiemJob], *, resource_version: int, namespace: str | None = None) -> None:
        """Take over a complete list, of one namespace or of all; only what came while it was read may be newer."""
        known_until = self._known_until.pop(namespace, 0)
        self._restart_watch(namespace, resource_version)
        listed = {diemjob.key: diemjob for diemjob in diemjobs}
        for key in [key for key in self._list_keys(namespace) if key not in listed]:
            self._drop_if_older(key, max(resource_version, known_until))
        for diemjob in listed.values():
            self._keep(diemjob, instead_of_until=known_until)

    def apply(self, diemjob: DiemJob) -> None:
        """Take over what the watch says was added or modified."""
        self._advance(diemjob.metadata.namespace, diemjob.metadata.version)
        self._keep(diemjob)

    def remove(self, key: ObjectKey, *, resource_version: int) -> None:
        """Take over what the watch says was deleted, with the version of the deletion."""
        self._advance(key.namespace, resource_version)
        self._drop_if_older(key, resource_version)

    def put(self, diemjob: DiemJob) -> None:
        """Take over what a live read or an own write answered.

        A DiemJob that is not known although the watch is past its version has been deleted meanwhile: kept, it would
        stay for ever.
        """
        watched_until = self._find_watched_until(diemjob.metadata.namespace)
        if diemjob.key in self._diemjobs or diemjob.metadata.version > watched_until:
            self._keep(diemjob)

    async def wait_until(self, key: ObjectKey, is_reached: Predicate, *, timeout_seconds: float) -> None:
        """Return when the newest known version satisfies the predicate, or the time is over, or the process ends."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not self._is_closing and not is_reached(self.get(key)):
                    await self._next_change(key)
        except TimeoutError:
            return

    def close(self) -> None:
        """Let everybody go who waits, now and from now on."""
        self._is_closing = True
        for key in list(self._waiters):
            self._wake(key)

    async def _next_change(self, key: ObjectKey) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[key].add(waiter)
        try:
            await waiter
        finally:
            self._waiters[key].discard(waiter)
            if not self._waiters[key]:
                del self._waiters[key]

    def _keep(self, diemjob: DiemJob, *, instead_of_until: int = 0) -> None:
        """Take over a version that is newer than the known one, or any instead of one that is at most so new."""
        key = diemjob.key
        if key.namespace in self._excluded_namespaces:
            return
        known = self._diemjobs.get(key)
        if known is not None and known.metadata.version >= max(diemjob.metadata.version, instead_of_until + 1):
            return
        self._diemjobs[key] = diemjob
        if known is None or known.spec.aliases != diemjob.spec.aliases:
            self._index_anew(key, known, diemjob)
        self._wake(key)

    def _drop_if_older(self, key: ObjectKey, resource_version: int) -> None:
        known = self._diemjobs.get(key)
        if known is not None and known.metadata.version <= resource_version:
            self._unindex(self._diemjobs.pop(key))
            self._wake(key)

    def _index_anew(self, key: ObjectKey, known: DiemJob | None, diemjob: DiemJob) -> None:
        if known is not None:
            self._unindex(known)
        for reference in _references_of(diemjob):
            self._keys_by_text[reference].add(key)

    def _unindex(self, diemjob: DiemJob) -> None:
        for reference in _references_of(diemjob):
            self._keys_by_text[reference].discard(diemjob.key)
            if not self._keys_by_text[reference]:
                del self._keys_by_text[reference]

    def _wake(self, key: ObjectKey) -> None:
        for waiter in self._waiters.get(key, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _list_keys(self, namespace: str | None) -> list[ObjectKey]:
        return [key for key in self._diemjobs if namespace in {None, key.namespace}]

    def _find_watched_until(self, namespace: str | None) -> int:
        """Return up to where lists and watch have told; those of all namespaces count for each."""
        if namespace is None:
            return max(self._watched_until.values(), default=0)
        return max(self._watched_until.get(None, 0), self._watched_until.get(namespace, 0))

    def _restart_watch(self, namespace: str | None, resource_version: int) -> None:
        for watched in [watched for watched in self._watched_until if namespace in {None, watched}]:
            del self._watched_until[watched]
        self._watched_until[namespace] = resource_version

    def _advance(self, namespace: str | None, resource_version: int) -> None:
        self._watched_until[namespace] = max(self._watched_until[namespace], resource_version)


def _references_of(diemjob: DiemJob) -> set[Reference]:
    namespace = diemjob.metadata.namespace
    return {Reference(namespace=namespace, text=text) for text in (diemjob.metadata.name, *diemjob.spec.aliases)}
