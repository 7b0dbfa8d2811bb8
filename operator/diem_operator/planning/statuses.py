"""Builds the status that follows from a decision; every status write of the operator passes through `settle`."""

from datetime import datetime

import msgspec

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJobStatus, Phase, RunStatus
from diem_operator.model.job import Job
from diem_operator.model.metadata import Condition
from diem_operator.model.names import ANNOTATION_REQUESTED_AT, ANNOTATION_REQUESTED_BY
from diem_operator.planning.ids import find_state_start, forget_old, is_seen, remember
from diem_operator.planning.rules import StartRequest, build_next_number, find_due_start
from diem_operator.planning.world import World

LOST_REQUEST = (
    "a request without an answer may have made its Job again, or still may for a minute or so; that is deleted"
)
"""The message of a run that is Stopping although the Job it had is gone."""

_STALLED_REASONS = frozenset({reasons.JOB_REJECTED, reasons.JOB_NAME_TAKEN, reasons.INVALID_PARAMETERS})
"""Failures that the same request would meet again; someone has to change the spec."""


def settle(world: World, status: DiemJobStatus, *, starts_nothing: bool = False) -> DiemJobStatus:
    """Return the status with everything in it that follows from the rest of it and from the spec.

    Args:
        world: what was decided on.
        status: the status with the new facts in it.
        starts_nothing: `spec.state` is to be taken as it is, although a start is due because of it.
    """
    spec, metadata = world.diemjob.spec, world.diemjob.metadata
    is_answered = starts_nothing or _is_start_answered(world, status)
    status = msgspec.structs.replace(
        status,
        observed_generation=metadata.generation,
        observed_state=spec.state if is_answered else status.observed_state,
        phase=Phase.STOPPED if status.run is None else status.run.phase,
        runs=status.runs[: spec.run_history_limit],
        recent_run_ids=_forget_old_ids(world, status),
    )
    return msgspec.structs.replace(status, conditions=_build_conditions(world, status))


def _is_start_answered(world: World, status: DiemJobStatus) -> bool:
    """Whether the status holds the start that was due, or none is due any more.

    Only then may observedState become running: it is what makes a start by state happen once. A start by state counts
    also where an id has become due since.
    """
    holds_start_by_state = status.state_starts > world.diemjob.status.state_starts
    holds_due_start = world.due is not None and is_seen(status, world.due.id)
    due = find_due_start(world.diemjob.spec, status, world.diemjob.metadata.uid)
    return holds_start_by_state or holds_due_start or due is None


def _forget_old_ids(world: World, status: DiemJobStatus) -> tuple[str, ...]:
    """Bound recentRunIds when an id has been added; not otherwise, as that alone is not worth a write."""
    recent, spec = status.recent_run_ids, world.diemjob.spec
    if recent == world.diemjob.status.recent_run_ids:
        return recent
    ids = [entry.id for entry in spec.requests] + [job.run_id for job in world.owned if job.run_id]
    return forget_old(recent, except_ids=ids if spec.run is None else [spec.run.id, *ids])


def with_run(status: DiemJobStatus, run: RunStatus) -> DiemJobStatus:
    """Return the status with this as its run, in the history too once it is over."""
    status = msgspec.structs.replace(status, run=run)
    return with_past_run(status, run) if run.phase.is_terminal else with_seen_id(status, run)


def with_past_run(status: DiemJobStatus, run: RunStatus) -> DiemJobStatus:
    """Return the status with this run at the front of its history."""
    others = tuple(other for other in status.runs if other.id != run.id)
    return with_seen_id(msgspec.structs.replace(status, runs=(run, *others)), run)


def with_seen_id(status: DiemJobStatus, run: RunStatus) -> DiemJobStatus:
    """Return the status with this run's id accounted for."""
    state_starts = max(status.state_starts, find_state_start(run.id) or 0)
    return msgspec.structs.replace(
        status, recent_run_ids=remember(status.recent_run_ids, run.id), state_starts=state_starts
    )


def build_submitted_run(status: DiemJobStatus, request: StartRequest) -> RunStatus:
    """Return a new run that was accepted and has no Job yet."""
    return RunStatus(
        number=build_next_number(status),
        id=request.id,
        phase=Phase.SUBMITTED,
        requested_by=request.requested_by,
        requested_at=request.requested_at,
    )


def build_run_of_job(status: DiemJobStatus, job: Job) -> RunStatus:
    """Return a new run as its Job alone tells it: by the POST just made, or by one made before a crash."""
    assert job.run_id is not None, "only a Job that carries a run id is recorded"
    annotations = job.metadata.annotations
    return RunStatus(
        number=max(job.run_number, build_next_number(status)),
        id=job.run_id,
        phase=Phase.PENDING,
        requested_by=annotations.get(ANNOTATION_REQUESTED_BY, ""),
        requested_at=annotations.get(ANNOTATION_REQUESTED_AT, ""),
        job_name=job.metadata.name,
        job_uid=job.uid,
    )


def finish_run(run: RunStatus, phase: Phase, *, reason: str, message: str, at: datetime) -> RunStatus:
    """Return the run as over."""
    return msgspec.structs.replace(
        run, phase=phase, reason=reason, message=message, completed_at=at.replace(microsecond=0)
    )


def _build_conditions(world: World, status: DiemJobStatus) -> tuple[Condition, ...]:
    """Return Ready, Reconciling and Stalled as kstatus reads them.

    They speak of the request, not of the run's result: a failed run leaves a DiemJob that is Ready for the next.
    """
    run = status.run
    is_stalled = run is not None and run.phase is Phase.FAILED and run.reason in _STALLED_REASONS
    is_waiting = run is not None and run.phase in {Phase.SUBMITTED, Phase.PENDING, Phase.STOPPING}
    due = find_due_start(world.diemjob.spec, status, world.diemjob.metadata.uid)
    is_reconciling = is_waiting or due is not None
    reason, message = _explain(status, is_reconciling=is_reconciling)
    values = {"Ready": not is_reconciling and not is_stalled, "Reconciling": is_reconciling, "Stalled": is_stalled}
    return tuple(
        _build_condition(world, status, kind, is_true=is_true, reason=reason, message=message)
        for kind, is_true in values.items()
    )


def _explain(status: DiemJobStatus, *, is_reconciling: bool) -> tuple[str, str]:
    run = status.run
    if run is None:
        return reasons.STARTING if is_reconciling else reasons.IDLE, ""
    if run.phase is Phase.STOPPING:
        is_blocked = run.message not in {"", LOST_REQUEST}
        return reasons.JOB_DELETION_BLOCKED if is_blocked else reasons.STOPPING, run.message
    if run.phase.is_terminal and is_reconciling:
        return reasons.STARTING, ""
    return run.reason or str(run.phase), run.message


def _build_condition(
    world: World, status: DiemJobStatus, kind: str, *, is_true: bool, reason: str, message: str
) -> Condition:
    value = "True" if is_true else "False"
    previous = next((condition for condition in status.conditions if condition.type == kind), None)
    is_unchanged = previous is not None and previous.status == value and not _has_new_run(world, status)
    since = previous.last_transition_time if previous is not None and is_unchanged else None
    return Condition(
        type=kind,
        status=value,
        reason=reason,
        message=message,
        last_transition_time=since or world.now.replace(microsecond=0),
    )


def _has_new_run(world: World, status: DiemJobStatus) -> bool:
    """Whether the conditions speak of another run than before, so that their time begins anew."""
    before, after = world.diemjob.status.run, status.run
    return after is not None and (before is None or before.id != after.id)
