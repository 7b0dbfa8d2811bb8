"""The parts of pods that tell why a run is not running yet, or cannot stop."""

from datetime import datetime

from diem_operator.model.metadata import Condition, ObjectKey, ObjectMeta, Resource, key_of


class WaitingState(Resource, frozen=True, kw_only=True):
    """`state.waiting` of a container, for example ImagePullBackOff."""

    reason: str = ""
    message: str = ""


class TerminatedState(Resource, frozen=True, kw_only=True):
    """`state.terminated` of a container, for example OOMKilled."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class RunningState(Resource, frozen=True, kw_only=True):
    """`state.running` of a container."""

    started_at: datetime | None = None


class ContainerState(Resource, frozen=True, kw_only=True):
    """`state` of a container: at most one of the three."""

    waiting: WaitingState | None = None
    running: RunningState | None = None
    terminated: TerminatedState | None = None


class ContainerStatus(Resource, frozen=True, kw_only=True):
    """One entry of `containerStatuses` or `initContainerStatuses`."""

    name: str
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()


class PodSpec(Resource, frozen=True, kw_only=True):
    """`spec`; `node_name` is empty until the pod is scheduled."""

    node_name: str = ""


class PodStatus(Resource, frozen=True, kw_only=True):
    """`status`; `phase` is Pending, Running, Succeeded, Failed or Unknown."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Resource, frozen=True, kw_only=True):
    """A pod as read from the API server."""

    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def key(self) -> ObjectKey:
        """The namespace and name of this pod."""
        return key_of(self.metadata)
