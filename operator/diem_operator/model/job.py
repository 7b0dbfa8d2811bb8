"""The parts of batch/v1 Jobs that decisions rest on; the rest of a Job is Kubernetes' business."""

from datetime import datetime

from diem_operator.model.metadata import Condition, ObjectKey, ObjectMeta, OwnerReference, Resource, key_of
from diem_operator.model.names import ANNOTATION_RUN_ID, ANNOTATION_RUN_NUMBER, API_VERSION, DIEMJOB_KIND, RunId, Uid

_MAX_NUMBER_LENGTH = 9
"""Anybody who may edit a Job can write its annotations; a longer number is none of ours."""


class JobSpec(Resource, frozen=True, kw_only=True):
    """`spec` of a Job."""

    suspend: bool = False


class JobStatus(Resource, frozen=True, kw_only=True):
    """`status` of a Job; `ready` counts pods that are running and ready."""

    conditions: tuple[Condition, ...] = ()
    start_time: datetime | None = None
    completion_time: datetime | None = None
    ready: int = 0


class Job(Resource, frozen=True, kw_only=True):
    """A Job as read from the API server."""

    metadata: ObjectMeta
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    @property
    def key(self) -> ObjectKey:
        """The namespace and name of this Job."""
        return key_of(self.metadata)

    @property
    def uid(self) -> Uid:
        """`metadata.uid`."""
        return self.metadata.uid

    @property
    def run_id(self) -> RunId | None:
        """The id of the run this Job was made for; None for a Job that is not ours."""
        value = self.metadata.annotations.get(ANNOTATION_RUN_ID)
        return None if value is None else RunId(value)

    @property
    def run_number(self) -> int:
        """The number noted when the Job was made; 0 where there is none. For display only."""
        value = self.metadata.annotations.get(ANNOTATION_RUN_NUMBER, "")
        is_number = value.isascii() and value.isdigit() and len(value) <= _MAX_NUMBER_LENGTH
        return int(value) if is_number else 0

    @property
    def owner(self) -> OwnerReference | None:
        """The reference to the DiemJob that controls this Job, if one does."""
        for reference in self.metadata.owner_references:
            if (reference.controller, reference.kind, reference.api_version) == (
                True,
                DIEMJOB_KIND,
                API_VERSION,
            ):
                return reference
        return None

    @property
    def finish(self) -> Condition | None:
        """The condition that says the Job is over (Complete or Failed, true); None while it is not."""
        for condition in self.status.conditions:
            if condition.type in {"Complete", "Failed"} and condition.status == "True":
                return condition
        return None

    @property
    def is_finished(self) -> bool:
        """Whether the Job controller has declared the Job over; it never changes its mind."""
        return self.finish is not None
