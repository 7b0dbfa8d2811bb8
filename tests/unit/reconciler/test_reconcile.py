"""The whole shell at work on one DiemJob: what it costs, and what refusals, races and absences lead to."""

import pytest

from diem_operator.model import reasons
from diem_operator.model.diemjob import Phase
from diem_operator.model.names import ANNOTATION_RECORDED_UID, LABEL_MANAGED_BY
from diem_operator.planning.steps import Wait
from diem_operator.reconciler import controller as controller_module
from diem_operator.reconciler.controller import UnsettledError
from diem_operator.reconciler.observer import FIRST_LOOK_SECONDS
from tests.builders import NAMESPACE
from tests.unit.reconciler.conftest import KEY, Shell
from tests.unit.reconciler.fake_cluster import refusal

QUOTA = refusal(403, "Forbidden", "jobs is forbidden: exceeded quota: q, requested: count/jobs.batch=1")


# An ordinary life


async def test_run_costs_one_post_three_status_writes_and_one_mark(shell: Shell) -> None:
    await shell.run_to(Phase.COMPLETED)

    status = "PATCH diemjobs/status"
    assert shell.find_writes() == ["POST jobs", status, status, status, "PATCH diemjobs"]
    assert shell.server.calls == shell.find_writes(), "an ordinary run needs no live read"
    assert shell.diemjob().metadata.annotations[ANNOTATION_RECORDED_UID] == shell.diemjob().metadata.uid


async def test_second_run_costs_no_mark(shell: Shell) -> None:
    await shell.run_to(Phase.COMPLETED)
    shell.server.calls.clear()

    await shell.run_to(Phase.COMPLETED, "r2")

    assert shell.find_writes() == ["POST jobs", *["PATCH diemjobs/status"] * 3]


async def test_echo_of_own_writes_costs_nothing(shell: Shell) -> None:
    await shell.run_to(Phase.COMPLETED)
    shell.server.calls.clear()

    for _ in range(3):
        await shell.reconcile()

    assert shell.server.calls == []


async def test_watch_event_older_than_own_write_is_ignored(shell: Shell) -> None:
    before = shell.start("r1")
    old = shell.server.find("diemjobs", KEY)
    assert old is not None
    await shell.reconcile()
    shell.server.calls.clear()

    shell.tell_diemjob("MODIFIED", old)
    await shell.controller.reconcile(KEY)

    assert shell.server.calls == []
    assert shell.store.find_diemjob(KEY) != before
    assert len(shell.server.list_all("jobs")) == 1


async def test_diemjob_that_is_gone_asks_for_nothing(shell: Shell) -> None:
    shell.start("r1")
    shell.tell()
    shell.server.remove("diemjobs", KEY)

    assert await shell.reconcile() == Wait()
    assert shell.server.calls == []


# Conflicts


async def test_conflict_leads_to_a_live_read_and_another_decision(shell: Shell) -> None:
    await shell.run_to(Phase.RUNNING)
    shell.stop("r1")  # no watch has told yet
    shell.server.pending_events.clear()
    shell.server.run_job(shell.job_key("r1"))
    shell.server.edit("jobs", shell.job_key("r1"), lambda raw: raw["status"].update(active=0))
    shell.server.finish_job(shell.job_key("r1"))
    shell.server.calls.clear()

    await shell.reconcile()

    assert shell.server.calls[:3] == ["PATCH diemjobs/status", "GET diemjobs", "LIST jobs"]
    assert shell.run().phase is Phase.COMPLETED


async def test_run_that_finished_before_its_stop_is_completed(shell: Shell) -> None:
    job_key = await shell.run_to(Phase.RUNNING)
    shell.stop("r1")
    shell.tell()
    shell.server.finish_job(job_key)  # no watch has told yet

    await shell.controller.reconcile(KEY)

    assert shell.server.count("DELETE jobs") == 1
    assert shell.run().phase is Phase.COMPLETED
    assert shell.find_job("r1") is not None


async def test_diemjob_deleted_under_a_decision_starts_nothing_and_is_forgotten(shell: Shell) -> None:
    await shell.run_to(Phase.RUNNING)
    shell.server.finish_job(shell.job_key("r1"))
    shell.tell()
    shell.server.remove("diemjobs", KEY)  # no watch has told yet

    assert await shell.controller.reconcile(KEY) == Wait()
    assert shell.store.find_diemjob(KEY) is None


async def test_diemjob_deleted_and_created_anew_under_a_decision_is_decided_anew(shell: Shell) -> None:
    await shell.run_to(Phase.RUNNING)
    old_job = shell.job_key("r1")
    shell.server.finish_job(old_job)
    shell.tell()
    shell.server.remove("diemjobs", KEY)
    shell.apply()

    await shell.controller.reconcile(KEY)

    assert shell.diemjob().status.run is None
    assert shell.server.find("jobs", old_job) is not None, "it is the garbage collector's"


# Refusals


async def test_rejected_job_fails_the_run_for_good(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", refusal(422, "Invalid", "spec.template.spec.containers[0].image: Required value"))

    await shell.reconcile()
    await shell.reconcile()

    assert (shell.run().phase, shell.run().reason) == (Phase.FAILED, reasons.JOB_REJECTED)
    assert "containers[0].image" in shell.run().message
    assert shell.server.count("POST jobs") == 1


async def test_name_that_is_taken_fails_the_run_and_leaves_the_foreign_job(shell: Shell) -> None:
    shell.apply()
    job_key = shell.job_key("r1")
    shell.server.put("jobs", {"metadata": {"namespace": NAMESPACE, "name": job_key.name}})
    shell.start("r1")

    await shell.reconcile()

    assert (shell.run().phase, shell.run().reason) == (Phase.FAILED, reasons.JOB_NAME_TAKEN)
    assert shell.server.count("DELETE jobs") == 0
    assert shell.server.find("jobs", job_key) is not None


async def test_run_over_quota_is_shown_waits_and_starts_by_itself(shell: Shell) -> None:
    shell.start("r1")
    for at in (1, 2, 3):
        shell.server.fail("POST jobs", QUOTA, at=at)

    wait = await shell.reconcile()
    assert shell.diemjob().status.run is None, "a first refusal is mostly over before anyone could read it"
    wait = await shell.retry(wait)
    assert (shell.run().phase, shell.run().reason) == (Phase.SUBMITTED, reasons.QUOTA_EXCEEDED)
    assert "exceeded quota" in shell.run().message
    assert shell.condition("Reconciling") == ("True", reasons.QUOTA_EXCEEDED)
    wait = await shell.retry(wait)
    await shell.retry(wait)

    assert shell.run().phase is Phase.PENDING
    assert shell.server.count("POST jobs") == 4
    assert shell.server.count("PATCH diemjobs/status") == 2


async def test_retries_wait_even_if_events_come_in_between(shell: Shell) -> None:
    shell.start("r1")
    for at in range(1, 9):
        shell.server.fail("POST jobs", QUOTA, at=at)
    wait = await shell.reconcile()
    for _ in range(3):
        wait = await shell.retry(wait)
    posts = shell.server.count("POST jobs")

    for alias in "abcde":
        shell.apply(aliases=[alias])
        await shell.reconcile()

    assert posts == shell.server.count("POST jobs")


async def test_namespace_that_is_being_deleted_is_given_up(shell: Shell) -> None:
    shell.start("r1")
    shell.server.fail("POST jobs", refusal(403, "Forbidden", "terminated", causes=("NamespaceTerminating",)))

    wait = await shell.reconcile()

    assert wait.seconds is not None
    assert wait.seconds >= 60


# What is not there


async def test_job_deleted_by_somebody_fails_the_run_after_a_live_read(shell: Shell) -> None:
    job_key = await shell.run_to(Phase.RUNNING)
    shell.server.calls.clear()
    shell.server.remove("jobs", job_key)

    await shell.reconcile()

    assert shell.server.calls[:3] == ["GET diemjobs", "LIST jobs", "GET jobs"]
    assert (shell.run().phase, shell.run().reason) == (Phase.FAILED, reasons.JOB_DELETED)
    assert shell.server.count("POST jobs") == 1


async def test_job_that_lost_its_label_is_followed_on_without_watches(shell: Shell) -> None:
    job_key = await shell.run_to(Phase.RUNNING)
    raw = shell.server.edit("jobs", job_key, lambda raw: raw["metadata"]["labels"].pop(LABEL_MANAGED_BY))
    shell.server.pending_events.clear()
    shell.tell_job("DELETED", raw)

    wait = await shell.reconcile()
    assert shell.run().phase is Phase.RUNNING
    shell.server.finish_job(job_key)
    shell.server.pending_events.clear()
    wait = await shell.retry(wait)

    assert shell.run().phase is Phase.COMPLETED
    assert wait == Wait()


async def test_stop_takes_effect_although_no_watch_tells_that_the_job_is_gone(shell: Shell) -> None:
    job_key = await shell.run_to(Phase.RUNNING)
    shell.stop("r1")
    wait = await shell.reconcile()
    assert shell.run().phase is Phase.STOPPING

    shell.server.remove("jobs", job_key)
    shell.server.pending_events.clear()
    assert wait == Wait(seconds=FIRST_LOOK_SECONDS)
    wait = await shell.retry(wait)

    assert shell.run().phase is Phase.STOPPED
    assert wait == Wait()


async def test_job_that_is_long_in_going_is_looked_after_ever_more_rarely(shell: Shell) -> None:
    await shell.run_to(Phase.RUNNING)
    shell.stop("r1")
    waits = [await shell.reconcile()]
    for _ in range(3):
        waits.append(await shell.retry(waits[-1]))

    assert [wait.seconds for wait in waits] == [5, 5, 10, 20]


async def test_what_lists_contradict_is_read_before_it_is_decided_on(shell: Shell) -> None:
    job_key = await shell.run_to(Phase.RUNNING)
    shell.server.remove("jobs", job_key)
    shell.server.pending_events.clear()
    await shell.observer.resync()
    shell.server.calls.clear()

    await shell.controller.reconcile(KEY)

    assert shell.server.calls == ["GET diemjobs", "LIST jobs", "GET jobs", "PATCH diemjobs/status", "PATCH diemjobs"]
    assert shell.run().reason == reasons.JOB_DELETED


# No rest


async def test_steps_without_end_are_interrupted(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_module, "MAX_STEPS", 2)
    shell.start("r1")
    for at in range(1, 5):
        shell.server.fail("PATCH diemjobs/status", refusal(409, "Conflict"), at=at)

    with pytest.raises(UnsettledError):
        await shell.reconcile()

    assert shell.server.count("PATCH diemjobs/status") < 3


async def test_finished_jobs_that_use_up_the_quota_are_removed_while_a_run_waits_for_it(shell: Shell) -> None:
    shell.apply(jobHistoryLimit=0)
    finished = await shell.run_to(Phase.COMPLETED)
    for at in range(1, 20):
        shell.server.fail("POST jobs", QUOTA, at=at)

    shell.start("r2")
    wait = await shell.reconcile()
    while shell.server.find("jobs", finished) is not None:
        assert wait.seconds is not None
        wait = await shell.retry(wait)
        assert shell.clock.seconds < 1000 + 300, "the finished Job stays, and the run waits for ever"

    assert (shell.run().phase, shell.run().reason) == (Phase.SUBMITTED, reasons.QUOTA_EXCEEDED)
