"""A run is stopped when its Job exists and the status does not tell of it yet, as in a burst or after a crash.

Callers had been told that it was Stopped, while its pods ran.
"""

from tests.reliability.playing import Theatre, conclude
from tests.reliability.proxy import Call
from tests.reliability.proxy.faults import Hold
from tests.reliability.stage import make_diemjob


def tells(call: Call) -> bool:
    return call.what == "patch diemjobs/status"


def test_stopped_run_whose_job_is_not_recorded_yet_is_not_called_stopped_before_that_is_gone(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        stage.wait_answered("etl")
        hold = Hold()
        with stage.installation.operator.proxy.rules.during(tells, hold):
            started = stage.start("etl", "first")
            stage.wait_until("its Job is there", lambda: len(stage.list_jobs("etl")) == 1)
            stopped = stage.stop("etl")
            answers = [stopped["status"], stage.ask("etl")["message"], stage.stop("etl")["status"]]
            jobs = stage.list_jobs("etl")
            hold.release()
        assert stopped["run"]["id"] == started["run"]["id"]
        assert answers == ["Stopping"] * 3
        assert len(jobs) == 1

        stage.see("etl", "Stopped")
        assert stage.list_jobs("etl") == []
        assert conclude(stage).complaints == []
