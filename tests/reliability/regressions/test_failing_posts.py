"""Each POST of a run's Job fails in a way that does not tell whether there is one, as while a webhook is broken.

The operator asked again without an end, and a stop took effect only once the API server had recovered.
"""

from tests.reliability.installation import Installation
from tests.reliability.matrix import long_form
from tests.reliability.playing import Theatre, conclude
from tests.reliability.proxy import Call
from tests.reliability.proxy.faults import LoseRequest, refusal
from tests.reliability.stage import make_diemjob


def is_post_of_job(call: Call) -> bool:
    return call.what == "create jobs"


@long_form
def test_run_whose_job_cannot_be_created_can_be_stopped(theatre: Theatre) -> None:
    def arrange(installation: Installation) -> None:
        installation.operator.proxy.rules.add(is_post_of_job, LoseRequest(refusal(500)))

    with theatre.stage(patience_seconds=150, arrange=arrange) as stage:
        stage.create(make_diemjob("etl"))
        stage.start("etl", "never")
        stage.wait_run("etl", "Submitted", "never")
        stage.pause(25)
        stage.stop("etl")
        stage.wait_run("etl", "Stopped", "never", reason="StopRequested")

        # The oracle may take nothing else amiss.
        assert conclude(stage).complaints == ["accepted start never is Stopped and never had a Job"]


def test_run_is_not_over_while_a_failed_post_may_make_its_job(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        failing = stage.installation.operator.proxy.rules.add(is_post_of_job, LoseRequest(refusal(500)))
        stage.start("etl", "first")
        stage.wait_until("its Job is asked for again", lambda: len(failing.met) > 1)
        stage.stop("etl")
        stage.pause(2)

        assert stage.status_of("etl").get("run", {}).get("phase") != "Stopped"
