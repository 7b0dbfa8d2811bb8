"""Builders of the objects that tests speak of; each has what its sentence needs and is valid in all else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from diem_operator.model.diemjob import DiemJob, DiemJobSpec, DiemJobStatus, JobTemplate
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectMeta, RawObject
from diem_operator.model.names import Uid

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
UID = Uid("5f0c7c1e-0000-4000-8000-000000000001")
NAMESPACE = "team-a"
NAME = "nightly-load"


def seconds_ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def make_template(**container: Any) -> RawObject:
    """Return the JSON of a jobTemplate with one busybox container."""
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "localhost/diem/busybox:local"} | container],
    }
    return {"spec": {"template": {"spec": pod}}}


def make_diemjob(
    *, status: DiemJobStatus | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> DiemJob:
    """Return a DiemJob; `spec` takes DiemJobSpec's fields."""
    spec.setdefault("job_template", msgspec.convert(make_template(), JobTemplate))
    metadata = ObjectMeta(
        name=NAME,
        namespace=NAMESPACE,
        uid=UID,
        resource_version="100",
        generation=1,
        creation_timestamp=seconds_ago(3600),
        annotations=annotations or {},
    )
    return DiemJob(metadata=metadata, spec=DiemJobSpec(**spec), status=status or DiemJobStatus())


def make_job_from(manifest: RawObject, *, uid: str = "job-1", resource_version: str = "50") -> Job:
    """Return the Job that the API server would store for a POSTed manifest."""
    job = msgspec.convert(manifest, Job)
    metadata = msgspec.structs.replace(
        job.metadata, uid=Uid(uid), resource_version=resource_version, creation_timestamp=NOW
    )
    return msgspec.structs.replace(job, metadata=metadata)
