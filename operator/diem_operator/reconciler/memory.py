"""What the leader remembers of one DiemJob between two looks at it, and what no object of the cluster can tell.

Losing it costs a question to the API server: see the run rules on unknown outcomes. Only that a POST without an answer
may still arrive can then not be known.
"""

import random
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

import msgspec

from diem_operator.model.diemjob import DiemJobStatus, Phase
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.names import RunId, Uid
from diem_operator.planning.ids import is_seen
from diem_operator.planning.world import REQUEST_TIMEOUT_SECONDS, Attempt, Inspection, PostOutcome, Straggler
from diem_operator.reconciler.posting import PostResult

FIRST_RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 60.0
MAX_SHORT_RETRY_SECONDS = 5.0
"""After a refusal that is over soon."""


@dataclass(slots=True)
class Recollection:
    """The last POST and the last look at the pods of one DiemJob."""

    uid: Uid
    attempt: Attempt | None = None
    retry_at_seconds: float = 0
    inspection: Inspection | None = None

    def find_attempt(self, *, now_seconds: float) -> Attempt | None:
        """Return the last POST with the time left until it may be repeated."""
        if self.attempt is None:
            return None
        left = max(0.0, self.retry_at_seconds - now_seconds)
        return msgspec.structs.replace(self.attempt, retry_in_seconds=left)


@dataclass(slots=True)
class LostPost:
    """A POST without an answer, or several for the same run: what becomes a `Straggler`.

    Attributes:
        given_up_at_seconds: when the last of them was.
        posts: how many there were for the run since the first of them that may have made its Job.
    """

    uid: Uid
    run_id: RunId
    given_up_at_seconds: float
    posts: int = 1

    def is_for(self, uid: Uid, run_id: RunId | None) -> bool:
        """Whether it is for this run of this very DiemJob."""
        return (self.uid, self.run_id) == (uid, run_id)

    def find_straggler(self, *, now_seconds: float) -> Straggler:
        """Return it with the time in which it may arrive."""
        left = self.given_up_at_seconds + REQUEST_TIMEOUT_SECONDS - now_seconds
        return Straggler(diemjob_uid=self.uid, run_id=self.run_id, arrives_for_seconds=left)


@dataclass(slots=True)
class Memory:
    """Recollections by DiemJob, and by name, whether or not that DiemJob is gone, the POSTs without an answer.

    Of the latter those of one run are kept, the last: no other is started while they may make a Job beside its own.

    Args:
        jitter: returns a factor for retries, about 1; an argument so that tests choose it.
    """

    jitter: random.Random = field(default_factory=random.Random)
    _recollections: dict[ObjectKey, Recollection] = field(default_factory=dict)
    _lost_posts: dict[ObjectKey, LostPost] = field(default_factory=dict)

    def find(self, key: ObjectKey, uid: Uid) -> Recollection:
        """Return what is remembered of this very DiemJob; an empty recollection where that is nothing."""
        known = self._recollections.get(key)
        return known if known is not None and known.uid == uid else Recollection(uid=uid)

    def find_straggler(self, key: ObjectKey, *, now_seconds: float) -> Straggler | None:
        """Return the last POST without an answer for a DiemJob of this name, if nothing has settled it since."""
        lost = self._lost_posts.get(key)
        return None if lost is None else lost.find_straggler(now_seconds=now_seconds)

    def note_post(self, key: ObjectKey, uid: Uid, result: PostResult, *, now_seconds: float) -> None:
        """Remember the outcome of a POST."""
        recollection = self._keep(key, uid)
        previous = recollection.attempt
        is_repeated = previous is not None and previous.request.id == result.attempt.request.id
        failures = (previous.failures if is_repeated and previous is not None else 0) + 1
        if result.attempt.outcome is PostOutcome.CREATED:
            failures = 0
        recollection.attempt = msgspec.structs.replace(result.attempt, failures=failures)
        most = MAX_SHORT_RETRY_SECONDS if result.is_over_soon else MAX_RETRY_SECONDS
        delay = max(min(result.retry_after_seconds, MAX_RETRY_SECONDS), self._backoff_seconds(failures, most=most))
        recollection.retry_at_seconds = now_seconds + (delay if failures else 0)
        self._note_lost_post(key, uid, result, now_seconds=now_seconds)

    def _note_lost_post(self, key: ObjectKey, uid: Uid, result: PostResult, *, now_seconds: float) -> None:
        """Remember a POST without an answer, and whether another one has made the Job."""
        run_id, lost = result.attempt.request.id, self._lost_posts.get(key)
        if lost is not None and not lost.is_for(uid, run_id):
            lost = None
        if result.is_unanswered:
            posts = 1 if lost is None else lost.posts + 1
            self._lost_posts[key] = LostPost(uid, run_id, given_up_at_seconds=now_seconds, posts=posts)
        elif lost is not None and result.has_made_job:
            lost.posts += 1

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
        self._recollections.pop(key, None)

    def note_jobs(self, key: ObjectKey, jobs: Iterable[Job]) -> None:
        """Forget the only POST for a run if its Job is among these: nothing more comes of it."""
        lost = self._lost_posts.get(key)
        if lost is None or lost.posts > 1:
            return
        if any(job.owner is not None and lost.is_for(job.owner.uid, job.run_id) for job in jobs):
            del self._lost_posts[key]

    def note_read(self, key: ObjectKey, *, began_seconds: float) -> None:
        """Forget a POST without an answer whose Job would be known, as the Jobs were read when none could arrive."""
        straggler = self.find_straggler(key, now_seconds=began_seconds)
        if straggler is not None and straggler.arrives_for_seconds <= 0:
            del self._lost_posts[key]

    def note_lists(self, *, began_seconds: float, unlisted: Container[str | None] = ()) -> None:
        """Forget all such POSTs whose Jobs would be known, as all Jobs were listed when none of them could arrive.

        Args:
            began_seconds: when the lists were begun.
            unlisted: namespaces of which there was none.
        """
        for key in list(self._lost_posts):
            if key.namespace not in unlisted:
                self.note_read(key, began_seconds=began_seconds)

    def clear(self) -> None:
        """Forget everything: somebody else has led in between."""
        self._recollections.clear()
        self._lost_posts.clear()

    def _keep(self, key: ObjectKey, uid: Uid) -> Recollection:
        recollection = self.find(key, uid)
        self._recollections[key] = recollection
        return recollection

    def _backoff_seconds(self, failures: int, *, most: float) -> float:
        exponential = FIRST_RETRY_SECONDS * 4.0 ** min(max(failures - 1, 0), 10)
        return min(exponential, most) * self.jitter.uniform(0.8, 1.2)


def _is_told(attempt: Attempt, status: DiemJobStatus) -> bool:
    run_id, run = attempt.request.id, status.run
    is_waiting = run is not None and run.id == run_id and run.phase is Phase.SUBMITTED
    return is_seen(status, run_id) and not is_waiting
