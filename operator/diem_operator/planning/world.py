"""What a decision rests on: one DiemJob, the Jobs around it, and what this process remembers of its own last POST."""

from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from diem_operator.model.diemjob import DiemJob, RunStatus
from diem_operator.model.job import Job
from diem_operator.model.metadata import RawObject, Resource
from diem_operator.model.names import RunId, Uid
from diem_operator.planning.ids import is_seen
from diem_operator.planning.rules import StartRequest, find_due_start, find_live_run

REQUEST_TIMEOUT_SECONDS = 70.0
"""The API server ends a request after 60 seconds unless it is told otherwise."""


class PostOutcome(StrEnum):
    """What is known of the last POST of a Job.

    CREATED     the Job exists or existed, ours (also met as AlreadyExists)
    UNKNOWN     it may exist: time-out, reset, 5xx
    DEFERRED    it does not exist, and a later POST may succeed: quota, admission, throttling, no connection
    REJECTED    it does not exist, and the same manifest never will: invalid
    NAME_TAKEN  an object that is not ours has its name
    """

    CREATED = "Created"
    UNKNOWN = "Unknown"
    DEFERRED = "Deferred"
    REJECTED = "Rejected"
    NAME_TAKEN = "NameTaken"


class Attempt(Resource, frozen=True, kw_only=True):
    """The last POST for a DiemJob whose outcome status does not show yet; kept in memory by the leader that sent it.

    Args:
        request: the run it is for.
        manifest: the Job as it was sent; a repetition sends the same.
        outcome: what is known of it.
        reason: for the Reconciling condition, while it has to be repeated.
        message: what the API server said, shortened.
        job: the Job, once it is known to be ours.
        retry_in_seconds: how long to wait before repeating it; not positive when it is time.
        failures: how many POSTs for this run have not created it.
    """

    request: StartRequest
    manifest: RawObject
    outcome: PostOutcome
    reason: str = ""
    message: str = ""
    job: Job | None = None
    retry_in_seconds: float = 0
    failures: int = 0

    @property
    def is_unknown(self) -> bool:
        """Whether it may have made a Job, and may not."""
        return self.outcome is PostOutcome.UNKNOWN


class Straggler(Resource, frozen=True, kw_only=True):
    """A POST that had no answer: it may make its Job even after others have made it, and that is over and gone.

    Args:
        diemjob_uid: of the DiemJob it was sent for, which may be deleted.
        run_id: of the run it was sent for.
        arrives_for_seconds: how much longer it may make a Job that no read shows yet. Not positive: it cannot any more,
            and what it has made is to be looked for.
    """

    diemjob_uid: Uid
    run_id: RunId
    arrives_for_seconds: float


class Inspection(Resource, frozen=True, kw_only=True):
    """Why a Job's pods are not there, or that one is, as looked up at `at`; only for that Job.

    One that `has_failed` says again what was known before.
    """

    job_uid: str
    at: datetime
    has_failed: bool = False
    has_running_pod: bool = False
    reason: str = ""
    message: str = ""
    deletion_blocker: str = ""


class World(Resource, frozen=True, kw_only=True, dict=True):
    """One DiemJob and all that decides what to do about it.

    Args:
        diemjob: as read; its resourceVersion is the precondition of what is written.
        jobs: every known Job that a DiemJob of this name owns, whatever that DiemJob's uid.
        attempt: see Attempt.
        straggler: the last POST without an answer, for this DiemJob or a deleted one of its name, until it is known
            that nothing can come of it.
        inspection: see Inspection.
        is_being_inspected: whether another look at the pods has been asked for and is not over.
        is_live: whether diemjob and jobs were read from the API server after the decision before this one, so that
            absence proves something; otherwise they come from a cache.
        now: aware UTC time; for display and for limits in seconds, never for order.
    """

    diemjob: DiemJob
    now: datetime
    jobs: tuple[Job, ...] = ()
    attempt: Attempt | None = None
    straggler: Straggler | None = None
    inspection: Inspection | None = None
    is_being_inspected: bool = False
    is_live: bool = False

    @cached_property
    def live(self) -> RunStatus | None:
        """The run that may still change."""
        return find_live_run(self.diemjob.status)

    @cached_property
    def due(self) -> StartRequest | None:
        """The start that is due and not recorded."""
        return find_due_start(self.diemjob.spec, self.diemjob.status, self.diemjob.metadata.uid)

    @cached_property
    def is_superseded(self) -> bool:
        """Whether a new id ends the live run; a start by state waits instead."""
        return self.live is not None and self.due is not None and not self.due.is_by_state

    @cached_property
    def owned(self) -> tuple[Job, ...]:
        """The Jobs this very DiemJob owns."""
        return tuple(job for job in self.jobs if job.owner and job.owner.uid == self.diemjob.metadata.uid)

    @cached_property
    def has_jobs_of_older_uid(self) -> bool:
        """Whether Jobs are left of a deleted DiemJob of the same name."""
        return len(self.owned) < len(self.jobs)

    @cached_property
    def has_unfinished_job(self) -> bool:
        """Whether a Job this DiemJob owns is not over."""
        return any(not job.is_finished for job in self.owned)

    @cached_property
    def live_job(self) -> Job | None:
        """The Job of the live run."""
        return None if self.live is None else self.find_job(self.live)

    @cached_property
    def unseen_jobs(self) -> tuple[Job, ...]:
        """Owned Jobs whose run the status does not know: unfinished first, then what is asked for, then the latest.

        More than one is unfinished only where a POST of a deposed leader came late; the first of them is to go on.
        The Job of the live run is seen, whatever id somebody has written onto it.
        """
        live_uid = None if self.live is None else self.live.job_uid
        unseen = [
            job
            for job in self.owned
            if job.uid != live_uid and job.run_id and not is_seen(self.diemjob.status, job.run_id)
        ]
        if not unseen:
            return ()
        request = self.diemjob.spec.run
        wanted = {None if request is None else request.id, None if self.due is None else self.due.id}
        order = sorted(unseen, key=lambda job: (job.is_finished, job.run_id not in wanted, -job.run_number))
        return tuple(order)

    @cached_property
    def stray_jobs(self) -> tuple[Job, ...]:
        """Unfinished owned Jobs whose run the status knows and does not regard as live."""
        return tuple(
            job
            for job in self.owned
            if job is not self.live_job and job.run_id and not job.is_finished and job not in self.unseen_jobs
        )

    def find_straggler(self, run_id: RunId) -> Straggler | None:
        """Return the POST without an answer if it is for this run of this very DiemJob."""
        straggler = self.straggler
        if straggler is None or (straggler.diemjob_uid, straggler.run_id) != (self.diemjob.metadata.uid, run_id):
            return None
        return straggler

    def find_inspection(self, job: Job) -> Inspection | None:
        """Return what the last look at the pods of this very Job showed."""
        return self.inspection if self.inspection is not None and self.inspection.job_uid == job.uid else None

    def find_job(self, run: RunStatus) -> Job | None:
        """Return the owned Job of a recorded run: the very one recorded with it, else the one that carries its id."""
        if run.job_uid:
            return next((job for job in self.owned if job.uid == run.job_uid), None)
        return self.find_job_by_id(run.id)

    def find_job_by_id(self, run_id: RunId) -> Job | None:
        """Return the owned Job that carries this run id."""
        return next((job for job in self.owned if job.run_id == run_id), None)

    def find_attempt(self, outcome: PostOutcome, run_id: str) -> Attempt | None:
        """Return the last POST if it was for this run and came out so."""
        attempt = self.attempt
        if attempt is None or (attempt.outcome, attempt.request.id) != (outcome, run_id):
            return None
        return attempt

    def age_seconds(self, since: datetime | None) -> float:
        """Return the seconds since then; 0 for None or the future."""
        return 0 if since is None else max(0.0, (self.now - since) / timedelta(seconds=1))
