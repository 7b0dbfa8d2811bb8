"""Policies that account for requests that start nothing: every accepted id ends up in the history."""

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJobStatus, Phase, RunStatus
from diem_operator.model.names import ANNOTATION_RECORDED_UID, RunId
from diem_operator.planning.following import advance
from diem_operator.planning.ids import is_seen
from diem_operator.planning.rules import (
    StartRequest,
    build_start_request,
    find_unaccounted_ids,
    is_restored,
)
from diem_operator.planning.statuses import (
    build_run_of_job,
    build_submitted_run,
    finish_run,
    settle,
    with_past_run,
    with_run,
    with_seen_id,
)
from diem_operator.planning.steps import ObserveLive, Step, WriteStatus
from diem_operator.planning.world import World

_MESSAGES = {
    reasons.NEVER_STARTED: "the request was stopped or replaced before it was started",
    reasons.RESTORED_REQUEST: "spec.run was written for another DiemJob of this name (spec.run.targetUID)",
    reasons.STATE_LOST: "status was lost; whether this request ran is unknown, and it is not started again",
}


def account_for_ids(world: World) -> Step | None:
    """Record accepted ids that will never start as Stopped; one that a POST may still make a Job of has to wait."""
    spec, status, uid = world.diemjob.spec, world.diemjob.status, world.diemjob.metadata.uid
    ids = [run_id for run_id in find_unaccounted_ids(spec, status, uid) if world.find_straggler(run_id) is None]
    if not ids:
        return None
    restored = spec.run is not None and is_restored(spec.run, uid)
    reason = reasons.RESTORED_REQUEST if restored else reasons.NEVER_STARTED
    for run_id in ids:
        status = _record_ended(world, status, run_id, reason)
    return WriteStatus(status=settle(world, status, starts_nothing=restored))


def _record_ended(world: World, status: DiemJobStatus, run_id: RunId, reason: str) -> DiemJobStatus:
    run = build_submitted_run(status, _find_request(world, run_id))
    ended = finish_run(run, Phase.STOPPED, reason=reason, message=_MESSAGES[reason], at=world.now)
    current = world.diemjob.spec.run
    is_latest = world.live is None and current is not None and current.id == run_id
    return with_run(status, ended) if is_latest else with_past_run(status, ended)


def _find_request(world: World, run_id: RunId) -> StartRequest:
    spec = world.diemjob.spec
    if spec.run is not None and spec.run.id == run_id:
        return build_start_request(spec.run)
    entry = next((entry for entry in spec.requests if entry.id == run_id), None)
    return (
        StartRequest(id=run_id)
        if entry is None
        else StartRequest(id=run_id, requested_by=entry.by, requested_at=entry.at)
    )


def record_lost_state(world: World) -> Step | None:
    """Rebuild a status that was wiped under a DiemJob that had run before, and start nothing because of it."""
    metadata, status = world.diemjob.metadata, world.diemjob.status
    if metadata.annotations.get(ANNOTATION_RECORDED_UID) != metadata.uid or status.phase is not None:
        return None
    if not world.is_live:
        return ObserveLive(reason="status is empty although a run was recorded under this uid")
    for job in reversed(world.unseen_jobs):
        run = advance(world, build_run_of_job(status, job), job)
        status = with_run(status, run)
    status = _see_requests(world, status)
    return WriteStatus(status=settle(world, status, starts_nothing=True))


def _see_requests(world: World, status: DiemJobStatus) -> DiemJobStatus:
    spec = world.diemjob.spec
    for entry in spec.requests:
        if not is_seen(status, entry.id):
            status = with_seen_id(status, build_submitted_run(status, StartRequest(id=entry.id)))
    if spec.run is None or world.find_job_by_id(spec.run.id) is not None:
        return status
    has_live = status.run is not None and status.run.is_live
    run = _build_lost_run(world, status, spec.run.id)
    return with_past_run(status, run) if has_live else with_run(status, run)


def _build_lost_run(world: World, status: DiemJobStatus, run_id: RunId) -> RunStatus:
    run = build_submitted_run(status, _find_request(world, run_id))
    return finish_run(
        run, Phase.STOPPED, reason=reasons.STATE_LOST, message=_MESSAGES[reasons.STATE_LOST], at=world.now
    )
