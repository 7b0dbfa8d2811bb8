"""A POST that nobody hears of any more makes a Job for a DiemJob that has been deleted and made anew meanwhile.

The next run of that name was started beside it.
"""

from tests.reliability.matrix import long_form
from tests.reliability.playing import Theatre, conclude
from tests.reliability.proxy.faults import LoseRequest, Straggle, refusal
from tests.reliability.stage import make_diemjob


@long_form
def test_next_run_waits_for_what_an_old_post_may_still_make(theatre: Theatre) -> None:
    straggler = Straggle()
    with theatre.stage(patience_seconds=150) as stage:
        stage.create(make_diemjob("etl"))
        rules = stage.installation.operator.proxy.rules
        first_post = rules.add(lambda call: call.what == "create jobs", straggler, times=1)
        all_posts = rules.add(lambda call: call.what == "create jobs", LoseRequest(refusal(500)))
        try:
            old = stage.start("etl", "old")
            stage.wait_until("its Job is asked for", lambda: bool(first_post.met))
            stage.delete("etl")
            stage.create(make_diemjob("etl"))
            new = stage.start("etl", "new")
            rules.remove(all_posts)
            stage.pause(3)
        finally:
            straggler.release()
        stage.wait_run("etl", "Running", "new")
        stage.finish_pods("etl")
        stage.wait_run("etl", "Completed", "new")

        outcome = conclude(stage)
        assert outcome.complaints == []
        assert {life.run_id for life in outcome.history.job_lives} == {old["run"]["id"], new["run"]["id"]}
