"""Where the world of a decision comes from, and what a live read may and may not undo."""

import pytest

from diem_operator.cluster.errors import OutcomeUnknown
from diem_operator.model.diemjob import Phase
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.names import LABEL_DIEMJOB, LABEL_MANAGED_BY
from diem_operator.planning.world import PostOutcome
from diem_operator.reconciler.posting import PostResult
from tests.builders import NAMESPACE, make_attempt
from tests.unit.reconciler.conftest import KEY, Shell
from tests.unit.reconciler.fake_cluster import FakeApiServer, refusal


def find_job_names(shell: Shell) -> list[str]:
    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    return [job.metadata.name for job in world.jobs]


async def start_run(shell: Shell) -> ObjectKey:
    """Bring a run to Running; return the key of its Job."""
    job_key = await shell.run_to(Phase.RUNNING)
    shell.server.calls.clear()
    return job_key


# From the store


async def test_unknown_diemjob_has_no_world(shell: Shell) -> None:
    assert shell.observer.observe(KEY, is_live=False) is None


async def test_looking_at_the_store_asks_nobody(shell: Shell) -> None:
    await start_run(shell)

    assert shell.observer.observe(KEY, is_live=False) is not None
    assert shell.server.calls == []


async def test_memories_go_with_the_diemjob(shell: Shell) -> None:
    shell.server.fail("POST jobs", refusal(403, "Forbidden", "exceeded quota"))
    uid = shell.start("r1").metadata.uid
    await shell.reconcile()
    assert shell.memory.find(KEY, uid).attempt is not None

    shell.server.remove("diemjobs", KEY)
    await shell.reconcile()

    assert shell.memory.find(KEY, uid).attempt is None


async def test_outcome_that_status_tells_is_forgotten_though_the_write_had_no_answer(shell: Shell) -> None:
    shell.server.fail("PATCH diemjobs/status", OutcomeUnknown("no answer"), is_stored=True)
    uid = shell.start("r1").metadata.uid
    with pytest.raises(OutcomeUnknown):
        await shell.reconcile()
    assert shell.memory.find(KEY, uid).attempt is not None

    shell.tell()
    shell.observer.observe(KEY, is_live=False)

    assert shell.memory.find(KEY, uid).attempt is None


# Live


async def test_refresh_reads_the_diemjob_first(shell: Shell) -> None:
    await start_run(shell)

    await shell.observer.refresh(KEY)

    assert shell.server.calls == ["GET diemjobs", "LIST jobs"]


async def test_refresh_finds_that_a_job_is_gone(shell: Shell) -> None:
    job_key = await start_run(shell)
    shell.server.remove("jobs", job_key)

    await shell.observer.refresh(KEY)

    assert find_job_names(shell) == []
    assert shell.server.calls == ["GET diemjobs", "LIST jobs", "GET jobs"]


@pytest.mark.parametrize("label", [LABEL_DIEMJOB, LABEL_MANAGED_BY])
async def test_job_whose_label_was_taken_off_is_no_absent_job(shell: Shell, label: str) -> None:
    job_key = await start_run(shell)
    shell.server.edit("jobs", job_key, lambda raw: raw["metadata"]["labels"].pop(label))
    raw = shell.server.find("jobs", job_key)
    assert raw is not None
    shell.tell_job("DELETED", raw)  # as a watch with a label selector tells it
    assert find_job_names(shell) == []

    await shell.observer.refresh(KEY)

    assert find_job_names(shell) == [job_key.name]


async def test_job_of_a_waiting_run_is_looked_up_by_the_name_it_would_have(shell: Shell) -> None:
    shell.start("r1")
    job_key = shell.job_key("r1")
    shell.server.put("jobs", {"metadata": {"namespace": NAMESPACE, "name": "foreign"}})
    shell.server.edit(
        "diemjobs", KEY, lambda raw: raw.update(status={"run": {"number": 1, "id": "r1", "phase": "Submitted"}})
    )
    shell.tell()

    await shell.observer.refresh(KEY)

    assert shell.server.calls == ["GET diemjobs", "LIST jobs", "GET jobs"]
    assert shell.store.find_job(job_key) is None


async def test_refresh_finds_that_the_diemjob_is_gone(shell: Shell) -> None:
    job_key = await start_run(shell)
    shell.server.remove("diemjobs", KEY)
    shell.server.remove("jobs", job_key)

    await shell.observer.refresh(KEY)

    assert shell.observer.observe(KEY, is_live=False) is None
    assert shell.store.list_jobs() == []


async def test_control_plane_that_was_restored_is_believed_when_read_live(shell: Shell) -> None:
    shell.apply()
    restore = shell.server.back_up()
    job_key = await start_run(shell)
    restore()

    await shell.observer.refresh(KEY)

    assert shell.store.find_diemjob(KEY) == shell.diemjob()
    assert shell.store.find_job(job_key) is None


@pytest.mark.parametrize("is_answered", [False, True], ids=["before the answer", "after the answer"])
async def test_watch_event_during_a_live_read_of_a_diemjob_is_not_undone(shell: Shell, is_answered: bool) -> None:
    shell.apply()
    shell.tell()

    def change() -> None:
        shell.apply(state="stopped")
        shell.tell()

    shell.server.meanwhile("GET diemjobs", change, is_answered=is_answered)
    await shell.observer.refresh(KEY)

    assert shell.store.find_diemjob(KEY) == shell.diemjob()


@pytest.mark.parametrize("is_answered", [False, True], ids=["before the answer", "after the answer"])
async def test_watch_event_during_a_live_read_of_jobs_is_not_undone(shell: Shell, is_answered: bool) -> None:
    job_key = await start_run(shell)

    def finish() -> None:
        shell.server.finish_job(job_key)
        shell.tell()

    shell.server.meanwhile("LIST jobs", finish, is_answered=is_answered)
    await shell.observer.refresh(KEY)

    job = shell.store.find_job(job_key)
    assert job is not None
    assert job.is_finished


async def test_job_deleted_during_a_live_read_does_not_come_back(shell: Shell) -> None:
    job_key = await start_run(shell)

    def delete() -> None:
        shell.server.remove("jobs", job_key)
        shell.tell()

    shell.server.meanwhile("LIST jobs", delete, is_answered=True)
    await shell.observer.refresh(KEY)

    assert find_job_names(shell) == []


async def test_job_that_only_left_the_watch_during_a_live_read_is_asked_for_by_name(shell: Shell) -> None:
    job_key = await start_run(shell)

    def take_label_off() -> None:
        raw = shell.server.edit("jobs", job_key, lambda raw: raw["metadata"]["labels"].pop(LABEL_MANAGED_BY))
        shell.server.pending_events.clear()
        shell.tell_job("DELETED", raw)

    shell.server.meanwhile("LIST jobs", take_label_off, is_answered=True)
    await shell.observer.refresh(KEY)

    assert find_job_names(shell) == [job_key.name]


async def test_job_created_anew_while_the_old_one_is_looked_up_stays_known(shell: Shell) -> None:
    job_key = await start_run(shell)
    manifest = shell.server.find("jobs", job_key)
    assert manifest is not None
    shell.server.remove("jobs", job_key)

    def create_anew() -> None:
        shell.server.put("jobs", manifest)
        shell.tell()

    shell.server.meanwhile("GET jobs", create_anew)
    shell.server.fail("GET jobs", refusal(404, "NotFound"))
    await shell.observer.refresh(KEY)

    assert find_job_names(shell) == [job_key.name]


# Pods


async def test_inspection_is_remembered_for_the_next_decision(shell: Shell) -> None:
    shell.start("r1")
    await shell.reconcile()
    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    assert world.live_job is not None

    await shell.observer.inspect(KEY)

    after = shell.observer.observe(KEY, is_live=False)
    assert after is not None
    assert after.inspection is not None
    assert after.inspection.job_uid == world.live_job.uid
    assert shell.server.calls[-2:] == ["LIST pods", "LIST events"]


async def test_events_are_asked_for_only_where_there_is_no_pod(shell: Shell) -> None:
    shell.start("r1")
    await shell.reconcile()
    put_pod(shell.server, shell.job_key("r1"))
    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    assert world.live_job is not None

    await shell.observer.inspect(KEY)

    assert shell.server.calls[-1] == "LIST pods"


async def test_look_at_the_pods_that_fails_holds_nothing_up_and_is_repeated_at_the_next_interval(shell: Shell) -> None:
    shell.start("r1")
    wait = await shell.reconcile()
    shell.server.fail("LIST pods", OutcomeUnknown("no answer"))

    wait = await shell.retry(wait)
    assert shell.server.count("LIST pods") == 1

    await shell.reconcile()
    assert shell.server.count("LIST pods") == 1
    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    assert world.inspection is not None
    assert world.inspection.has_failed

    await shell.retry(wait)
    assert shell.server.count("LIST pods") == 2


async def test_look_at_pods_that_ends_late_leaves_what_is_remembered_of_a_diemjob_made_anew(shell: Shell) -> None:
    shell.start("r1")
    await shell.reconcile()

    def make_anew() -> None:
        shell.server.remove("diemjobs", KEY)
        shell.start("r2")
        shell.tell()
        attempt = make_attempt(PostOutcome.UNKNOWN, "r2")
        shell.memory.note_post(KEY, shell.diemjob().metadata.uid, PostResult(attempt), now_seconds=0)

    shell.server.meanwhile("LIST pods", make_anew)
    await shell.observer.inspect(KEY)

    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    assert world.attempt is not None
    assert world.attempt.is_unknown
    assert world.inspection is None


@pytest.mark.parametrize("is_answered", [True, False])
async def test_look_at_pods_tells_what_was_so_when_it_began(shell: Shell, is_answered: bool) -> None:
    def take_long() -> None:
        shell.clock.seconds += 20

    shell.start("r1")
    await shell.reconcile()
    began = shell.clock.now()
    shell.server.meanwhile("LIST pods", take_long)
    if not is_answered:
        shell.server.fail("LIST pods", OutcomeUnknown("no answer"))

    await shell.observer.inspect(KEY)

    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    assert world.inspection is not None
    assert world.now > began
    assert world.inspection.at == began


async def test_look_at_pods_that_meets_a_bug_is_still_wanted(shell: Shell) -> None:
    def break_down() -> None:
        raise ZeroDivisionError

    shell.start("r1")
    await shell.reconcile()
    shell.observer.want_inspection(KEY)
    shell.server.meanwhile("LIST pods", break_down)

    with pytest.raises(ZeroDivisionError):
        await shell.observer.inspect(KEY)

    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    assert world.is_being_inspected


async def test_run_that_is_no_longer_waiting_for_its_pods_is_not_looked_into(shell: Shell) -> None:
    await shell.run_to(Phase.RUNNING)
    shell.observer.want_inspection(KEY)

    await shell.observer.inspect(KEY)

    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    assert not world.is_being_inspected
    assert shell.server.count("LIST pods") == 0


async def test_new_term_waits_for_no_look_of_the_last_one(shell: Shell) -> None:
    await shell.run_to(Phase.PENDING)
    shell.observer.want_inspection(KEY)

    await shell.observer.start(led_since=0)

    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    assert not world.is_being_inspected


def put_pod(server: FakeApiServer, job_key: ObjectKey) -> None:
    labels = {"batch.kubernetes.io/job-name": job_key.name}
    server.put("pods", {"metadata": {"namespace": NAMESPACE, "name": "pod-1", "labels": labels}})
