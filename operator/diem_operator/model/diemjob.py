"""The DiemJob resource (`diem.io/v1`): what is wanted (`spec`) and what is true (`status`). See crds/diemjob.yaml."""

from enum import StrEnum

import msgspec

from diem_operator.model.metadata import Condition, Moment, ObjectKey, ObjectMeta, RawObject, Resource, key_of
from diem_operator.model.names import RunId, Uid


class State(StrEnum):
    """`spec.state`, the desired state; absent neither starts nor stops anything."""

    STOPPED = "stopped"
    RUNNING = "running"


class Phase(StrEnum):
    """DIEM's words for where a run is.

    Submitted ──► Pending ──► Running ──► Completed | Failed
        │            │           │
        └────────────┴───────────┴──► Stopping ──► Stopped (or an earlier finish)
    """

    SUBMITTED = "Submitted"
    PENDING = "Pending"
    RUNNING = "Running"
    STOPPING = "Stopping"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"

    @property
    def is_terminal(self) -> bool:
        """Whether a run in this phase is over."""
        return self in {Phase.COMPLETED, Phase.FAILED, Phase.STOPPED}


class StopRequest(Resource, frozen=True, kw_only=True):
    """`spec.run.stop`: an API stop of this run; while present, only a new id starts."""

    requested_by: str = ""
    requested_at: str = ""


class RunRequest(Resource, frozen=True, kw_only=True):
    """`spec.run`, the latest request; written whole. `requested_at` is the caller's text, never compared."""

    id: RunId
    target_uid: Uid | None = msgspec.field(name="targetUID", default=None)
    requested_by: str = ""
    requested_at: str = ""
    parameters: dict[str, str] = {}
    stop: StopRequest | None = None


class AcceptedRequest(Resource, frozen=True, kw_only=True):
    """An entry of `spec.requests`: one command the API accepted; `id` is the run it started or stopped."""

    id: RunId
    action: str
    by: str = ""
    at: str = ""
    fingerprint: str = ""


class ParameterDeclaration(Resource, frozen=True, kw_only=True):
    """An entry of `spec.parameters`: what callers may set; it becomes an environment variable of every container."""

    name: str
    required: bool = False
    default: str | None = None
    enum: tuple[str, ...] = ()
    max_length: int | None = None
    description: str = ""


class Schedule(Resource, frozen=True, kw_only=True):
    """`spec.schedule`."""

    cron: str
    time_zone: str = "Etc/UTC"
    suspend: bool = False
    starting_deadline_seconds: int | None = None


class JobTemplate(Resource, frozen=True, kw_only=True):
    """`spec.jobTemplate`: a batch/v1 JobTemplateSpec, kept as the user wrote it."""

    metadata: RawObject = {}
    spec: RawObject = {}


class DiemJobSpec(Resource, frozen=True, kw_only=True):
    """`spec`."""

    job_template: JobTemplate
    state: State | None = None
    run: RunRequest | None = None
    requests: tuple[AcceptedRequest, ...] = ()
    parameters: tuple[ParameterDeclaration, ...] = ()
    aliases: tuple[str, ...] = ()
    schedule: Schedule | None = None
    start_deadline_seconds: int | None = None
    run_history_limit: int = 10
    job_history_limit: int = 3
    ttl_seconds_after_finished: int | None = None


class RunStatus(Resource, frozen=True, kw_only=True):
    """One run: `status.run` (the latest) and the entries of `status.runs` (those that are over, newest first)."""

    number: int
    id: RunId
    phase: Phase
    reason: str = ""
    message: str = ""
    job_name: str = ""
    job_uid: Uid = Uid("")
    requested_by: str = ""
    requested_at: str = ""
    started_at: Moment | None = None
    completed_at: Moment | None = None

    @property
    def is_live(self) -> bool:
        """Whether the run may still change."""
        return not self.phase.is_terminal


class ScheduleStatus(Resource, frozen=True, kw_only=True):
    """`status.schedule`: what the scheduler has handled."""

    hash: str = ""
    last_due: Moment | None = None
    next: Moment | None = None


class DiemJobStatus(Resource, frozen=True, kw_only=True):
    """`status`; every field has a default, because a DiemJob starts without one."""

    observed_generation: int = 0
    observed_state: State | None = None
    phase: Phase | None = None
    state_starts: int = 0
    run: RunStatus | None = None
    runs: tuple[RunStatus, ...] = ()
    recent_run_ids: tuple[str, ...] = ()
    schedule: ScheduleStatus | None = None
    conditions: tuple[Condition, ...] = ()


class DiemJob(Resource, frozen=True, kw_only=True):
    """A DiemJob as read from the API server."""

    metadata: ObjectMeta
    spec: DiemJobSpec
    status: DiemJobStatus = DiemJobStatus()

    @property
    def key(self) -> ObjectKey:
        """The namespace and name of this DiemJob."""
        return key_of(self.metadata)
