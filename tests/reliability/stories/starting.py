"""Runs that come to their own end."""

from tests.reliability.people import make_rejected
from tests.reliability.stage import Stage, make_diemjob
from tests.reliability.story import story


@story
def runs_come_to_their_end(stage: Stage) -> None:
    """Two starts over HTTP, one run that succeeds and one that fails, and GitOps applying the manifest in between."""
    manifest = make_diemjob("etl")
    stage.reapply(manifest)
    stage.start("etl", "first")
    stage.wait_run("etl", "Running", "first")
    stage.reapply(manifest)
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "first")
    stage.reapply(manifest)
    stage.start("etl", "second")
    stage.wait_run("etl", "Running", "second")
    stage.finish_pods("etl", exit_code=3)
    stage.wait_run("etl", "Failed", "second", reason="BackoffLimitExceeded")


@story
def state_is_toggled_by_hand(stage: Stage) -> None:
    """A person starts by state, stops, and starts again, without ever naming a run."""
    stage.create(make_diemjob("etl", state="running"))
    stage.wait_run("etl", "Running", "state-1")
    stage.finish_pods("etl")
    stage.wait_run("etl", "Completed", "state-1")
    stage.set_state("etl", "stopped")
    stage.wait_answered("etl")
    stage.set_state("etl", "running")
    stage.wait_run("etl", "Running", "state-2")
    stage.set_state("etl", "stopped")
    stage.wait_run("etl", "Stopped", "state-2", reason="StopRequested")


@story
def starts_that_cannot_become_jobs(stage: Stage) -> None:
    """A parameter that nobody declared, a template that Kubernetes refuses, a name that somebody else has taken."""
    stage.create(make_diemjob("params", parameters=[{"name": "DAY", "required": True}], state="running"))
    stage.wait_run("params", "Failed", "state-1", reason="InvalidParameters")
    stage.create(make_rejected("invalid"))
    stage.start("invalid", "rejected")
    stage.wait_run("invalid", "Failed", "rejected", reason="JobRejected")
    stage.reapply(make_diemjob("good"))
    stage.start("good", "after")
    stage.wait_run("good", "Running", "after")
    stage.finish_pods("good")
    stage.wait_run("good", "Completed", "after")


@story
def start_is_repeated_later(stage: Stage) -> None:
    """A program sends its start once more while the run goes on, and again after it was stopped: nothing starts."""
    stage.create(make_diemjob("etl"))
    stage.start("etl", "first")
    stage.wait_run("etl", "Running", "first")
    stage.repeat_start("etl", "first")
    stage.stop("etl")
    stage.wait_run("etl", "Stopped", "first", reason="StopRequested")
    stage.repeat_start("etl", "first")
    stage.wait_answered("etl")
    stage.wait_run("etl", "Stopped", "first", reason="StopRequested")
