"""Each write: what it carries, what its answer changes, and what its failure means."""

import msgspec
import pytest

from diem_operator.cluster.errors import OutcomeUnknown
from diem_operator.model.diemjob import Phase
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.names import ANNOTATION_RECORDED_UID, RunId
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.job_manifest import build_job
from diem_operator.planning.rules import StartRequest
from diem_operator.planning.statuses import build_submitted_run, with_run
from diem_operator.planning.steps import CreateJob, DeleteJob, WriteRecordedUid, WriteStatus
from diem_operator.planning.world import PostOutcome, World
from diem_operator.reconciler.applier import PreconditionFailedError, Write
from diem_operator.reconciler.leadership import NotLeader
from tests.unit.reconciler.conftest import KEY, Shell
from tests.unit.reconciler.fake_cluster import lost_reply

REQUEST = StartRequest(id=RunId("r1"))


def observe(shell: Shell) -> World:
    shell.tell()
    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    return world


def make_world(shell: Shell) -> World:
    shell.apply()
    return observe(shell)


def make_creation(world: World) -> CreateJob:
    return CreateJob(request=REQUEST, manifest=build_job(world.diemjob, REQUEST, number=1))


def make_status_write(world: World) -> WriteStatus:
    status = with_run(world.diemjob.status, build_submitted_run(world.diemjob.status, REQUEST))
    return WriteStatus(status=msgspec.structs.replace(status, phase=Phase.SUBMITTED))


async def make_deletion(shell: Shell, *, propagation: str = "Foreground") -> tuple[DeleteJob, World]:
    """Create a Job; return the step that deletes it, and the world that step was decided on."""
    world = make_world(shell)
    await shell.applier.apply(make_creation(world), world)
    world = observe(shell)
    step = DeleteJob(job=world.jobs[0], propagation="Foreground", reason="StopRequested")
    return (msgspec.structs.replace(step, propagation=propagation), world)


def find_job_key(shell: Shell) -> ObjectKey:
    name = build_job_name(KEY.name, shell.diemjob().metadata.uid, REQUEST.id)
    return ObjectKey(namespace=KEY.namespace, name=name)


# Creating


async def test_created_job_is_known_before_any_watch_tells_of_it(shell: Shell) -> None:
    world = make_world(shell)

    await shell.applier.apply(make_creation(world), world)

    assert shell.store.find_job(find_job_key(shell)) is not None
    attempt = shell.memory.find(KEY, world.diemjob.metadata.uid).attempt
    assert attempt is not None
    assert attempt.outcome is PostOutcome.CREATED


async def test_job_that_was_deleted_while_its_creation_was_answered_is_not_known(shell: Shell) -> None:
    world = make_world(shell)

    def delete() -> None:
        shell.server.remove("jobs", find_job_key(shell))
        shell.tell()

    shell.server.meanwhile("POST jobs", delete, is_answered=True)
    await shell.applier.apply(make_creation(world), world)

    assert shell.store.find_job(find_job_key(shell)) is None


async def test_failure_to_create_is_remembered_not_raised(shell: Shell) -> None:
    world = make_world(shell)
    shell.server.fail("POST jobs", lost_reply())

    await shell.applier.apply(make_creation(world), world)

    attempt = shell.memory.find(KEY, world.diemjob.metadata.uid).attempt
    assert attempt is not None
    assert (attempt.outcome, attempt.failures) == (PostOutcome.UNKNOWN, 1)


async def test_repetition_after_an_unknown_outcome_is_told_apart_from_a_first_try(shell: Shell) -> None:
    world = make_world(shell)
    shell.server.fail("POST jobs", lost_reply(), is_stored=True)
    await shell.applier.apply(make_creation(world), world)
    shell.server.pending_events.clear()
    shell.server.fail("POST jobs", OutcomeUnknown("x", status=503))

    world = observe(shell)
    await shell.applier.apply(make_creation(world), world)

    assert shell.store.find_job(find_job_key(shell)) is not None


# Deleting


async def test_unfinished_job_is_deleted_only_as_it_was_seen(shell: Shell) -> None:
    step, world = await make_deletion(shell)

    await shell.applier.apply(step, world)

    metadata = step.job.metadata
    body = shell.server.bodies[-1]
    assert body["propagationPolicy"] == "Foreground"
    assert body["preconditions"] == {"uid": metadata.uid, "resourceVersion": metadata.resource_version}


async def test_deletion_under_way_is_known_before_any_watch_tells_of_it(shell: Shell) -> None:
    step, world = await make_deletion(shell)

    await shell.applier.apply(step, world)

    job = shell.store.find_job(step.job.key)
    assert job is not None
    assert job.metadata.is_being_deleted


async def test_finished_job_may_have_changed_but_not_be_another(shell: Shell) -> None:
    step, world = await make_deletion(shell, propagation="Background")

    await shell.applier.apply(step, world)

    body = shell.server.bodies[-1]
    assert body["propagationPolicy"] == "Background"
    assert body["preconditions"] == {"uid": step.job.uid}
    assert shell.store.find_job(step.job.key) is None


async def test_job_that_finished_meanwhile_is_not_deleted(shell: Shell) -> None:
    step, world = await make_deletion(shell)
    shell.server.finish_job(step.job.key)

    with pytest.raises(PreconditionFailedError):
        await shell.applier.apply(step, world)

    assert "deletionTimestamp" not in (shell.server.find("jobs", step.job.key) or {})["metadata"]


async def test_job_that_is_gone_already_is_no_error_of_the_cluster(shell: Shell) -> None:
    step, world = await make_deletion(shell)
    shell.server.remove("jobs", step.job.key)

    with pytest.raises(PreconditionFailedError):
        await shell.applier.apply(step, world)


# Status


async def test_status_is_written_on_what_it_was_decided_on(shell: Shell) -> None:
    world = make_world(shell)

    await shell.applier.apply(make_status_write(world), world)

    assert shell.server.bodies[-1]["metadata"] == {"resourceVersion": world.diemjob.metadata.resource_version}
    assert shell.run().phase is Phase.SUBMITTED
    assert shell.store.find_diemjob(KEY) == shell.diemjob()


async def test_status_write_carries_only_what_changes(shell: Shell) -> None:
    world = make_world(shell)
    await shell.applier.apply(make_status_write(world), world)
    world = observe(shell)
    later = msgspec.structs.replace(world.diemjob.status, phase=None, state_starts=4)

    await shell.applier.apply(WriteStatus(status=later), world)

    assert shell.server.bodies[-1]["status"] == {"phase": None, "stateStarts": 4}


async def test_status_written_by_somebody_else_meanwhile_is_not_overwritten(shell: Shell) -> None:
    world = make_world(shell)
    shell.apply(state="stopped")

    with pytest.raises(PreconditionFailedError):
        await shell.applier.apply(make_status_write(world), world)

    assert shell.diemjob().status.run is None


async def test_status_write_that_has_no_answer_is_an_error_of_the_cluster(shell: Shell) -> None:
    world = make_world(shell)
    shell.server.fail("PATCH diemjobs/status", lost_reply())

    with pytest.raises(OutcomeUnknown):
        await shell.applier.apply(make_status_write(world), world)


async def test_diemjob_deleted_while_its_write_was_answered_does_not_come_back(shell: Shell) -> None:
    world = make_world(shell)

    def delete() -> None:
        shell.server.remove("diemjobs", KEY)
        shell.tell()

    shell.server.meanwhile("PATCH diemjobs/status", delete, is_answered=True)
    await shell.applier.apply(make_status_write(world), world)

    assert shell.store.find_diemjob(KEY) is None


async def test_transition_is_counted_when_it_is_written(shell: Shell) -> None:
    world = make_world(shell)

    await shell.applier.apply(make_status_write(world), world)

    assert shell.metrics.registry.get_sample_value("diem_operator_run_transitions_total", {"phase": "Submitted"}) == 1


# The annotation


async def test_mark_of_a_recorded_run_touches_nothing_else(shell: Shell) -> None:
    world = make_world(shell)

    await shell.applier.apply(WriteRecordedUid(), world)

    metadata = world.diemjob.metadata
    annotations = {ANNOTATION_RECORDED_UID: metadata.uid}
    expected = {"metadata": {"resourceVersion": metadata.resource_version, "annotations": annotations}}
    assert shell.server.bodies[-1] == expected
    assert shell.diemjob().spec == world.diemjob.spec
    assert shell.store.find_diemjob(KEY) == shell.diemjob()


# The fence


async def test_nothing_is_sent_without_the_lease(shell: Shell) -> None:
    step, world = await make_deletion(shell)
    shell.server.calls.clear()
    shell.fence.is_ours = False
    writes: list[Write] = [make_creation(world), step, make_status_write(world), WriteRecordedUid()]

    for write in writes:
        with pytest.raises(NotLeader):
            await shell.applier.apply(write, world)

    assert shell.server.calls == []
