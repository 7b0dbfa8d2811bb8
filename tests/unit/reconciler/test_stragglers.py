"""A POST had no answer, its repetition had one, and the first may arrive later: until it cannot, its Job may come."""

import copy

import pytest

from diem_operator.model.diemjob import Phase
from diem_operator.model.metadata import RawObject
from diem_operator.planning.world import REQUEST_TIMEOUT_SECONDS
from tests.unit.reconciler.conftest import KEY, Shell
from tests.unit.reconciler.fake_cluster import lost_reply, refusal

LOST_AT = 1000.0
SETTLED_AT = LOST_AT + REQUEST_TIMEOUT_SECONDS
QUOTA = refusal(403, "Forbidden", "jobs is forbidden: exceeded quota: q, requested: count/jobs.batch=1")


async def lose_first_post(shell: Shell) -> RawObject:
    """Start a run whose first POST is lost and whose second makes the Job; return what the first would make."""
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply())
    await shell.retry(await shell.reconcile())
    job = copy.deepcopy(shell.find_job("r1"))
    assert job is not None
    for field in ("uid", "resourceVersion", "creationTimestamp"):
        del job["metadata"][field]
    return job


async def lose_job(shell: Shell) -> None:
    """Let the Job of the run be gone."""
    shell.server.remove("jobs", shell.job_key("r1"))
    await shell.reconcile()


async def test_stop_is_told_only_when_no_post_can_make_the_job_again(shell: Shell) -> None:
    await lose_first_post(shell)
    shell.stop("r1")
    await shell.reconcile()
    await lose_job(shell)
    assert shell.run().phase is Phase.STOPPING

    shell.clock.seconds = SETTLED_AT - 1
    wait = await shell.reconcile()
    assert shell.run().phase is Phase.STOPPING
    assert shell.server.calls[-1] != "GET jobs", "there is nothing to look for yet"
    await shell.retry(wait)
    assert shell.run().phase is Phase.STOPPED


async def test_stop_is_not_told_while_the_job_that_came_late_is_there(shell: Shell) -> None:
    straggler = await lose_first_post(shell)
    shell.stop("r1")
    await shell.reconcile()
    await lose_job(shell)
    shell.clock.seconds = SETTLED_AT - 20
    shell.server.put("jobs", straggler)
    await shell.reconcile()
    late = shell.find_job("r1")
    assert late is not None
    assert "deletionTimestamp" in late["metadata"]

    shell.clock.seconds = SETTLED_AT + 1
    await shell.reconcile()
    assert shell.run().phase is Phase.STOPPING

    await lose_job(shell)
    assert shell.run().phase is Phase.STOPPED


async def test_state_that_people_set_meanwhile_counts(shell: Shell) -> None:
    await lose_first_post(shell)
    await lose_job(shell)
    for state in ("stopped", "running"):
        shell.apply(state=state)
        await shell.reconcile()
    assert shell.run().phase is Phase.STOPPING

    shell.clock.seconds = SETTLED_AT
    await shell.reconcile()

    assert (shell.run().id, shell.run().phase) == ("state-1", Phase.PENDING)


async def test_finished_job_goes_only_when_no_post_can_make_it_again(shell: Shell) -> None:
    shell.apply(jobHistoryLimit=0)
    await lose_first_post(shell)
    shell.server.finish_job(shell.job_key("r1"))

    wait = await shell.reconcile()
    while shell.find_job("r1") is not None:
        wait = await shell.retry(wait)

    assert shell.clock.seconds >= SETTLED_AT


@pytest.mark.parametrize("is_running", [False, True])
async def test_request_is_over_only_when_a_look_has_shown_that_it_has_no_job(shell: Shell, is_running: bool) -> None:
    """It was stopped while the second POST was refused, and what the watch tells lags."""
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply())
    wait = await shell.reconcile()
    straggler = shell.server.bodies[0]

    def stop() -> None:
        shell.stop("r1")
        shell.tell()

    shell.server.fail("POST jobs", QUOTA)
    shell.server.meanwhile("POST jobs", stop)
    await shell.retry(wait)
    assert shell.diemjob().status.run is None
    if is_running:
        shell.server.put("jobs", straggler)
        shell.server.pending_events.clear()

    shell.clock.seconds = SETTLED_AT
    await shell.reconcile()

    assert shell.run().phase is (Phase.STOPPING if is_running else Phase.STOPPED)


@pytest.mark.parametrize("is_stopped", [False, True], ids=["next run", "stop"])
async def test_read_that_began_too_early_settles_nothing(shell: Shell, is_stopped: bool) -> None:
    """The DiemJob was replaced, or its run stopped; while it is read, the last second passes."""
    await lose_first_post(shell)
    shell.stop("r1")
    await shell.reconcile()
    await lose_job(shell)
    if not is_stopped:
        shell.server.remove("diemjobs", KEY)
        shell.start("r2")
    shell.clock.seconds = SETTLED_AT - 1
    shell.observer.doubt(KEY)

    def pass_time() -> None:
        shell.clock.seconds += 2

    shell.server.meanwhile("LIST jobs", pass_time)
    before = shell.server.count("LIST jobs")
    await shell.reconcile()

    assert shell.server.count("LIST jobs") - before == 2, "the first proved nothing, and another had to"
    assert shell.run().phase is (Phase.STOPPED if is_stopped else Phase.PENDING)


async def test_run_that_is_refused_for_good_has_not_failed_before(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", lost_reply())
    wait = await shell.reconcile()
    shell.server.fail("POST jobs", refusal(422, "Invalid", "denied by policy"))

    await shell.retry(wait)
    assert (shell.run().phase, shell.run().message) == (Phase.SUBMITTED, "denied by policy")

    shell.clock.seconds = SETTLED_AT
    await shell.reconcile()
    assert shell.run().phase is Phase.FAILED


async def test_nothing_is_remembered_for_ever(shell: Shell) -> None:
    await lose_first_post(shell)
    shell.server.remove("jobs", shell.job_key("r1"))
    shell.server.remove("diemjobs", KEY)
    await shell.reconcile()
    assert shell.memory.find_straggler(KEY, now_seconds=0) is not None

    shell.clock.seconds = SETTLED_AT
    await shell.observer.resync()

    assert shell.memory.find_straggler(KEY, now_seconds=0) is None
