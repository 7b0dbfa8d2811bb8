import json
from typing import Any

import msgspec
import pytest

from diem_operator.api.answers import Reply, build_answer, build_legacy_unknown_job
from diem_operator.api.command import Command
from diem_operator.model.diemapikey import Action
from diem_operator.model.diemjob import DiemJobStatus, Phase, RunRequest, State
from diem_operator.model.names import RunId
from tests.unit.api.objects import make_diemjob, make_diemjob_in, make_run

STATUS = Command(job_id="old-id", action=Action.STATUS)
START = Command(job_id="nightly", action=Action.START)


def answer(command: Command, reply: Reply) -> dict[str, Any]:
    response = build_answer(command, reply)
    assert (response.status, response.content_type) == (200, "application/json")
    return dict(json.loads(str(response.text)))


def test_status_tells_the_phase_and_the_run() -> None:
    assert answer(STATUS, Reply(diemjob=make_diemjob_in(Phase.COMPLETED))) == {
        "message": "Completed",
        "id": "old-id",
        "action": "status",
        "status": "Completed",
        "run": {
            "number": 1,
            "id": "run-1",
            "status": "Completed",
            "reason": "SomeReason",
            "startedAt": "2026-01-02T03:04:05Z",
            "completedAt": "2026-01-02T03:04:05Z",
        },
    }


def test_words_of_the_api_server_are_not_told() -> None:
    assert "words of the API server" not in json.dumps(answer(STATUS, Reply(diemjob=make_diemjob_in(Phase.FAILED))))


def test_job_that_never_ran_is_stopped_and_has_no_run() -> None:
    told = answer(STATUS, Reply(diemjob=make_diemjob()))

    assert (told["message"], told["status"], told["run"]) == ("Stopped", "Stopped", None)


def test_accepted_start_tells_the_run_that_it_asked_for() -> None:
    diemjob = make_diemjob_in(Phase.COMPLETED, run=RunRequest(id=RunId("run-2")), state=State.RUNNING)

    told = answer(START, Reply(diemjob=diemjob, message="job started", run_id=RunId("run-2")))

    assert (told["message"], told["status"]) == ("job started", "Submitted")
    assert told["run"] == {
        "number": 2,
        "id": "run-2",
        "status": "Submitted",
        "reason": "",
        "startedAt": None,
        "completedAt": None,
    }


def test_start_accepted_while_another_run_stops_tells_the_new_run() -> None:
    diemjob = make_diemjob_in(Phase.STOPPING, run=RunRequest(id=RunId("run-2")), state=State.RUNNING)

    told = answer(START, Reply(diemjob=diemjob, message="job started", run_id=RunId("run-2")))

    assert told["status"] == "Stopping"
    assert (told["run"]["id"], told["run"]["status"], told["run"]["number"]) == ("run-2", "Submitted", 2)


def test_replayed_start_tells_its_own_run_also_when_that_is_history() -> None:
    diemjob = make_diemjob_in(Phase.RUNNING, run_id="run-2")
    status = msgspec.structs.replace(diemjob.status, runs=(make_run(Phase.FAILED, run_id="run-1"),))

    told = answer(
        START,
        Reply(diemjob=msgspec.structs.replace(diemjob, status=status), message="job started", run_id=RunId("run-1")),
    )

    assert (told["run"]["id"], told["run"]["status"]) == ("run-1", "Failed")


def test_run_that_has_left_the_history_is_told_by_its_id_alone() -> None:
    told = answer(
        START,
        Reply(diemjob=make_diemjob_in(Phase.RUNNING, run_id="run-9"), message="job started", run_id=RunId("run-1")),
    )

    assert (told["run"]["id"], told["run"]["status"], told["run"]["number"]) == ("run-1", None, None)


def test_run_asked_for_on_a_job_without_runs_is_told() -> None:
    told = answer(START, Reply(diemjob=make_diemjob(status=DiemJobStatus()), message="x", run_id=RunId("run-1")))

    assert told["run"]["id"] == "run-1"


def test_unknown_job_in_legacy_words_is_no_error_of_http() -> None:
    response = build_legacy_unknown_job(START)

    assert response.status == 200
    assert json.loads(str(response.text)) == {
        "message": "job not found",
        "error": "job not found",
        "id": "nightly",
        "action": "start",
        "status": None,
        "run": None,
    }


@pytest.mark.parametrize("phase", list(Phase))
def test_status_answers_each_phase(phase: Phase) -> None:
    told = answer(STATUS, Reply(diemjob=make_diemjob_in(phase)))

    assert told["message"] == told["status"] == told["run"]["status"] == phase.value
