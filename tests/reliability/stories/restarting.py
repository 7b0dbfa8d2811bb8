"""Processes that are away for a while: whatever meets a call meets those of their start, too, with work that waits."""

from tests.reliability.stage import Stage, make_diemjob
from tests.reliability.story import story


@story
def operator_is_away_for_a_while(stage: Stage) -> None:
    """Meanwhile a run ends, one is stopped and one is asked for."""
    for name in ("ending", "stopping", "starting"):
        stage.create(make_diemjob(name))
        stage.wait_answered(name)
    for name in ("ending", "stopping"):
        stage.start(name, "first")
        stage.wait_run(name, "Running", "first")
    with stage.away(stage.installation.operator):
        stage.finish_pods("ending")
        stage.stop("stopping")
        stage.start("starting", "asked-for")
    stage.wait_run("ending", "Completed", "first")
    stage.wait_run("stopping", "Stopped", "first", reason="StopRequested")
    stage.wait_run("starting", "Running", "asked-for")
    stage.finish_pods("starting")
    stage.wait_run("starting", "Completed", "asked-for")


@story
def api_is_away_for_a_while(stage: Stage) -> None:
    """Meanwhile one run ends, and another is started by hand; then callers stop that."""
    for name in ("ending", "starting"):
        stage.create(make_diemjob(name))
        stage.wait_answered(name)
    stage.start("ending", "first")
    stage.wait_run("ending", "Running", "first")
    with stage.away(stage.installation.api):
        stage.finish_pods("ending")
        stage.wait_run("ending", "Completed", "first")
        stage.set_state("starting", "running")
        stage.wait_run("starting", "Running", "state-1")
    stage.see("ending", "Completed")
    stage.see("starting", "Running")
    stage.stop("starting")
    stage.wait_run("starting", "Stopped", "state-1", reason="StopRequested")
