"""What an HTTP caller's start or stop changes in a DiemJob, decided on one version of it.

    start   nothing in the way          → state running, a new run, the request noted        "job started"
            live and not ending, or due → nothing                                            "job already running"
            a replay                    → nothing                                            "job started"
    stop    a run is live or due        → state stopped, `run.stop` on that run, noted       "job stopped"
            it has that stop already    → nothing                                            "job stopped"
            nothing live, nothing due   → nothing                                            "job already stopped"

A `Write` carries the resourceVersion it was decided on, so the API server refuses it with 409 if the world moved on.
"""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from diem_operator.model.diemapikey import Action
from diem_operator.model.diemjob import (
    AcceptedRequest,
    DiemJob,
    DiemJobSpec,
    Phase,
    RunRequest,
    State,
    StopRequest,
)
from diem_operator.model.metadata import RawObject, Resource
from diem_operator.model.names import MAX_REQUESTS, RunId
from diem_operator.planning.ids import is_seen
from diem_operator.planning.rules import displayed_run, find_due_start, find_live_run, is_restored, is_stop_wanted

STARTED = "job started"
ALREADY_RUNNING = "job already running"
STOPPED = "job stopped"
ALREADY_STOPPED = "job already stopped"


class Caller(Resource, frozen=True, kw_only=True):
    """Who commands, and when."""

    requested_by: str
    now: datetime


class RefusalKind(StrEnum):
    """Why a command is not carried out."""

    BEING_DELETED = "deleting"
    TOO_MANY_REQUESTS = "too_many"
    REUSED_IDEMPOTENCY_KEY = "fingerprint"
    OTHER_RUN_EXPECTED = "expected_run"


class Write(Resource, frozen=True, kw_only=True):
    """Apply this JSON Patch; once it is stored, the message is true."""

    operations: tuple[RawObject, ...]
    message: str
    run_id: RunId


class NoChange(Resource, frozen=True, kw_only=True):
    """Nothing to write. With `needs_live` the answer may be given only for a DiemJob that was read live."""

    message: str
    run_id: RunId | None
    needs_live: bool = True


class Refusal(Resource, frozen=True, kw_only=True):
    """The command is not carried out; the message tells the caller why and what to do."""

    kind: RefusalKind
    message: str


Outcome = Write | NoChange | Refusal


class StartCommand(Resource, frozen=True, kw_only=True):
    """A caller's start: the id its run will have, and what makes a repetition of it recognisable."""

    run_id: RunId
    parameters: dict[str, str] = {}
    fingerprint: str = ""
    is_replayable: bool = False


def plan_start(diemjob: DiemJob, command: StartCommand, caller: Caller) -> Outcome:
    """Decide a start."""
    if diemjob.metadata.is_being_deleted:
        return _refuse_deleted(diemjob)
    if command.is_replayable and _is_known(diemjob, command.run_id):
        return _replay(diemjob, command)
    running = _find_running(diemjob)
    if running is not None:
        return NoChange(message=ALREADY_RUNNING, run_id=running)
    run = RunRequest(
        id=command.run_id,
        target_uid=diemjob.metadata.uid,
        requested_by=caller.requested_by,
        requested_at=_format_time(caller.now),
        parameters=command.parameters,
    )
    entry = _note(Action.START, run.id, caller, command.fingerprint)
    return _write(diemjob, state=State.RUNNING, run=run, entry=entry, message=STARTED)


def plan_stop(diemjob: DiemJob, caller: Caller, *, fingerprint: str, expected_run: str | None = None) -> Outcome:
    """Decide a stop; `expected_run` is the id or the number of the run the caller means."""
    if diemjob.metadata.is_being_deleted:
        return _refuse_deleted(diemjob)
    target = _find_stop_target(diemjob)
    if expected_run is not None and not _is_expected(diemjob, target, expected_run):
        return _refuse_other_run(diemjob, expected_run)
    if target is None:
        latest = displayed_run(diemjob)
        return NoChange(message=ALREADY_STOPPED, run_id=None if latest is None else latest.id)
    if target.stop is not None:
        return NoChange(message=STOPPED, run_id=target.id)
    stop = StopRequest(requested_by=caller.requested_by, requested_at=_format_time(caller.now))
    run = msgspec.structs.replace(target, stop=stop)
    entry = _note(Action.STOP, run.id, caller, fingerprint)
    return _write(diemjob, state=State.STOPPED, run=run, entry=entry, message=STOPPED)


def _find_running(diemjob: DiemJob) -> RunId | None:
    """Return the run because of which a start has nothing to do.

    A spec without state stops nothing, so its live run counts as running too.
    """
    spec, status = diemjob.spec, diemjob.status
    if is_stop_wanted(spec):
        return None
    due = find_due_start(spec, status, diemjob.metadata.uid)
    if due is not None:
        return due.id
    live = find_live_run(status)
    return None if live is None or live.phase is Phase.STOPPING else live.id


def _find_stop_target(diemjob: DiemJob) -> RunRequest | None:
    """Return the run to stop, as `spec.run` is to name it: the unseen request, else the live run, else the due.

    An unseen request counts while it would start, or is to be stopped already: it may have a Job. One that starts
    nothing is not meant.
    """
    spec, status, uid = diemjob.spec, diemjob.status, diemjob.metadata.uid
    live = find_live_run(status)
    due = find_due_start(spec, status, uid)
    if spec.run is not None and not is_seen(status, spec.run.id):
        must_end = is_stop_wanted(spec) and not is_restored(spec.run, uid)
        if due is not None or must_end:
            return spec.run
    if live is not None:
        return _request_for(spec, live.id, diemjob)
    return None if due is None else RunRequest(id=due.id, target_uid=uid, requested_by=due.requested_by)


def _request_for(spec: DiemJobSpec, run_id: RunId, diemjob: DiemJob) -> RunRequest:
    if spec.run is not None and spec.run.id == run_id:
        return spec.run
    return RunRequest(id=run_id, target_uid=diemjob.metadata.uid)


def _is_expected(diemjob: DiemJob, target: RunRequest | None, expected: str) -> bool:
    """Whether a stop would end the run its caller means; a number counts only once the run is recorded with it.

    Until then the number is a forecast, which the next run may get instead.
    """
    status = diemjob.status
    run = target or displayed_run(diemjob)
    recorded = (*status.runs, *([] if status.run is None else [status.run]))
    numbers = {str(other.number) for other in recorded if run is not None and other.id == run.id}
    return run is not None and expected in {run.id, *numbers}


def _is_known(diemjob: DiemJob, run_id: RunId) -> bool:
    noted = any(_is_start_of(entry, run_id) for entry in diemjob.spec.requests)
    return noted or is_seen(diemjob.status, run_id)


def _is_start_of(entry: AcceptedRequest, run_id: RunId) -> bool:
    return entry.id == run_id and entry.action == Action.START


def _replay(diemjob: DiemJob, command: StartCommand) -> NoChange | Refusal:
    recorded = {entry.fingerprint for entry in diemjob.spec.requests if _is_start_of(entry, command.run_id)}
    if recorded and command.fingerprint not in recorded:
        return Refusal(
            kind=RefusalKind.REUSED_IDEMPOTENCY_KEY,
            message="this Idempotency-Key was used for a different request; send a new key with a new request",
        )
    return NoChange(message=STARTED, run_id=command.run_id, needs_live=False)


def _note(action: Action, run_id: RunId, caller: Caller, fingerprint: str) -> AcceptedRequest:
    return AcceptedRequest(
        id=run_id, action=action, by=caller.requested_by, at=_format_time(caller.now), fingerprint=fingerprint
    )


def _write(diemjob: DiemJob, *, state: State, run: RunRequest, entry: AcceptedRequest, message: str) -> Write | Refusal:
    """Build the patch, unless it would push out the record of an id that the operator has not accounted for yet.

    Replacing `metadata.resourceVersion` makes the API server answer 409 when it is not the stored one; a JSON Patch
    `test` on it would answer 422, like an invalid object.
    """
    requests = (*diemjob.spec.requests, entry)
    dropped, kept = requests[:-MAX_REQUESTS], requests[-MAX_REQUESTS:]
    if any(not is_seen(diemjob.status, old.id) for old in dropped):
        return Refusal(
            kind=RefusalKind.TOO_MANY_REQUESTS,
            message="too many commands for this job are waiting for the operator; try again in a few seconds",
        )
    values = {"state": state, "run": run, "requests": kept}
    guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": diemjob.metadata.resource_version}
    changes = [
        {"op": "add", "path": f"/spec/{field}", "value": msgspec.to_builtins(value)} for field, value in values.items()
    ]
    return Write(operations=(guard, *changes), message=message, run_id=run.id)


def _refuse_deleted(diemjob: DiemJob) -> Refusal:
    return Refusal(
        kind=RefusalKind.BEING_DELETED,
        message=f"job {diemjob.metadata.name!r} is being deleted; apply it again before starting or stopping it",
    )


def _refuse_other_run(diemjob: DiemJob, expected: str) -> Refusal:
    run = displayed_run(diemjob)
    current = "it has no run" if run is None else f"its run is {run.id!r} (number {run.number}, {run.phase})"
    return Refusal(
        kind=RefusalKind.OTHER_RUN_EXPECTED,
        message=f"run {expected!r} is not the one a stop would end: {current}; ask for its status and decide again",
    )


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
