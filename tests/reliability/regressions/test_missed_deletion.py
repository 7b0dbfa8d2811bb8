"""A Job is gone, and the watch does not tell, as when the API server is restarted just then.

A stopped run was called Stopping until the next comparison with a list, up to five minutes later.
"""

from tests.reliability.matrix import long_form
from tests.reliability.playing import Theatre, conclude
from tests.reliability.proxy.watches import Watching, dropped
from tests.reliability.stage import Stage, make_diemjob


def hide_deletions(stage: Stage) -> None:
    """Let the operator never hear that a Job is gone."""
    fault = Watching(dropped(lambda event: event["type"] == "DELETED"))
    stage.watch_anew(stage.installation.operator, "jobs", fault)


def test_stop_takes_effect_within_seconds(theatre: Theatre) -> None:
    with theatre.stage(patience_seconds=20) as stage:
        stage.create(make_diemjob("etl"))
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")
        hide_deletions(stage)
        stage.stop("etl")
        stage.wait_run("etl", "Stopped", "first", reason="StopRequested")

        assert conclude(stage).complaints == []


@long_form
def test_job_deleted_by_hand_is_missed_once_the_watch_begins_anew(theatre: Theatre) -> None:
    with theatre.stage(patience_seconds=20) as stage:
        stage.create(make_diemjob("etl"))
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")
        hide_deletions(stage)
        stage.delete_jobs("etl")
        stage.wait_until("its Job is gone", lambda: stage.list_jobs("etl") == [])
        stage.installation.operator.proxy.break_connections()
        stage.wait_run("etl", "Failed", "first", reason="JobDeleted")

        assert conclude(stage).complaints == []
