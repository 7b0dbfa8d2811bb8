"""What a caller gets to see of a DiemJob. Reasons, never messages: those may quote the API server. No I/O."""

from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from diem_operator.api.command import Command
from diem_operator.model.diemjob import DiemJob, Phase, RunStatus
from diem_operator.model.names import RunId
from diem_operator.planning.rules import build_next_number, displayed_run, find_due_start, phase_of

JOB_NOT_FOUND = "job not found"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command.

    Attributes:
        diemjob: as it was when the command was settled, or later.
        message: what is said; the phase where None.
        run_id: the run that the command was about; the one that is shown anyway where None.
    """

    diemjob: DiemJob
    message: str | None = None
    run_id: RunId | None = None


def build_answer(command: Command, reply: Reply) -> web.Response:
    """Return the answer to a command that was carried out."""
    shown = displayed_run(reply.diemjob)
    phase = phase_of(shown)
    return _respond(
        {
            "message": reply.message or phase,
            "id": command.job_id,
            "action": command.action,
            "status": phase,
            "run": _describe_run(reply, find_run(reply, shown)),
        }
    )


def build_legacy_unknown_job(command: Command) -> web.Response:
    """Return what programs of the old service expect for a job that does not exist: 200, and a message to look at."""
    return _respond(
        {
            "message": JOB_NOT_FOUND,
            "error": JOB_NOT_FOUND,
            "id": command.job_id,
            "action": command.action,
            "status": None,
            "run": None,
        }
    )


def find_run(reply: Reply, shown: RunStatus | None) -> RunStatus | None:
    """Return the run that a reply is about; None where there is none, or where nothing is known of it any more.

    Args:
        reply: names the run, or means the one that is shown.
        shown: the displayed run of the reply's DiemJob.
    """
    spec, status = reply.diemjob.spec, reply.diemjob.status
    if reply.run_id is None or (shown is not None and shown.id == reply.run_id):
        return shown
    for run in (*([] if status.run is None else [status.run]), *status.runs):
        if run.id == reply.run_id:
            return run
    due = find_due_start(spec, status, reply.diemjob.metadata.uid)
    if due is None or due.id != reply.run_id:
        return None
    return RunStatus(number=build_next_number(status), id=due.id, phase=Phase.SUBMITTED)


def _describe_run(reply: Reply, run: RunStatus | None) -> dict[str, Any] | None:
    """Return what is told of a run; of one that has left the history, no more than its id."""
    if run is None and reply.run_id is None:
        return None
    return {
        "number": None if run is None else run.number,
        "id": reply.run_id if run is None else run.id,
        "status": None if run is None else run.phase,
        "reason": "" if run is None else run.reason,
        "startedAt": None if run is None else _format_time(run.started_at),
        "completedAt": None if run is None else _format_time(run.completed_at),
    }


def _format_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _respond(body: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
