"""Runs that are ended by those who may."""

from tests.reliability.stage import Stage, make_diemjob
from tests.reliability.story import story


@story
def run_is_stopped_and_started_again(stage: Stage) -> None:
    """Start, stop, start over HTTP; a second stop has nothing to do."""
    stage.create(make_diemjob("etl"))
    stage.start("etl", "first")
    stage.wait_run("etl", "Running", "first")
    stage.stop("etl")
    stage.wait_run("etl", "Stopped", "first", reason="StopRequested")
    stage.start("etl", "second")
    stage.wait_run("etl", "Running", "second")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "second")
    stage.stop("etl")
    stage.wait_answered("etl")


@story
def run_is_superseded(stage: Stage) -> None:
    """A person names another run while one is going on."""
    stage.create(make_diemjob("etl", state="running", run={"id": "r1"}))
    stage.wait_run("etl", "Running", "r1")
    stage.patch("etl", {"run": {"id": "r2"}})
    stage.wait_run("etl", "Running", "r2")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "r2")


@story
def diemjob_is_deleted_and_made_anew(stage: Stage) -> None:
    """A DiemJob goes with its run; another one of the same name has nothing to do with it."""
    stage.create(make_diemjob("etl"))
    stage.start("etl", "old")
    stage.wait_run("etl", "Running", "old")
    stage.delete("etl")
    stage.create(make_diemjob("etl"))
    stage.start("etl", "new")
    stage.wait_run("etl", "Running", "new")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "new")
