"""Builders of what the API sees: DiemJobs in a phase, keys that open them, commands."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from diem_operator.access.registry import KeyEntry, KeyRegistry
from diem_operator.access.tokens import hash_token
from diem_operator.api.gate import FairGate
from diem_operator.model.diemapikey import Action, DiemApiKey, DiemApiKeySpec, DiemApiKeyStatus
from diem_operator.model.diemjob import (
    DiemJob,
    DiemJobSpec,
    DiemJobStatus,
    JobTemplate,
    Phase,
    RunRequest,
    RunStatus,
    State,
)
from diem_operator.model.metadata import ObjectKey, ObjectMeta
from diem_operator.model.names import RunId, Uid
from diem_operator.planning.ids import hash_of
from diem_operator.settings import KeySettings

NAMESPACE = "team-a"
NIGHTLY = ObjectKey(namespace=NAMESPACE, name="nightly")
CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SUBJECT = "uid-of-a-key"
NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def make_diemjob(
    name: str = "nightly",
    *,
    namespace: str = NAMESPACE,
    version: int = 1,
    status: DiemJobStatus | None = None,
    **spec: Any,
) -> DiemJob:
    metadata = ObjectMeta(
        name=name, namespace=namespace, uid=Uid(f"uid-of-{namespace}-{name}"), resource_version=str(version)
    )
    spec.setdefault("job_template", JobTemplate())
    return DiemJob(metadata=metadata, spec=DiemJobSpec(**spec), status=status or DiemJobStatus())


def make_gate(*, max_in_flight: int = 1000, max_queued: int = 1000, max_wait_seconds: float = 30.0) -> FairGate:
    """Return a gate at which nobody waits, unless it is made narrower."""
    return FairGate(
        max_in_flight=max_in_flight,
        max_queued=max_queued,
        max_wait_seconds=max_wait_seconds,
        observe_refusal=lambda _: None,
    )


def make_run(phase: Phase, *, run_id: str = "run-1", number: int = 1) -> RunStatus:
    return RunStatus(
        number=number,
        id=RunId(run_id),
        phase=phase,
        reason="SomeReason",
        message="words of the API server",
        started_at=CREATED_AT,
        completed_at=CREATED_AT if phase.is_terminal else None,
    )


def make_diemjob_in(phase: Phase, *, run_id: str = "run-1", version: int = 1, **spec: Any) -> DiemJob:
    """Return a DiemJob whose run `run_id` the operator has brought into this phase."""
    run = make_run(phase, run_id=run_id)
    state = State.STOPPED if phase is Phase.STOPPING else State.RUNNING
    request: dict[str, Any] = {"state": state, "run": RunRequest(id=RunId(run_id))}
    status = DiemJobStatus(phase=phase, run=run, observed_state=State.RUNNING, recent_run_ids=(hash_of(run_id),))
    return make_diemjob(version=version, status=status, **request | spec)


def observe_run(diemjob: DiemJob, phase: Phase, *, number: int = 1) -> DiemJobStatus:
    """Return the status that the operator writes when it has seen `spec.run` in this phase."""
    assert diemjob.spec.run is not None
    run_id = diemjob.spec.run.id
    return msgspec.structs.replace(
        diemjob.status,
        phase=phase,
        observed_state=diemjob.spec.state,
        run=make_run(phase, run_id=run_id, number=number),
        recent_run_ids=(hash_of(run_id), *diemjob.status.recent_run_ids),
    )


def make_apikey(token: str, *, name: str = "ci", namespace: str = NAMESPACE, **spec: Any) -> DiemApiKey:
    metadata = ObjectMeta(
        name=name,
        namespace=namespace,
        uid=Uid(f"uid-of-{name}"),
        resource_version="1",
        creation_timestamp=CREATED_AT,
    )
    status = DiemApiKeyStatus(key_id=metadata.uid, secret_name="secret", token_sha256=hash_token(token))
    spec = {"actions": tuple(Action), "jobs": ("*",)} | spec
    return DiemApiKey(metadata=metadata, spec=DiemApiKeySpec(**spec), status=status)


def make_entry(**spec: Any) -> KeyEntry:
    registry = KeyRegistry(KeySettings(max_lifetime_seconds=0))
    registry.put(make_apikey("text", **spec))
    (entry,) = registry.find_claims(hash_token("text"))
    return entry
