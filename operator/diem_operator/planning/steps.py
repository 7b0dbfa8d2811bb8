"""The steps a plan can consist of; each is carried out by the reconciler with the precondition it names."""

from typing import Literal

from diem_operator.model.diemjob import DiemJobStatus
from diem_operator.model.job import Job
from diem_operator.model.metadata import RawObject, Resource
from diem_operator.planning.rules import StartRequest


class CreateJob(Resource, frozen=True, kw_only=True):
    """POST the manifest; its name is the precondition: at most one Job can have it."""

    request: StartRequest
    manifest: RawObject


class DeleteJob(Resource, frozen=True, kw_only=True):
    """DELETE the Job as it was seen: with its uid and, where it is unfinished (Foreground), its resourceVersion."""

    job: Job
    propagation: Literal["Foreground", "Background"]
    reason: str


class WriteStatus(Resource, frozen=True, kw_only=True):
    """PATCH the status to be this, if the DiemJob still has the resourceVersion it was planned on."""

    status: DiemJobStatus


class WriteRecordedUid(Resource, frozen=True, kw_only=True):
    """PATCH the annotation that tells a lost status from a new DiemJob, under the same precondition."""


class ObserveLive(Resource, frozen=True, kw_only=True):
    """Read the DiemJob and its Jobs from the API server; the next decision rests on what is not there."""

    reason: str


class InspectPods(Resource, frozen=True, kw_only=True):
    """Look up why the Job's pods are not running, or not gone."""

    job: Job


class Wait(Resource, frozen=True, kw_only=True):
    """Nothing to do until something changes, or until so many seconds are over."""

    seconds: float | None = None


Step = CreateJob | DeleteJob | WriteStatus | WriteRecordedUid | ObserveLive | InspectPods | Wait
