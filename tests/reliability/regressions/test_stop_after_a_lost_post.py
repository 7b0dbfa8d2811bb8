"""The POST of a Job was lost on its way, its repetition made the Job, and the run was stopped.

What was lost arrived then, and made the Job of a run that was told to be stopped.
"""

import pytest

from tests.reliability.matrix import long_form
from tests.reliability.playing import Theatre, conclude
from tests.reliability.proxy.faults import Straggle
from tests.reliability.stage import make_diemjob


@long_form
@pytest.mark.parametrize("is_released", [True, False], ids=["arrives", "never-arrives"])
def test_run_is_not_over_while_a_lost_post_may_make_its_job(theatre: Theatre, is_released: bool) -> None:
    straggler = Straggle()
    with theatre.stage(patience_seconds=150) as stage:
        stage.create(make_diemjob("etl"))
        rules = stage.installation.operator.proxy.rules
        rules.add(lambda call: call.what == "create jobs", straggler, times=1)
        try:
            stage.start("etl", "first")
            stage.wait_run("etl", "Running", "first")
            stage.stop("etl")
            stage.wait_until("its Job is gone", lambda: stage.list_jobs("etl") == [])
            stage.wait_run("etl", "Stopping", "first")
            if is_released:
                straggler.release()
            stage.wait_run("etl", "Stopped", "first", reason="StopRequested")
            outcome = conclude(stage)
            assert outcome.complaints == []
            assert len(outcome.history.job_lives) == 1 + is_released, "its Job was not made again, so nothing was shown"
        finally:
            straggler.release()
