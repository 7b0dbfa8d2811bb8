"""What is known of the world without asking: the latest version seen of every DiemJob and of the Jobs around it.

Fed by watch events, by LISTs and by the answers to our own writes, so that no decision is older than what this process
itself has written. It holds no decision and asks nobody.

Versions of one object are compared as integers (KEP-5504); an older one never replaces a newer one, unless a live read
says so, which is how a control plane restored from a backup is met.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, ObjectMeta


def version_of(metadata: ObjectMeta) -> int:
    """Return the resourceVersion as a number; 0 where it is none."""
    text = metadata.resource_version
    return int(text) if text.isascii() and text.isdigit() else 0


def find_owner_key(job: Job) -> ObjectKey | None:
    """Return the key of the DiemJob that a Job belongs to by its owner reference, whatever that DiemJob's uid."""
    owner = job.owner
    return None if owner is None else ObjectKey(namespace=job.metadata.namespace, name=owner.name)


@dataclass(slots=True)
class Store:
    """DiemJobs by key, and Jobs by the key of the DiemJob that owns them."""

    _diemjobs: dict[ObjectKey, DiemJob] = field(default_factory=dict)
    _jobs: dict[ObjectKey, dict[str, Job]] = field(default_factory=dict)
    _owners: dict[ObjectKey, ObjectKey] = field(default_factory=dict)

    def find_diemjob(self, key: ObjectKey) -> DiemJob | None:
        """Return the DiemJob as last seen."""
        return self._diemjobs.get(key)

    def find_jobs(self, key: ObjectKey) -> tuple[Job, ...]:
        """Return the Jobs owned by a DiemJob of this key."""
        return tuple(self._jobs.get(key, {}).values())

    def list_diemjobs(self) -> list[DiemJob]:
        """Return all DiemJobs."""
        return list(self._diemjobs.values())

    def list_jobs(self) -> list[Job]:
        """Return all Jobs."""
        return [job for jobs in self._jobs.values() for job in jobs.values()]

    def put_diemjob(self, diemjob: DiemJob, *, is_live: bool = False) -> bool:
        """Keep this version if it is newer, or in any case if it was read live; return whether it was kept."""
        known = self._diemjobs.get(diemjob.key)
        if known is not None and not is_live and version_of(known.metadata) >= version_of(diemjob.metadata):
            return False
        self._diemjobs[diemjob.key] = diemjob
        return True

    def remove_diemjob(self, key: ObjectKey, *, metadata: ObjectMeta | None = None) -> bool:
        """Forget the DiemJob; with metadata, only if what is known is not newer than that."""
        known = self._diemjobs.get(key)
        if known is None or (metadata is not None and version_of(known.metadata) > version_of(metadata)):
            return False
        del self._diemjobs[key]
        return True

    def put_job(self, job: Job, *, is_live: bool = False) -> ObjectKey | None:
        """Keep this version as put_diemjob does; return the key of its DiemJob if it was kept or moved."""
        known = self._find_job(job.key)
        if known is not None and not is_live and version_of(known.metadata) >= version_of(job.metadata):
            return None
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
        known = self._find_job(key)
        if known is None or (metadata is not None and version_of(known.metadata) > version_of(metadata)):
            return None
        return self._drop_job(key)

    def replace(self, diemjobs: Iterable[DiemJob], jobs: Iterable[Job]) -> None:
        """Forget everything and keep these: the result of two LISTs."""
        self._diemjobs.clear()
        self._jobs.clear()
        self._owners.clear()
        for diemjob in diemjobs:
            self.put_diemjob(diemjob)
        for job in jobs:
            self.put_job(job)

    def _find_job(self, key: ObjectKey) -> Job | None:
        owner = self._owners.get(key)
        return None if owner is None else self._jobs[owner].get(key.name)

    def _drop_job(self, key: ObjectKey) -> ObjectKey:
        owner = self._owners.pop(key)
        jobs = self._jobs[owner]
        del jobs[key.name]
        if not jobs:
            del self._jobs[owner]
        return owner
