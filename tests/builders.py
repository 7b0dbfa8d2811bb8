"""Builders of the objects that tests speak of; each has what its sentence needs and is valid in all else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from diem_operator.model.diemjob import (
    DiemJob,
    DiemJobSpec,
    DiemJobStatus,
    JobTemplate,
    Phase,
    RunRequest,
    RunStatus,
    State,
    StopRequest,
)
from diem_operator.model.job import Job, JobStatus
from diem_operator.model.metadata import Condition, ObjectMeta, RawObject
from diem_operator.model.names import RunId, Uid
from diem_operator.planning.ids import build_job_name, hash_of
from diem_operator.planning.job_manifest import build_job
from diem_operator.planning.rules import StartRequest
from diem_operator.planning.world import Attempt, PostOutcome, Straggler, World

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


def make_request(run_id: str = "r1", *, is_stopped: bool = False, **fields: Any) -> RunRequest:
    """Return a `spec.run` as the API writes it."""
    stop = StopRequest(requested_by="apikey/1") if is_stopped else None
    request = RunRequest(id=RunId(run_id), target_uid=UID, requested_by="apikey/1", stop=stop)
    return msgspec.structs.replace(request, **fields)


def make_run(run_id: str = "r1", phase: Phase = Phase.RUNNING, **fields: Any) -> RunStatus:
    """Return a run as status holds it; one that got further than Submitted has the Job that make_job returns."""
    has_job = phase is not Phase.SUBMITTED
    name = build_job_name(NAME, UID, RunId(run_id)) if has_job else ""
    run = RunStatus(number=1, id=RunId(run_id), phase=phase, job_name=name, job_uid=Uid("job-1" if has_job else ""))
    return msgspec.structs.replace(run, **fields)


def make_status(*runs: RunStatus, **fields: Any) -> DiemJobStatus:
    """Return a status with these runs, the latest first; all but a live one are its history."""
    latest = runs[0] if runs else None
    status = DiemJobStatus(
        observed_generation=1,
        observed_state=State.RUNNING,
        phase=Phase.STOPPED if latest is None else latest.phase,
        run=latest,
        runs=tuple(run for run in runs if not run.is_live),
        recent_run_ids=tuple(hash_of(run.id) for run in runs),
    )
    return msgspec.structs.replace(status, **fields)


def make_job(
    run_id: str = "r1",
    *,
    uid: str = "job-1",
    number: int = 1,
    owner_uid: Uid = UID,
    finish: str = "",
    finished_at: datetime = NOW,
    deleted_at: datetime | None = None,
    created_at: datetime = NOW,
    is_suspended: bool = False,
    **status: Any,
) -> Job:
    """Return a Job of a run; `finish` is the condition that ends it, `status` takes JobStatus's fields."""
    diemjob = make_diemjob()
    owner = msgspec.structs.replace(diemjob, metadata=msgspec.structs.replace(diemjob.metadata, uid=owner_uid))
    job = make_job_from(build_job(owner, StartRequest(id=RunId(run_id)), number=number), uid=uid)
    conditions = (Condition(type=finish, status="True", last_transition_time=finished_at),) if finish else ()
    return msgspec.structs.replace(
        job,
        metadata=msgspec.structs.replace(job.metadata, creation_timestamp=created_at, deletion_timestamp=deleted_at),
        spec=msgspec.structs.replace(job.spec, suspend=is_suspended),
        status=msgspec.structs.replace(JobStatus(conditions=conditions), **status),
    )


def make_attempt(outcome: PostOutcome, run_id: str = "r1", **fields: Any) -> Attempt:
    """Return what is remembered of a POST."""
    request = StartRequest(id=RunId(run_id), requested_by="apikey/1")
    return Attempt(request=request, manifest=build_job(make_diemjob(), request, number=1), outcome=outcome, **fields)


def make_straggler(run_id: str = "r1", *, uid: Uid = UID, arrives_for_seconds: float = 20) -> Straggler:
    """Return a POST without an answer, which was for this DiemJob or, by its uid, for a deleted one."""
    return Straggler(diemjob_uid=uid, run_id=RunId(run_id), arrives_for_seconds=arrives_for_seconds)


def make_world(diemjob: DiemJob, *jobs: Job, **fields: Any) -> World:
    """Return what a decision rests on; `fields` takes World's."""
    return World(diemjob=diemjob, jobs=jobs, now=fields.pop("now", NOW), **fields)
