"""Reasons (CamelCase, Kubernetes API conventions) that runs, conditions and Events carry; defined once, here."""

from typing import Final

# How a run ended, or why it is where it is (status.run.reason).
COMPLETED: Final = "Completed"
STOP_REQUESTED: Final = "StopRequested"
SUPERSEDED: Final = "Superseded"
NEVER_STARTED: Final = "NeverStarted"
RESTORED_REQUEST: Final = "RestoredRequest"
STATE_LOST: Final = "StateLost"
JOB_DELETED: Final = "JobDeleted"
JOB_REJECTED: Final = "JobRejected"
JOB_NAME_TAKEN: Final = "JobNameTaken"
INVALID_PARAMETERS: Final = "InvalidParameters"
START_DEADLINE_EXCEEDED: Final = "StartDeadlineExceeded"
JOB_FAILED: Final = "JobFailed"

# Why a run is not where it should be yet (the Reconciling condition).
STARTING: Final = "Starting"
STOPPING: Final = "Stopping"
WAITING_FOR_OLD_JOBS: Final = "WaitingForOldJobs"
WAITING_FOR_POD: Final = "WaitingForPod"
JOB_SUSPENDED: Final = "JobSuspended"
POD_CREATION_FAILED: Final = "PodCreationFailed"
POD_UNSCHEDULABLE: Final = "PodUnschedulable"
JOB_DELETION_BLOCKED: Final = "JobDeletionBlocked"
QUOTA_EXCEEDED: Final = "QuotaExceeded"
FORBIDDEN: Final = "Forbidden"
CONFLICT: Final = "Conflict"
TOO_MANY_REQUESTS: Final = "TooManyRequests"
API_SERVER_UNAVAILABLE: Final = "ApiServerUnavailable"
NAMESPACE_TERMINATING: Final = "NamespaceTerminating"

# The Ready condition when there is nothing to do.
IDLE: Final = "Idle"
RUNNING: Final = "Running"

# Events.
EVENT_RUN_STARTED: Final = "RunStarted"
EVENT_RUN_COMPLETED: Final = "RunCompleted"
EVENT_RUN_FAILED: Final = "RunFailed"
EVENT_RUN_STOPPED: Final = "RunStopped"
EVENT_JOB_REJECTED: Final = JOB_REJECTED

# DiemApiKey.
KEY_ISSUED: Final = "Issued"
KEY_ADOPTED: Final = "Adopted"
KEY_REVOKED: Final = "Revoked"
KEY_EXPIRED: Final = "Expired"
KEY_INVALID: Final = "InvalidSpec"
KEY_DUPLICATE: Final = "DuplicateToken"
