"""Writes whose reply is lost: carried out or not, nothing happens twice and nothing is forgotten."""

import pytest

from diem_operator.cluster.errors import OutcomeUnknown, RequestNotSent
from diem_operator.model import reasons
from diem_operator.model.diemjob import Phase
from tests.unit.reconciler.conftest import KEY, Shell
from tests.unit.reconciler.fake_cluster import lost_reply, refusal

QUOTA = refusal(403, "Forbidden", "jobs is forbidden: exceeded quota: q, requested: count/jobs.batch=1")


def lose_posts(shell: Shell, count: int) -> None:
    """Let the next POSTs have no answer, and make nothing."""
    for at in range(1, count + 1):
        shell.server.fail("POST jobs", lost_reply(), at=at)


async def test_job_whose_reply_was_lost_is_looked_for_and_adopted(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply(), is_stored=True)
    shell.server.meanwhile("POST jobs", shell.server.pending_events.clear, is_answered=True)

    wait = await shell.reconcile()
    assert shell.diemjob().status.run is None
    await shell.retry(wait)

    assert shell.server.count("POST jobs") == 1
    assert (shell.run().phase, shell.run().job_name) == (Phase.PENDING, shell.job_key("r1").name)


async def test_post_that_never_arrived_is_repeated(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply())

    await shell.retry(await shell.reconcile())

    assert shell.server.count("POST jobs") == 2
    assert shell.server.bodies[0] == shell.server.bodies[-2], "the second is sent unchanged"
    assert shell.run().phase is Phase.PENDING


async def test_job_of_a_deleted_diemjob_whose_reply_was_lost_is_waited_for(shell: Shell) -> None:
    """The DiemJob was deleted and made anew while nobody knew of its Job."""
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply(), is_stored=True)
    await shell.reconcile()
    orphan = shell.job_key("r1")
    shell.server.remove("diemjobs", KEY)
    shell.start("r1")
    for event in [event for event in shell.server.pending_events if event.plural == "jobs"]:
        shell.server.pending_events.remove(event)

    wait = await shell.reconcile()
    assert (shell.run().phase, shell.run().reason) == (Phase.SUBMITTED, reasons.WAITING_FOR_OLD_JOBS)
    assert shell.server.count("POST jobs") == 1

    shell.server.remove("jobs", orphan)
    shell.server.pending_events.clear()
    await shell.retry(wait)
    assert shell.run().phase is Phase.PENDING


async def test_run_is_stopped_although_the_api_server_fails_for_long(shell: Shell) -> None:
    """As while a webhook for Jobs is broken: each POST is answered with an error that does not tell what was done."""
    shell.start("r1")
    lose_posts(shell, 19)
    wait = await shell.reconcile()
    for _ in range(5):
        wait = await shell.retry(wait)
    shell.stop("r1")

    wait = await shell.reconcile()
    assert shell.run().phase is Phase.SUBMITTED
    shell.clock.seconds += 1
    await shell.retry(wait)

    assert (shell.run().phase, shell.run().reason) == (Phase.STOPPED, reasons.STOP_REQUESTED)
    assert shell.server.count("POST jobs") == 6


async def test_watch_that_tells_of_the_job_saves_the_repetition(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply(), is_stored=True)

    await shell.reconcile()
    await shell.reconcile()

    assert shell.server.count("POST jobs") == 1
    assert shell.run().phase is Phase.PENDING


async def test_stop_waits_until_the_outcome_of_the_post_is_known(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply(), is_stored=True)
    shell.server.meanwhile("POST jobs", shell.server.pending_events.clear, is_answered=True)
    wait = await shell.reconcile()

    shell.stop("r1")
    await shell.retry(wait)

    job = shell.find_job("r1")
    assert job is not None
    assert "deletionTimestamp" in job["metadata"]
    assert (shell.run().phase, shell.run().reason) == (Phase.STOPPING, reasons.STOP_REQUESTED)


async def test_quota_that_the_lost_job_uses_up_does_not_hide_it(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply(), is_stored=True)
    shell.server.fail("POST jobs", QUOTA, at=2)
    shell.server.meanwhile("POST jobs", shell.server.pending_events.clear, is_answered=True)

    await shell.retry(await shell.reconcile())

    assert (shell.run().phase, shell.run().reason) == (Phase.PENDING, reasons.WAITING_FOR_POD)


async def test_api_server_that_is_away_after_a_lost_reply_leaves_the_outcome_open(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply(), is_stored=True)
    shell.server.meanwhile("POST jobs", shell.server.pending_events.clear, is_answered=True)
    await shell.reconcile()

    shell.server.fail("LIST jobs", RequestNotSent("refused"))
    shell.stop("r1")
    with pytest.raises(RequestNotSent):
        await shell.reconcile()
    assert shell.diemjob().status.run is None, "nothing is decided before the outcome is known"
    await shell.reconcile()

    assert shell.run().phase is Phase.STOPPING
    assert shell.diemjob().status.runs == ()


async def test_status_write_whose_reply_was_lost_is_found_and_not_repeated(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("PATCH diemjobs/status", lost_reply(), is_stored=True)
    with pytest.raises(OutcomeUnknown):
        await shell.reconcile()

    await shell.controller.reconcile(KEY)

    assert shell.run().phase is Phase.PENDING
    assert shell.server.count("POST jobs") == 1
    assert "GET diemjobs" in shell.server.calls, "the conflict is resolved by a live read"


async def test_run_is_not_started_again_after_lost_replies_on_its_whole_way(shell: Shell) -> None:
    """The POST and the status write lost their replies, and then the Job is deleted."""
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply(), is_stored=True)
    await shell.reconcile()
    shell.server.finish_job(shell.job_key("r1"))
    shell.server.fail("PATCH diemjobs/status", lost_reply(), is_stored=True)
    with pytest.raises(OutcomeUnknown):
        await shell.reconcile()
    assert shell.run().phase is Phase.COMPLETED

    shell.server.remove("jobs", shell.job_key("r1"))
    shell.clock.seconds += 100
    await shell.reconcile()

    assert shell.server.count("POST jobs") == 1
    assert shell.server.list_all("jobs") == []


async def test_deletion_whose_reply_was_lost_is_met_as_a_conflict(shell: Shell) -> None:
    job_key = await shell.run_to(Phase.RUNNING)
    shell.stop("r1")
    shell.server.fail("DELETE jobs", lost_reply(), is_stored=True)
    with pytest.raises(OutcomeUnknown):
        await shell.reconcile()

    await shell.controller.reconcile(KEY)
    assert shell.run().phase is Phase.STOPPING

    shell.server.remove("jobs", job_key)
    await shell.reconcile()
    assert (shell.run().phase, shell.run().reason) == (Phase.STOPPED, reasons.STOP_REQUESTED)


async def test_unknown_outcome_is_not_asked_for_without_a_pause_when_the_start_is_late(shell: Shell) -> None:
    shell.apply(startDeadlineSeconds=1)
    shell.start("r1")
    lose_posts(shell, 8)

    wait = await shell.reconcile()
    for _ in range(6):
        wait = await shell.retry(wait)
        assert wait.seconds is not None
        assert wait.seconds > 0

    assert shell.server.count("POST jobs") == 7
