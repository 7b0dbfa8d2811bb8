"""The run rules' questions: is a start due, is a stop wanted, what does a caller see.

Each answer follows from one DiemJob alone, whoever asks: the operator before it acts, the API before it answers.

    spec.state   spec.run                          due
    running      unseen, ours, no stop             that id                 (start by id)
    running      unseen, with stop or not ours     nothing
    running      absent, or seen without stop      the next state-N, if observedState is not running and no run
                                                   but a Stopping one is live             (start by state)
    else         any                               nothing
"""

import msgspec

from diem_operator.model.diemjob import DiemJob, DiemJobSpec, DiemJobStatus, Phase, RunRequest, RunStatus, State
from diem_operator.model.metadata import Resource
from diem_operator.model.names import REQUESTER_STATE, RunId, Uid
from diem_operator.planning.ids import build_next_state_run_id, find_state_start, is_seen


class StartRequest(Resource, frozen=True, kw_only=True):
    """A run that is asked for, by id or by `spec.state` alone; `requested_at` is empty where nobody noted it."""

    id: RunId
    requested_by: str = ""
    requested_at: str = ""
    parameters: dict[str, str] = {}

    @property
    def is_by_state(self) -> bool:
        """Whether `spec.state` alone asked for this run."""
        return self.requested_by == REQUESTER_STATE


def find_live_run(status: DiemJobStatus) -> RunStatus | None:
    """Return the run that may still change: Submitted, Pending, Running or Stopping."""
    return status.run if status.run is not None and status.run.is_live else None


def find_due_start(spec: DiemJobSpec, status: DiemJobStatus, uid: Uid) -> StartRequest | None:
    """Return the start that is due and not yet recorded, whether or not another run is in its way."""
    if spec.state is not State.RUNNING:
        return None
    if spec.run is not None and not is_seen(status, spec.run.id):
        return _find_start_by_id(spec.run, uid)
    return _find_start_by_state(spec, status)


def _find_start_by_id(run: RunRequest, uid: Uid) -> StartRequest | None:
    if run.stop is not None or is_restored(run, uid):
        return None
    return build_start_request(run)


def _find_start_by_state(spec: DiemJobSpec, status: DiemJobStatus) -> StartRequest | None:
    if status.observed_state is State.RUNNING or (spec.run is not None and spec.run.stop is not None):
        return None
    live = find_live_run(status)
    if live is not None and live.phase is not Phase.STOPPING:
        return None
    return build_state_start_request(build_next_state_run_id(status))


def build_start_request(run: RunRequest) -> StartRequest:
    """Return what `spec.run` asks for."""
    return StartRequest(
        id=run.id, requested_by=run.requested_by, requested_at=run.requested_at, parameters=run.parameters
    )


def build_state_start_request(run_id: RunId) -> StartRequest:
    """Return the start that `spec.state` alone asks for under this id."""
    return StartRequest(id=run_id, requested_by=REQUESTER_STATE)


def find_request_of(spec: DiemJobSpec, run: RunStatus) -> StartRequest | None:
    """Return the request that a recorded run was made for; None when it has been taken out of the spec.

    A start by state needs no more than its id; any other needs the parameters that only `spec.run` holds.
    """
    if spec.run is not None and spec.run.id == run.id:
        return build_start_request(spec.run)
    if find_state_start(run.id) is not None:
        return build_state_start_request(run.id)
    return None


def is_restored(run: RunRequest, uid: Uid) -> bool:
    """Whether the request was meant for an object that this one replaces (restored from a backup)."""
    return run.target_uid not in {None, uid}


def is_stop_wanted(spec: DiemJobSpec) -> bool:
    """Whether a live run must end: by `state`, or by an API stop that a self-healed `state` does not undo."""
    return spec.state is State.STOPPED or (spec.run is not None and spec.run.stop is not None)


def find_unaccounted_ids(spec: DiemJobSpec, status: DiemJobStatus, uid: Uid) -> tuple[RunId, ...]:
    """Return the ids that were asked for, will never start and stand nowhere yet; in the order of asking."""
    current = spec.run
    ids = [request.id for request in spec.requests if current is None or request.id != current.id]
    if current is not None and (current.stop is not None or spec.state is State.STOPPED or is_restored(current, uid)):
        ids.append(current.id)
    return tuple(dict.fromkeys(run_id for run_id in ids if not is_seen(status, run_id)))


def displayed_run(diemjob: DiemJob) -> RunStatus | None:
    """Return the run a caller means, as it is to be called now; None where the DiemJob never ran and need not.

    The request counts as soon as it is written: a start that is due is Submitted although status is still that of the
    run before, and a live run that must end is Stopping. So is a request that must end before the status tells of it:
    whether it has a Job is not known here.
    """
    spec, status = diemjob.spec, diemjob.status
    live = find_live_run(status)
    due = find_due_start(spec, status, diemjob.metadata.uid)
    if live is not None:
        must_end = is_stop_wanted(spec) or (due is not None and not due.is_by_state)
        return _stopping(live) if must_end and live.phase is not Phase.STOPPING else live
    if due is not None:
        return _announced(due.id, Phase.SUBMITTED, status)
    unaccounted = find_unaccounted_ids(spec, status, diemjob.metadata.uid)
    if spec.run is not None and spec.run.id in unaccounted:
        phase = Phase.STOPPED if is_restored(spec.run, diemjob.metadata.uid) else Phase.STOPPING
        return _announced(spec.run.id, phase, status)
    return status.run


def displayed_phase(diemjob: DiemJob) -> Phase:
    """Return what the action `status` answers."""
    return phase_of(displayed_run(diemjob))


def phase_of(displayed: RunStatus | None) -> Phase:
    """Return the phase of a DiemJob by its displayed run; one that never ran is Stopped."""
    return Phase.STOPPED if displayed is None else displayed.phase


def build_next_number(status: DiemJobStatus) -> int:
    """Return the number of the next run to be recorded; for display, nothing is decided by it."""
    numbers = [run.number for run in status.runs]
    if status.run is not None:
        numbers.append(status.run.number)
    return max(numbers, default=0) + 1


def _announced(run_id: RunId, phase: Phase, status: DiemJobStatus) -> RunStatus:
    return RunStatus(number=build_next_number(status), id=run_id, phase=phase)


def _stopping(live: RunStatus) -> RunStatus:
    return msgspec.structs.replace(live, phase=Phase.STOPPING, reason="", message="")
