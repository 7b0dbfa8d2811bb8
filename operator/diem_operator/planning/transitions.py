"""What a status write means to people: which runs started and which ended between two versions of a status."""

from typing import Literal

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJobStatus, Phase, RunStatus
from diem_operator.model.metadata import Resource

_ENDINGS = {
    Phase.COMPLETED: reasons.EVENT_RUN_COMPLETED,
    Phase.FAILED: reasons.EVENT_RUN_FAILED,
    Phase.STOPPED: reasons.EVENT_RUN_STOPPED,
}


class Transition(Resource, frozen=True, kw_only=True):
    """A run that entered a phase; `event` is the Event's reason, empty where nobody needs one."""

    run: RunStatus
    event: str = ""
    event_type: Literal["Normal", "Warning"] = "Normal"
    message: str = ""


def find_transitions(before: DiemJobStatus, after: DiemJobStatus) -> tuple[Transition, ...]:
    """Return the runs that entered another phase, those that are over first."""
    phases = {run.id: run.phase for run in _list_runs(before)}
    jobs = {run.id for run in _list_runs(before) if run.job_uid}
    return tuple(
        _describe(run, has_new_job=bool(run.job_uid) and run.id not in jobs)
        for run in _list_runs(after)
        if phases.get(run.id) is not run.phase
    )


def _list_runs(status: DiemJobStatus) -> list[RunStatus]:
    """Return every run of a status once: the history, oldest first, then the run that is not in it."""
    known = {run.id for run in status.runs}
    latest = [] if status.run is None or status.run.id in known else [status.run]
    return [*reversed(status.runs), *latest]


def _describe(run: RunStatus, *, has_new_job: bool) -> Transition:
    name = f"Run {run.number} ({run.id})"
    if not run.phase.is_terminal:
        event = reasons.EVENT_RUN_STARTED if has_new_job else ""
        return Transition(run=run, event=event, message=f"{name} started as Job {run.job_name}")
    event = reasons.EVENT_JOB_REJECTED if run.reason == reasons.JOB_REJECTED else _ENDINGS[run.phase]
    text = ": ".join(part for part in (f"{name} {run.phase.lower()}", run.reason, run.message) if part)
    return Transition(
        run=run, event=event, event_type="Warning" if run.phase is Phase.FAILED else "Normal", message=text
    )
