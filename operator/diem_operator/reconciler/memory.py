"""What the leader remembers of one DiemJob between two looks at it, and what no object of the cluster can tell.

Losing it costs a question to the API server: see the run rules on unknown outcomes. Only that a lost POST for a deleted
DiemJob may still arrive can then not be known.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from diem_operator.model.diemjob import DiemJobStatus, Phase
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.names import Uid
from diem_operator.planning.ids import is_seen
from diem_operator.planning.world import Attempt, Inspection, PostOutcome
from diem_operator.reconciler.posting import PostResult

FIRST_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 60.0


@dataclass(slots=True)
class Recollection:
    """The last POST and the last look at the pods of one DiemJob."""

    uid: Uid
    attempt: Attempt | None = None
    posted_at_seconds: float = 0
    retry_at_seconds: float = 0
    inspection: Inspection | None = None

    def find_attempt(self, *, now_seconds: float) -> Attempt | None:
        """Return the last POST with the time left until it may be repeated."""
        if self.attempt is None:
            return None
        left = max(0.0, self.retry_at_seconds - now_seconds)
        age = now_seconds - self.posted_at_seconds
        return msgspec.structs.replace(self.attempt, retry_in_seconds=left, age_seconds=age)

    @property
    def is_unknown(self) -> bool:
        """Whether the last POST may have made a Job."""
        return self.attempt is not None and self.attempt.is_unknown


@dataclass(slots=True)
class Memory:
    """Recollections by DiemJob. Of one that is gone, a POST of unknown outcome is remembered: its Job may be there.

    Args:
        jitter: returns a factor for retries, about 1; an argument so that tests choose it.
    """

    jitter: random.Random = field(default_factory=random.Random)
    _recollections: dict[ObjectKey, Recollection] = field(default_factory=dict)

    def find(self, key: ObjectKey, uid: Uid) -> Recollection:
        """Return what is remembered of this very DiemJob; an empty recollection where that is nothing."""
        known = self._recollections.get(key)
        return known if known is not None and known.uid == uid else Recollection(uid=uid)

    def find_unknown_post_of_other(self, key: ObjectKey, uid: Uid, *, now_seconds: float) -> Attempt | None:
        """Return the POST of unknown outcome that another DiemJob of this name had, if no read has settled it since."""
        other = self._find_other(key, uid)
        return other.find_attempt(now_seconds=now_seconds) if other is not None and other.is_unknown else None

    def note_post(self, key: ObjectKey, uid: Uid, result: PostResult, *, now_seconds: float) -> None:
        """Remember the outcome of a POST."""
        recollection = self._keep(key, uid)
        previous = recollection.attempt
        is_repeated = previous is not None and previous.request.id == result.attempt.request.id
        failures = (previous.failures if is_repeated and previous is not None else 0) + 1
        if result.attempt.outcome is PostOutcome.CREATED:
            failures = 0
        recollection.attempt = msgspec.structs.replace(result.attempt, failures=failures)
        delay = max(min(result.retry_after_seconds, MAX_RETRY_SECONDS), self._backoff_seconds(failures))
        recollection.posted_at_seconds = now_seconds
        recollection.retry_at_seconds = now_seconds + (delay if failures else 0)

    def note_inspection(self, key: ObjectKey, uid: Uid, inspection: Inspection) -> None:
        """Remember what a look at the pods showed."""
        self._keep(key, uid).inspection = inspection

    def settle(self, key: ObjectKey, uid: Uid, status: DiemJobStatus) -> None:
        """Forget the outcome of a POST that the status tells by now, and the pods of a run that is over."""
        recollection = self._recollections.get(key)
        if recollection is None or recollection.uid != uid:
            return
        if recollection.attempt is not None and _is_told(recollection.attempt, status):
            recollection.attempt = None
        if status.run is None or status.run.phase not in {Phase.PENDING, Phase.STOPPING}:
            recollection.inspection = None
        if recollection.attempt is None and recollection.inspection is None:
            del self._recollections[key]

    def forget(self, key: ObjectKey) -> None:
        """Forget a DiemJob that is gone."""
        known = self._recollections.get(key)
        if known is not None and not known.is_unknown:
            del self._recollections[key]

    def note_jobs(self, key: ObjectKey, uid: Uid, jobs: Iterable[Job]) -> None:
        """Forget the one POST for another DiemJob of this name if its Job is among these: nothing more comes of it."""
        other = self._find_other(key, uid)
        if other is None or other.attempt is None or other.attempt.failures > 1:
            return
        run = other.uid, other.attempt.request.id
        if any(job.owner is not None and (job.owner.uid, job.run_id) == run for job in jobs):
            del self._recollections[key]

    def note_read(self, key: ObjectKey, uid: Uid, *, now_seconds: float) -> None:
        """Forget other DiemJobs of this name, whose Jobs are known now, unless a POST for one may yet arrive."""
        post = self.find_unknown_post_of_other(key, uid, now_seconds=now_seconds)
        if self._find_other(key, uid) is not None and (post is None or post.arrives_for_seconds <= 0):
            del self._recollections[key]

    def clear(self) -> None:
        """Forget everything: somebody else has led in between."""
        self._recollections.clear()

    def _find_other(self, key: ObjectKey, uid: Uid) -> Recollection | None:
        """Return what is remembered of another DiemJob of this name."""
        known = self._recollections.get(key)
        return known if known is not None and known.uid != uid else None

    def _keep(self, key: ObjectKey, uid: Uid) -> Recollection:
        recollection = self.find(key, uid)
        self._recollections[key] = recollection
        return recollection

    def _backoff_seconds(self, failures: int) -> float:
        exponential = FIRST_RETRY_SECONDS * 4.0 ** min(max(failures - 1, 0), 10)
        return min(exponential, MAX_RETRY_SECONDS) * self.jitter.uniform(0.8, 1.2)


def _is_told(attempt: Attempt, status: DiemJobStatus) -> bool:
    run_id, run = attempt.request.id, status.run
    is_waiting = run is not None and run.id == run_id and run.phase is Phase.SUBMITTED
    return is_seen(status, run_id) and not is_waiting
