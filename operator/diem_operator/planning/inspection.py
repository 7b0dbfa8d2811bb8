"""Why a Job's pods are not running, or not gone: read off its pods and Events, in words a user can act on."""

from datetime import datetime, timedelta

from diem_operator.model import reasons
from diem_operator.model.event import Event
from diem_operator.model.job import Job
from diem_operator.model.pod import Pod
from diem_operator.planning.timing import DELETION_BLOCKED_SECONDS
from diem_operator.planning.world import Inspection

_OUR_WAY_OF_DELETING = frozenset({"foregroundDeletion", "orphan"})
_JOB_TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
_ORDINARY_WAITING = frozenset({"ContainerCreating", "PodInitializing", ""})
_RUNNING_PHASES = frozenset({"Running", "Succeeded"})
"""What has come so far within the Job; one that failed may never have run."""

_CREATION_FAILED_REASONS = frozenset({"FailedCreate", "FailedCreatePodTemplate"})
_MAX_MESSAGE_LENGTH = 512


def explain_pending(job: Job, pods: tuple[Pod, ...], events: tuple[Event, ...], *, now: datetime) -> Inspection:
    """Return why no pod of an unfinished Job runs; its reason is empty where there is nothing to say yet."""
    alive = [pod for pod in pods if not pod.metadata.is_being_deleted]
    if any(pod.status.phase in _RUNNING_PHASES for pod in alive):
        return Inspection(job_uid=job.uid, at=now, has_running_pod=True)
    for pod in alive:
        reason, message = _explain_pod(pod)
        if reason:
            return Inspection(job_uid=job.uid, at=now, reason=reason, message=message[:_MAX_MESSAGE_LENGTH])
    if not alive:
        message = _find_creation_failure(events)
        reason = reasons.POD_CREATION_FAILED if message else ""
        return Inspection(job_uid=job.uid, at=now, reason=reason, message=message[:_MAX_MESSAGE_LENGTH])
    return Inspection(job_uid=job.uid, at=now)


def explain_deletion(job: Job, pods: tuple[Pod, ...], *, now: datetime) -> Inspection:
    """Return what keeps a Job that is being deleted; a pod within its own grace period does not count."""
    blocker = _find_deletion_blocker(job, pods, now)
    return Inspection(job_uid=job.uid, at=now, deletion_blocker=blocker[:_MAX_MESSAGE_LENGTH])


def _explain_pod(pod: Pod) -> tuple[str, str]:
    """Return (reason, message): why this pod does not run; two empty strings for an ordinary start."""
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            return reasons.POD_UNSCHEDULABLE, f"pod {pod.metadata.name}: {condition.message}"
    for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        waiting = container.state.waiting
        if waiting is not None and waiting.reason not in _ORDINARY_WAITING:
            return waiting.reason, f"pod {pod.metadata.name}, container {container.name}: {waiting.message}"
    return "", ""


def _find_creation_failure(events: tuple[Event, ...]) -> str:
    failures = [event for event in events if event.reason in _CREATION_FAILED_REASONS]
    failures.sort(key=lambda event: (event.last_seen_at is not None, event.last_seen_at))
    return failures[-1].message if failures else ""


def _find_deletion_blocker(job: Job, pods: tuple[Pod, ...], now: datetime) -> str:
    for pod in pods:
        foreign = [finalizer for finalizer in pod.metadata.finalizers if finalizer != _JOB_TRACKING_FINALIZER]
        if foreign:
            return f"pod {pod.metadata.name} keeps the finalizer {foreign[0]}"
        overdue_at = pod.metadata.deletion_timestamp
        if overdue_at is not None and now - overdue_at > timedelta(seconds=DELETION_BLOCKED_SECONDS):
            node = pod.spec.node_name or "no node"
            return f"pod {pod.metadata.name} on {node} does not end; is the node alive?"
    foreign = [finalizer for finalizer in job.metadata.finalizers if finalizer not in _OUR_WAY_OF_DELETING]
    return f"Job {job.metadata.name} keeps the finalizer {foreign[0]}" if foreign else ""
