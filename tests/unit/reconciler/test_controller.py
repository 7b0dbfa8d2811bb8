"""The running controller: who leads works, who stands by listens, and one failure is not the next one's."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from diem_operator.cluster.errors import ClusterError, OutcomeUnknown, RequestNotSent
from diem_operator.model import reasons
from diem_operator.model.diemjob import Phase
from diem_operator.model.metadata import ObjectKey
from diem_operator.reconciler import controller as controller_module
from diem_operator.reconciler.leadership import NotLeader
from diem_operator.reconciler.queue import QueueShutDown, WorkQueue
from diem_operator.reconciler.scope import Scope
from tests.builders import NAMESPACE
from tests.unit.reconciler.conftest import KEY, Shell
from tests.unit.reconciler.fake_cluster import lost_reply, refusal


@asynccontextmanager
async def running(shell: Shell) -> AsyncIterator[asyncio.Task[None]]:
    """Run the controller beside the block, with watches that tell at once and clocks that go fast."""

    async def tell_for_ever() -> None:
        while True:
            shell.tell()
            shell.clock.seconds += 0.01
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(shell.controller.run(led_since=0)), asyncio.create_task(tell_for_ever())]
    try:
        yield tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def delete_unnoticed(shell: Shell, job_key: ObjectKey) -> None:
    """Have somebody delete a Job once the controller leads; no watch tells of it."""
    await eventually(lambda: shell.controller.is_leading)
    shell.server.remove("jobs", job_key)
    shell.server.pending_events.clear()


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in a fake
            await asyncio.sleep(0.005)


async def test_leader_begins_with_lists_and_works_on_everything(shell: Shell) -> None:
    shell.start("r1")
    shell.server.pending_events.clear()

    async with running(shell):
        await eventually(lambda: shell.has_phase(Phase.PENDING))

    assert shell.server.calls[:2] == ["LIST diemjobs", "LIST jobs"]


async def test_standby_only_listens(shell: Shell) -> None:
    shell.start("r1")
    shell.tell()

    assert not shell.controller.is_leading
    assert shell.server.calls == []
    assert shell.store.find_diemjob(KEY) is not None


async def test_events_lead_to_work(shell: Shell) -> None:
    async with running(shell):
        await eventually(lambda: shell.controller.is_leading)
        shell.start("r1")
        await eventually(lambda: shell.has_phase(Phase.PENDING))
        shell.server.run_job(shell.job_key("r1"))
        await eventually(lambda: shell.has_phase(Phase.RUNNING))
        shell.server.finish_job(shell.job_key("r1"))
        await eventually(lambda: shell.has_phase(Phase.COMPLETED))


async def test_at_rest_nothing_is_asked(shell: Shell) -> None:
    await shell.run_to(Phase.COMPLETED)

    async with running(shell):
        await eventually(lambda: shell.controller.is_leading)
        shell.server.calls.clear()
        for _ in range(200):
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)

    assert shell.server.calls == []


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(lost_reply(), id="no answer"),
        pytest.param(RequestNotSent("refused"), id="no connection"),
        pytest.param(refusal(429, "TooManyRequests"), id="throttled"),
        pytest.param(refusal(403, "Forbidden"), id="no permission"),
    ],
)
async def test_failed_write_is_tried_again_with_growing_pauses(
    shell: Shell, error: ClusterError, caplog: pytest.LogCaptureFixture
) -> None:
    shell.start("r1")
    for at in (1, 2):
        shell.server.fail("PATCH diemjobs/status", error, at=at)

    async with running(shell):
        await eventually(lambda: shell.has_phase(Phase.PENDING))

    assert shell.server.count("POST jobs") == 1
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert shell.metrics.registry.get_sample_value(
        "diem_operator_reconciles_total", {"controller": "diemjobs", "outcome": "retry"}
    )


async def test_bug_in_one_diemjob_stops_no_other(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    broken = ObjectKey(namespace=NAMESPACE, name="broken")

    def break_once() -> None:
        raise ZeroDivisionError

    shell.apply(name="broken", state="running", run={"id": "x"})
    shell.server.meanwhile("POST jobs", break_once)

    async with running(shell):
        await eventually(lambda: any(record.exc_info for record in caplog.records))
        shell.start("r1")
        await eventually(lambda: shell.has_phase(Phase.PENDING))
        await eventually(lambda: shell.diemjob(broken).status.run is not None)


async def test_lost_lease_ends_everything(shell: Shell) -> None:
    async with running(shell) as run:
        await eventually(lambda: shell.controller.is_leading)
        shell.fence.is_ours = False
        shell.start("r1")
        await asyncio.wait({run}, timeout=5)

        assert run.done()
        error = run.exception()

    assert isinstance(error, ExceptionGroup)
    assert error.subgroup(NotLeader) is not None
    assert shell.find_writes() == []
    assert not shell.controller.is_leading


async def test_first_lists_that_fail_end_the_attempt_to_lead(shell: Shell) -> None:
    shell.server.fail("LIST jobs", OutcomeUnknown("no answer"))

    with pytest.raises(OutcomeUnknown):
        await shell.controller.run(led_since=0)

    assert not shell.controller.is_leading


async def test_new_term_repeats_a_post_of_the_last_one_under_its_name(shell: Shell) -> None:
    """The lease was lost between the POST and the status write."""
    shell.start("r1")
    shell.server.meanwhile("POST jobs", lambda: setattr(shell.fence, "is_ours", False), is_answered=True)
    with pytest.raises(NotLeader):
        await shell.reconcile()
    assert shell.diemjob().status.run is None

    shell.fence.is_ours = True
    async with running(shell):
        await eventually(lambda: shell.has_phase(Phase.PENDING))

    assert len(shell.server.list_all("jobs")) == 1


async def test_deletion_that_no_watch_told_is_found_in_time(shell: Shell) -> None:
    shell.controller = shell.build_controller(resync_seconds=0.05)
    job_key = await shell.run_to(Phase.RUNNING)
    shell.server.fail("LIST jobs", OutcomeUnknown("no answer"), at=2)

    async with running(shell):
        await delete_unnoticed(shell, job_key)
        await eventually(lambda: shell.has_phase(Phase.FAILED))

    assert shell.run().reason == reasons.JOB_DELETED


async def test_comparison_that_failed_is_made_again_soon(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_module, "RESYNC_HASTE", 1000.0)
    shell.controller = shell.build_controller(resync_seconds=1.0)
    job_key = await shell.run_to(Phase.RUNNING)
    shell.server.fail("LIST jobs", OutcomeUnknown("no answer"), at=2)

    async with running(shell):
        await delete_unnoticed(shell, job_key)
        await eventually(lambda: shell.server.count("LIST jobs") >= 3)
        await eventually(lambda: shell.has_phase(Phase.FAILED))

    assert shell.run().reason == reasons.JOB_DELETED


async def test_namespace_that_is_refused_for_a_moment_is_served_soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_module, "REFUSED_RETRY_SECONDS", 0.01)
    shell = Shell(Scope(namespaces=("elsewhere", NAMESPACE)))
    shell.start("r1")
    shell.tell()
    shell.server.fail("LIST diemjobs", refusal(403, "Forbidden"), at=2)
    shell.server.fail("LIST diemjobs", OutcomeUnknown("no answer"), at=3)

    async with running(shell):
        await eventually(lambda: shell.has_phase(Phase.PENDING))

    assert shell.server.count("LIST diemjobs") == 4


async def test_diemjob_that_may_not_be_read_is_left_until_its_namespace_can_be_listed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(controller_module, "REFUSED_RETRY_SECONDS", 0.2)
    shell = Shell(Scope(namespaces=("elsewhere", NAMESPACE)))
    shell.apply()
    shell.server.fail("LIST diemjobs", refusal(403, "Forbidden"), at=2)
    shell.server.fail("GET diemjobs", refusal(403, "Forbidden"))

    async with running(shell):
        await eventually(lambda: shell.controller.is_leading)
        shell.start("r1")
        shell.tell()
        await eventually(lambda: shell.server.count("GET diemjobs") == 1)
        await eventually(lambda: shell.has_phase(Phase.PENDING))

    assert shell.server.count("LIST diemjobs") == 3
    assert not any("Could not reconcile" in record.message for record in caplog.records)


async def test_deletion_of_a_diemjob_that_its_watch_missed_is_found_by_the_list_it_begins_anew_with(
    shell: Shell,
) -> None:
    await shell.run_to(Phase.RUNNING)

    async with running(shell):
        await eventually(lambda: shell.controller.is_leading)
        shell.server.remove("diemjobs", KEY)
        shell.server.pending_events.clear()
        shell.controller.observe_diemjob_list([], namespace=None)
        await eventually(lambda: shell.store.find_diemjob(KEY) is None)


async def test_change_that_the_watch_of_diemjobs_missed_is_in_the_list_it_begins_anew_with(shell: Shell) -> None:
    shell.apply()
    shell.tell()

    async with running(shell):
        await eventually(lambda: shell.controller.is_leading)
        changed = shell.start("r1")
        shell.server.pending_events.clear()
        shell.controller.observe_diemjob_list([changed], namespace=None)
        await eventually(lambda: shell.has_phase(Phase.PENDING))


async def test_deletion_of_a_job_that_its_watch_missed_is_found_by_the_list_it_begins_anew_with(shell: Shell) -> None:
    job_key = await shell.run_to(Phase.RUNNING)

    async with running(shell):
        await delete_unnoticed(shell, job_key)
        shell.controller.observe_job_list([], namespace=None)
        await eventually(lambda: shell.has_phase(Phase.FAILED))

    assert shell.run().reason == reasons.JOB_DELETED


async def test_diemjob_that_became_undecodable_spoils_only_itself(shell: Shell) -> None:
    shell.controller = shell.build_controller(resync_seconds=0.05)
    other = ObjectKey(namespace=NAMESPACE, name="other")
    shell.apply(name="other")
    shell.apply()
    shell.tell()
    shell.server.edit("diemjobs", other, lambda raw: raw["spec"].update(state="sideways"))
    shell.server.pending_events.clear()

    async with running(shell):
        await eventually(lambda: shell.controller.is_leading)
        shell.start("r1")
        shell.server.pending_events.clear()
        await eventually(lambda: shell.has_phase(Phase.PENDING))


async def test_diemjob_whose_new_version_cannot_be_decoded_is_not_decided_on_by_its_old_one(shell: Shell) -> None:
    shell.start("r1")
    shell.tell()
    assert shell.store.find_diemjob(KEY) is not None

    shell.server.edit("diemjobs", KEY, lambda raw: raw["spec"].update(state="sideways"))
    shell.tell()
    assert shell.store.find_diemjob(KEY) is None

    await shell.reconcile()
    assert shell.server.calls == []


async def test_what_has_to_wait_is_looked_at_again_without_an_event(shell: Shell) -> None:
    shell.start("r1")
    for at in (1, 2):
        shell.server.fail("POST jobs", refusal(403, "Forbidden", "exceeded quota"), at=at)

    async with running(shell):
        await eventually(lambda: shell.has_phase(Phase.PENDING))

    assert shell.server.count("POST jobs") == 3


async def test_pods_are_looked_at_in_time_and_the_reason_is_told(shell: Shell) -> None:
    event = {
        "metadata": {"namespace": NAMESPACE, "name": "why"},
        "reason": "FailedCreate",
        "message": "exceeded quota",
        "lastTimestamp": "2030-01-02T03:05:00Z",
    }
    shell.clock.seconds += 100
    shell.start("r1")
    shell.server.put("events", event)

    async with running(shell):
        await eventually(lambda: shell.has_phase(Phase.PENDING) and shell.run().reason == reasons.POD_CREATION_FAILED)

    assert "exceeded quota" in shell.run().message


async def test_long_look_at_pods_holds_up_nothing_but_other_looks(shell: Shell) -> None:
    others = [ObjectKey(namespace=NAMESPACE, name=f"other-{place}") for place in range(8)]
    answer = asyncio.Event()
    shell.server.hold("LIST pods", answer)
    shell.clock.seconds += 100
    shell.start("r1")
    for other in others:
        shell.apply(name=other.name, state="running", run={"id": "x"})

    async with running(shell):
        await eventually(lambda: shell.server.count("LIST pods") == 1 and shell.has_phase(Phase.PENDING))
        shell.server.finish_job(shell.job_key("r1"))
        await eventually(lambda: shell.has_phase(Phase.COMPLETED))
        assert shell.server.count("LIST pods") == 1
        answer.set()
        await eventually(lambda: shell.server.count("LIST pods") >= len(others))


async def test_bug_in_a_look_at_pods_stops_neither_it_nor_anything_else(
    shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    def break_once() -> None:
        raise ZeroDivisionError

    shell.server.meanwhile("LIST pods", break_once)
    shell.clock.seconds += 100
    shell.start("r1")

    async with running(shell):
        await eventually(lambda: shell.server.count("LIST pods") == 2)

    messages = [record.message for record in caplog.records if record.exc_info]
    assert messages == ["Could not look up pods, trying again"]


async def test_queues_of_a_lost_term_keep_nothing_going(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[WorkQueue[ObjectKey]] = []

    class KeptQueue(WorkQueue[ObjectKey]):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr(controller_module, "WorkQueue", KeptQueue)
    async with running(shell):
        await eventually(lambda: shell.controller.is_leading)

    for queue in made:
        async with asyncio.timeout(5):
            with pytest.raises(QueueShutDown):
                await queue.get()
    assert len(made) == 2


async def test_long_look_at_pods_delays_the_next_one_by_no_more_than_seconds(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller_module, "INSPECTION_PAUSE_RATIO", 1e9)
    monkeypatch.setattr(controller_module, "MAX_INSPECTION_PAUSE_SECONDS", 0.01)
    shell.clock.seconds += 100
    shell.start("r1")
    shell.apply(name="other", state="running", run={"id": "x"})

    async with running(shell):
        await eventually(lambda: shell.server.count("LIST pods") == 2)


async def test_what_only_tells_waits_until_other_diemjobs_have_their_jobs(shell: Shell) -> None:
    others = [f"other-{place}" for place in range(16)]
    shell.start("r1")
    for name in others:
        shell.apply(name=name, state="running", run={"id": "x"})

    async with running(shell):
        await eventually(lambda: shell.has_phase(Phase.PENDING))

    calls = [call for call in shell.server.calls if call in {"POST jobs", "PATCH diemjobs/status"}]
    assert calls.index("PATCH diemjobs/status") >= len(others)
