"""What is known of the world without asking: the latest version seen of every DiemJob and of the Jobs around it.

Fed by watch events, by LISTs and by the answers to our own writes, so that no decision is older than what this process
itself has written. It holds no decision and asks nobody.

Versions of one object are compared as integers (KEP-5504); an older one never replaces a newer one, unless a live read
says so, which is how a control plane restored from a backup is met. Deletions have versions too and are remembered for
a while: a LIST, or the answer to a write, may be on its way while a watch tells that the object is gone.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, ObjectMeta

Stored = DiemJob | Job

MAX_DELETIONS: Final = 4096
"""How many are remembered of a kind; more than can happen while one request is under way."""


def find_owner_key(job: Job) -> ObjectKey | None:
    """Return the key of the DiemJob that a Job belongs to by its owner reference, whatever that DiemJob's uid."""
    owner = job.owner
    return None if owner is None else ObjectKey(namespace=job.metadata.namespace, name=owner.name)


class Deletions:
    """Which objects of one kind are gone, and since which version; the oldest are forgotten."""

    def __init__(self) -> None:
        self._versions: OrderedDict[ObjectKey, int] = OrderedDict()

    def note(self, key: ObjectKey, last: ObjectMeta | None) -> None:
        """Remember that the object, as it was last seen if ever, is history."""
        if last is None:
            return
        self._versions[key] = max(last.version, self._versions.pop(key, 0))
        if len(self._versions) > MAX_DELETIONS:
            self._versions.popitem(last=False)

    def cover(self, key: ObjectKey, metadata: ObjectMeta) -> bool:
        """Whether this version of the object is history."""
        return self._versions.get(key, -1) >= metadata.version

    def forget(self, key: ObjectKey) -> None:
        """Take it back: the object is there."""
        self._versions.pop(key, None)


@dataclass(slots=True)
class Store:
    """DiemJobs by key, and Jobs by the key of the DiemJob that owns them."""

    _diemjobs: dict[ObjectKey, DiemJob] = field(default_factory=dict)
    _jobs: dict[ObjectKey, dict[str, Job]] = field(default_factory=dict)
    _owners: dict[ObjectKey, ObjectKey] = field(default_factory=dict)
    _deleted_diemjobs: Deletions = field(default_factory=Deletions)
    _deleted_jobs: Deletions = field(default_factory=Deletions)

    def find_diemjob(self, key: ObjectKey) -> DiemJob | None:
        """Return the DiemJob as last seen."""
        return self._diemjobs.get(key)

    def find_jobs(self, key: ObjectKey) -> tuple[Job, ...]:
        """Return the Jobs owned by a DiemJob of this key."""
        return tuple(self._jobs.get(key, {}).values())

    def find_job(self, key: ObjectKey) -> Job | None:
        """Return the Job as last seen, if a DiemJob owns it."""
        owner = self._owners.get(key)
        return None if owner is None else self._jobs[owner].get(key.name)

    def list_diemjobs(self) -> list[DiemJob]:
        """Return all DiemJobs."""
        return list(self._diemjobs.values())

    def list_jobs(self) -> list[Job]:
        """Return all Jobs."""
        return [job for jobs in self._jobs.values() for job in jobs.values()]

    def put_diemjob(self, diemjob: DiemJob, *, is_live: bool = False) -> bool:
        """Keep this version if it is newer, or in any case if it was read live; return whether it was kept."""
        key, known = diemjob.key, self._diemjobs.get(diemjob.key)
        if not is_live and (_is_newer(known, diemjob) or self._deleted_diemjobs.cover(key, diemjob.metadata)):
            return False
        self._deleted_diemjobs.forget(key)
        self._diemjobs[key] = diemjob
        return True

    def remove_diemjob(self, key: ObjectKey, *, metadata: ObjectMeta | None = None) -> bool:
        """Forget the DiemJob; with the metadata of its deletion, only if what is known is not newer than that.

        Without metadata it was read live that it is gone.
        """
        known = self._diemjobs.get(key)
        if known is not None and metadata is not None and known.metadata.version > metadata.version:
            return False
        self._deleted_diemjobs.note(key, _find_last(known, metadata))
        return self._diemjobs.pop(key, None) is not None

    def put_job(self, job: Job, *, is_live: bool = False) -> ObjectKey | None:
        """Keep this version as put_diemjob does; return the key of its DiemJob if it was kept or moved."""
        known = self.find_job(job.key)
        if not is_live and (_is_newer(known, job) or self._deleted_jobs.cover(job.key, job.metadata)):
            return None
        self._deleted_jobs.forget(job.key)
        owner = find_owner_key(job)
        previous = self._owners.get(job.key)
        if previous is not None and previous != owner:
            self._drop_job(job.key)
        if owner is None:
            return previous
        self._jobs.setdefault(owner, {})[job.metadata.name] = job
        self._owners[job.key] = owner
        return owner

    def remove_job(self, key: ObjectKey, *, metadata: ObjectMeta | None = None) -> ObjectKey | None:
        """Forget the Job as remove_diemjob does; return the key of its DiemJob if it was known."""
        known = self.find_job(key)
        if known is not None and metadata is not None and known.metadata.version > metadata.version:
            return None
        self._deleted_jobs.note(key, _find_last(known, metadata))
        return None if known is None else self._drop_job(key)

    def find_doubtful_diemjobs(self, diemjobs: Iterable[DiemJob], *, namespace: str | None = None) -> set[ObjectKey]:
        """Return the keys of DiemJobs that differ from this LIST of one namespace or, with None, of all.

        Args:
            diemjobs: already put.
            namespace: of the LIST; None for all.
        """
        listed = {diemjob.key: diemjob for diemjob in diemjobs}
        known = {key: each for key, each in self._diemjobs.items() if namespace is None or key.namespace == namespace}
        return _find_differences(listed, known)

    def find_owners_of_doubtful_jobs(self, jobs: Iterable[Job], *, namespace: str | None = None) -> set[ObjectKey]:
        """Return the keys of DiemJobs whose Jobs differ from this LIST of one namespace or, with None, of all."""
        listed = {job.key: job for job in jobs if job.owner is not None}
        jobs_here = (job for job in self.list_jobs() if namespace is None or job.metadata.namespace == namespace)
        known = {job.key: job for job in jobs_here}
        differing = _find_differences(listed, known)
        owners = (find_owner_key(listed.get(key) or known[key]) for key in differing)
        return {owner for owner in owners if owner is not None}

    def _drop_job(self, key: ObjectKey) -> ObjectKey:
        owner = self._owners.pop(key)
        jobs = self._jobs[owner]
        del jobs[key.name]
        if not jobs:
            del self._jobs[owner]
        return owner


def _is_newer(known: Stored | None, other: Stored) -> bool:
    return known is not None and known.metadata.version >= other.metadata.version


def _find_last(known: Stored | None, deletion: ObjectMeta | None) -> ObjectMeta | None:
    return known.metadata if deletion is None and known is not None else deletion


def _find_differences(listed: Mapping[ObjectKey, Stored], known: Mapping[ObjectKey, Stored]) -> set[ObjectKey]:
    """Return the keys of objects that only one of the two has, or that they have in different versions."""
    pairs = [{(key, item.metadata.resource_version) for key, item in items.items()} for items in (listed, known)]
    return {key for key, _ in pairs[0] ^ pairs[1]}
