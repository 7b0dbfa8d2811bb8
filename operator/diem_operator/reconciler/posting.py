"""Creates the Job of a run and says what is known afterwards; see PostOutcome for the answers and what they allow."""

from dataclasses import dataclass, replace

import msgspec

from diem_operator.cluster.errors import (
    AlreadyExists,
    BadRequest,
    ClusterError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OutcomeUnknown,
    Refused,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    find_retry_after_seconds,
)
from diem_operator.cluster.resources import Jobs
from diem_operator.model import reasons
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, key_of
from diem_operator.planning.steps import CreateJob
from diem_operator.planning.world import Attempt, PostOutcome

_NAMESPACE_TERMINATING = "NamespaceTerminating"
_NAMESPACE_TERMINATING_RETRY_SECONDS = 60.0
_MAX_MESSAGE_LENGTH = 1024

_UNKNOWN_OWNER_KIND = "cannot set blockOwnerDeletion in this case because cannot find RESTMapping"
"""How the admission plugin OwnerReferencesPermissionEnforcement refuses Jobs while it has not heard of DiemJobs.

It asks which kinds there are every 30 seconds: so for that long after the CRDs were made, or its API server started.
"""


@dataclass(frozen=True, slots=True)
class PostResult:
    """What one POST has shown.

    Attributes:
        attempt: what is known after it.
        retry_after_seconds: how long the API server asked to wait before the next; 0 where it did not.
        has_made_job: it was this POST itself, as it was told; otherwise, if the Job exists, perhaps another one.
        is_unanswered: it may still be carried out, whatever is known of the Job by now.
        is_over_soon: it was refused by what has not yet heard of DiemJobs.
    """

    attempt: Attempt
    retry_after_seconds: float = 0
    has_made_job: bool = False
    is_unanswered: bool = False
    is_over_soon: bool = False


async def post_job(jobs: Jobs, step: CreateJob, *, is_repeated: bool, timeout_seconds: float) -> PostResult:
    """POST the Job; a failure is a result, since the plan decides what follows from it.

    Args:
        jobs: where to.
        step: what to POST.
        is_repeated: an earlier POST of it may have been carried out. A refusal of this one does not tell: a quota, say,
            refuses before names are compared, and may be used up by the very Job that the earlier one has made.
        timeout_seconds: for the POST.
    """
    manifest = msgspec.convert(step.manifest, Job)
    try:
        job = await jobs.create(manifest.metadata.namespace, step.manifest, timeout_seconds=timeout_seconds)
    except AlreadyExists:
        # If it is gone again: it had a name that only this run has, so it was made, and somebody deleted it.
        return await _identify(jobs, step, manifest, otherwise=_created(step, manifest))
    except ClusterError as error:
        result = _explain(step, error)
        if not is_repeated:
            return result
        found = await _identify(jobs, step, manifest, otherwise=result)
        return replace(found, is_unanswered=result.is_unanswered)
    return PostResult(_build(step, PostOutcome.CREATED, job=job), has_made_job=True)


async def _identify(jobs: Jobs, step: CreateJob, manifest: Job, *, otherwise: PostResult) -> PostResult:
    """Tell our own Job, made by an earlier POST, from somebody else's under its name, and from none at all."""
    key: ObjectKey = key_of(manifest.metadata)
    try:
        job = await jobs.get(key)
    except NotFound:
        return otherwise
    except ClusterError as error:
        text = f"whether the Job {key.name} exists could not be read: {error}"
        return PostResult(_build(step, PostOutcome.UNKNOWN, reason=reasons.API_SERVER_UNAVAILABLE, message=text))
    if _is_same_run(job, manifest):
        return _created(step, job)
    text = f"a Job named {key.name} exists and belongs to something else; delete or rename it, then start a new run"
    return PostResult(_build(step, PostOutcome.NAME_TAKEN, reason=reasons.JOB_NAME_TAKEN, message=text))


def _created(step: CreateJob, job: Job) -> PostResult:
    return PostResult(_build(step, PostOutcome.CREATED, job=job))


def _is_same_run(job: Job, manifest: Job) -> bool:
    if job.owner is None or manifest.owner is None:
        return False
    return (job.owner.uid, job.run_id) == (manifest.owner.uid, manifest.run_id)


def _explain(step: CreateJob, error: ClusterError) -> PostResult:
    """Return what an error means for the run: see the table in PostOutcome."""
    match error:
        case BadRequest() | Invalid() | TooLarge():
            return PostResult(_build(step, PostOutcome.REJECTED, reason=reasons.JOB_REJECTED, message=error.message))
        case OutcomeUnknown():
            reason, message = reasons.API_SERVER_UNAVAILABLE, str(error)
            attempt = _build(step, PostOutcome.UNKNOWN, reason=reason, message=message)
            return PostResult(attempt, is_unanswered=True)
        case Refused():
            attempt = _build(
                step, PostOutcome.DEFERRED, reason=_find_reason(error), message=error.message or str(error)
            )
            return PostResult(attempt, _find_retry_after(error), is_over_soon=_is_owner_kind_unknown(error))
        case _:
            reason = reasons.API_SERVER_UNAVAILABLE
            return PostResult(_build(step, PostOutcome.DEFERRED, reason=reason, message=str(error)))


def _find_reason(error: Refused) -> str:
    if _is_namespace_terminating(error):
        return reasons.NAMESPACE_TERMINATING
    if _is_owner_kind_unknown(error):
        return reasons.API_SERVER_UNAVAILABLE
    match error:
        case Forbidden() | Unauthorized():
            return reasons.QUOTA_EXCEEDED if "exceeded quota" in error.message else reasons.FORBIDDEN
        case Conflict():
            return reasons.CONFLICT
        case TooManyRequests():
            return reasons.TOO_MANY_REQUESTS
        case _:
            return reasons.API_SERVER_UNAVAILABLE


def _find_retry_after(error: Refused) -> float:
    if _is_namespace_terminating(error):
        return _NAMESPACE_TERMINATING_RETRY_SECONDS
    return find_retry_after_seconds(error)


def _is_namespace_terminating(error: Refused) -> bool:
    """A 403 with that cause; or a 404, which for a POST means that the namespace is gone already."""
    return _NAMESPACE_TERMINATING in error.causes or isinstance(error, NotFound)


def _is_owner_kind_unknown(error: Refused) -> bool:
    return isinstance(error, Forbidden) and _UNKNOWN_OWNER_KIND in error.message


def _build(
    step: CreateJob, outcome: PostOutcome, *, reason: str = "", message: str = "", job: Job | None = None
) -> Attempt:
    return Attempt(
        request=step.request,
        manifest=step.manifest,
        outcome=outcome,
        reason=reason,
        message=message[:_MAX_MESSAGE_LENGTH],
        job=job,
    )
