import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from diem_operator.api.answers import Reply
from diem_operator.api.cache import JobCache
from diem_operator.api.command import Command, derive_run_id
from diem_operator.api.errors import Problem, ProblemKind, UnknownJob
from diem_operator.api.jobs import JobDesk, has_begun, has_ended
from diem_operator.api.live import LiveReader
from diem_operator.api.settling import Settler
from diem_operator.cluster.errors import Conflict, NotFound, OutcomeUnknown
from diem_operator.model.diemapikey import Action
from diem_operator.model.diemjob import DiemJob, DiemJobStatus, ParameterDeclaration, Phase, State
from diem_operator.model.names import RunId
from diem_operator.planning.rules import displayed_phase
from tests.unit.api.fake_cluster import FakeCluster, FakeEndpoint
from tests.unit.api.objects import NIGHTLY, NOW, make_diemjob, make_diemjob_in, make_entry, make_gate, observe_run

ENTRY = make_entry()
LONG_SECONDS = 30.0


@dataclass
class Office:
    """A desk, and the cluster behind it whose watch the test plays."""

    diemjobs: FakeEndpoint[DiemJob] = field(default_factory=lambda: FakeCluster().diemjobs)
    cache: JobCache = field(default_factory=JobCache)
    is_watch_confirmed: bool = True
    max_waiting: int = 10

    def store(self, diemjob: DiemJob) -> DiemJob:
        stored = self.diemjobs.store(diemjob)
        self.cache.apply(stored)
        return stored

    def operate(self, phase: Phase) -> DiemJob:
        """Do what the operator does when the run of `spec.run` has come into a phase."""
        stored = self.diemjobs.stored(NIGHTLY)
        return self.store(msgspec.structs.replace(stored, status=observe_run(stored, phase)))

    def is_watch_confirmed_in(self, namespace: str) -> bool:
        return self.is_watch_confirmed and namespace == NIGHTLY.namespace

    @property
    def desk(self) -> JobDesk:
        numbers = iter(range(1, 1000))
        gate = make_gate()
        return JobDesk(
            settler=Settler(
                diemjobs=self.diemjobs,
                cache=self.cache,
                live=LiveReader(self.diemjobs.get, gate),
                gate=gate,
                timeout_seconds=1.0,
            ),
            cache=self.cache,
            is_watch_confirmed=self.is_watch_confirmed_in,
            now=lambda: NOW,
            make_run_id=lambda: RunId(f"api-{next(numbers)}"),
            max_waiting=self.max_waiting,
        )

    async def ask(self, action: Action, **fields: object) -> Reply:
        command = msgspec.structs.replace(Command(job_id="nightly", action=action), **fields)
        diemjob = self.cache.get(NIGHTLY)
        assert diemjob is not None
        return await self.desk.carry_out(command, diemjob, ENTRY)

    async def refuse(self, action: Action, **fields: object) -> Problem:
        with pytest.raises(Problem) as refusal:
            await self.ask(action, **fields)
        return refusal.value

    async def ask_and_wait(self, action: Action, **fields: object) -> "asyncio.Task[Reply]":
        """Ask, and return once the answer is being waited for."""
        asking = asyncio.create_task(self.ask(action, wait_seconds=LONG_SECONDS, **fields))
        while not self.cache.waiting_count:
            assert not asking.done(), asking.result()
            await asyncio.sleep(0)
        return asking


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.mark.parametrize("phase", [Phase.SUBMITTED, Phase.PENDING, Phase.RUNNING, Phase.STOPPING])
async def test_phase_that_passes_is_answered_without_asking_the_cluster(office: Office, phase: Phase) -> None:
    stored = office.store(make_diemjob_in(phase))

    assert await office.ask(Action.STATUS) == Reply(diemjob=stored)
    assert office.diemjobs.gets == []


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.STOPPED])
async def test_phase_that_lasts_is_answered_from_a_live_read(office: Office, phase: Phase) -> None:
    office.store(make_diemjob_in(phase))
    newer = office.diemjobs.store(make_diemjob_in(Phase.RUNNING, run_id="run-2"))

    assert await office.ask(Action.STATUS) == Reply(diemjob=newer)


async def test_nothing_is_answered_from_a_cache_that_lost_the_cluster(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))
    newer = office.diemjobs.store(make_diemjob_in(Phase.COMPLETED))
    office.is_watch_confirmed = False

    assert await office.ask(Action.STATUS) == Reply(diemjob=newer)


async def test_start_writes_state_run_and_record(office: Office) -> None:
    office.store(make_diemjob())

    reply = await office.ask(Action.START)

    spec = office.diemjobs.stored(NIGHTLY).spec
    assert (reply.message, reply.run_id) == ("job started", "api-1")
    assert spec.state is State.RUNNING
    assert spec.run is not None
    assert (spec.run.id, spec.run.requested_by) == ("api-1", ENTRY.requested_by)
    assert [(entry.id, entry.action) for entry in spec.requests] == [("api-1", "start")]


async def test_answer_after_a_write_is_not_older_than_the_write(office: Office) -> None:
    office.store(make_diemjob_in(Phase.COMPLETED))
    office.diemjobs.hold_watch()

    await office.ask(Action.START)
    reply = await office.ask(Action.STATUS)

    assert reply.diemjob.spec.run is not None
    assert reply.diemjob.spec.run.id == "api-1"


@pytest.mark.parametrize("phase", [Phase.SUBMITTED, Phase.PENDING, Phase.RUNNING])
async def test_already_running_is_said_after_a_live_read(office: Office, phase: Phase) -> None:
    office.store(make_diemjob_in(phase))

    reply = await office.ask(Action.START)

    assert (reply.message, reply.run_id) == ("job already running", "run-1")
    assert office.diemjobs.gets == [NIGHTLY]
    assert office.diemjobs.patches == []


async def test_start_of_a_run_that_ended_unnoticed_starts_a_new_one(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))
    office.diemjobs.store(make_diemjob_in(Phase.COMPLETED))

    assert (await office.ask(Action.START)).message == "job started"


async def test_of_many_starts_at_once_one_starts(office: Office) -> None:
    office.store(make_diemjob())

    replies = await asyncio.gather(*(office.ask(Action.START, idempotency_key=str(number)) for number in range(20)))

    assert sorted(str(reply.message) for reply in replies) == ["job already running"] * 19 + ["job started"]
    assert len(office.diemjobs.patches) == 1


async def test_start_with_an_idempotency_key_is_repeated_without_effect(office: Office) -> None:
    office.store(make_diemjob())

    first = await office.ask(Action.START, idempotency_key="order 66")
    office.operate(Phase.COMPLETED)
    second = await office.ask(Action.START, idempotency_key="order 66")

    assert (
        (first.message, first.run_id)
        == (second.message, second.run_id)
        == (
            "job started",
            derive_run_id(ENTRY, "order 66"),
        )
    )
    assert len(office.diemjobs.patches) == 1


async def test_idempotency_key_for_another_start_is_refused(office: Office) -> None:
    office.store(make_diemjob(parameters=(ParameterDeclaration(name="REGION"),)))
    await office.ask(Action.START, idempotency_key="order 66")

    problem = await office.refuse(Action.START, idempotency_key="order 66", parameters={"REGION": "eu"})

    assert problem.kind is ProblemKind.REUSED_IDEMPOTENCY_KEY


async def test_start_whose_answer_got_lost_is_recognised_as_done(office: Office) -> None:
    office.store(make_diemjob())
    office.diemjobs.late_failures.append(OutcomeUnknown("no answer"))

    reply = await office.ask(Action.START)

    assert (reply.message, reply.run_id) == ("job started", "api-1")
    assert len(office.diemjobs.patches) == 1


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        pytest.param((), {"REGION": "eu"}, "parameter 'REGION' is not declared in spec.parameters", id="undeclared"),
        pytest.param(
            (ParameterDeclaration(name="REGION", required=True),), {}, "parameter 'REGION' is required", id="missing"
        ),
    ],
)
async def test_start_with_wrong_parameters_is_refused_before_anything_is_written(
    office: Office, declared: tuple[ParameterDeclaration, ...], given: dict[str, str], expected: str
) -> None:
    office.store(make_diemjob(parameters=declared))

    problem = await office.refuse(Action.START, parameters=given)

    assert (problem.kind, problem.message) == (ProblemKind.INVALID_PARAMETERS, expected)
    assert office.diemjobs.patches == []


async def test_parameters_are_judged_by_the_declarations_of_now(office: Office) -> None:
    office.store(make_diemjob())
    office.diemjobs.store(make_diemjob(parameters=(ParameterDeclaration(name="REGION"),)))

    assert (await office.ask(Action.START, parameters={"REGION": "eu"})).message == "job started"


async def test_stop_writes_state_and_the_run_that_it_stops(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))

    reply = await office.ask(Action.STOP)

    spec = office.diemjobs.stored(NIGHTLY).spec
    assert (reply.message, reply.run_id, spec.state) == ("job stopped", "run-1", State.STOPPED)
    assert spec.run is not None
    assert spec.run.stop is not None
    assert spec.run.stop.requested_by == ENTRY.requested_by


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.STOPPED])
async def test_already_stopped_is_said_after_a_live_read(office: Office, phase: Phase) -> None:
    office.store(make_diemjob_in(phase))

    assert (await office.ask(Action.STOP)).message == "job already stopped"
    assert NIGHTLY in office.diemjobs.gets


async def test_late_stop_does_not_end_the_next_run(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING, run_id="run-2"))

    problem = await office.refuse(Action.STOP, expected_run="run-1")

    assert problem.kind is ProblemKind.OTHER_RUN
    assert office.diemjobs.patches == []


@pytest.mark.parametrize("expected_run", ["run-1", "1"])
async def test_stop_of_the_expected_run_ends_it(office: Office, expected_run: str) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))

    assert (await office.ask(Action.STOP, expected_run=expected_run)).message == "job stopped"


async def test_lost_race_is_a_conflict(office: Office) -> None:
    office.store(make_diemjob())
    office.diemjobs.failures.extend([Conflict("modified"), None] * 5)

    assert (await office.refuse(Action.START)).kind is ProblemKind.LOST_RACE


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING, Phase.FAILED])
async def test_waiting_start_is_answered_when_the_run_is_no_longer_submitted(office: Office, phase: Phase) -> None:
    office.store(make_diemjob())
    asking = await office.ask_and_wait(Action.START)
    office.operate(Phase.SUBMITTED)
    await asyncio.sleep(0)
    assert not asking.done()

    office.operate(phase)

    reply = await asyncio.wait_for(asking, 1)
    assert (reply.message, reply.diemjob.status.phase) == ("job started", phase)


async def test_waiting_stop_is_answered_when_the_run_is_over(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))
    asking = await office.ask_and_wait(Action.STOP)
    office.operate(Phase.STOPPING)
    await asyncio.sleep(0)
    assert not asking.done()

    office.operate(Phase.STOPPED)

    reply = await asyncio.wait_for(asking, 1)
    assert (reply.message, reply.diemjob.status.phase) == ("job stopped", Phase.STOPPED)


async def test_end_that_was_waited_for_is_confirmed_by_a_live_read(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))
    asking = await office.ask_and_wait(Action.STOP)

    office.operate(Phase.STOPPED)

    await asyncio.wait_for(asking, 1)
    assert office.diemjobs.gets == [NIGHTLY]


async def test_command_that_was_carried_out_is_acknowledged_although_its_effect_cannot_be_read(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))
    asking = await office.ask_and_wait(Action.STOP)
    office.diemjobs.failures.append(OutcomeUnknown("no answer"))

    office.operate(Phase.STOPPED)

    reply = await asyncio.wait_for(asking, 1)
    assert (reply.message, reply.diemjob.spec.state) == ("job stopped", State.STOPPED)


async def test_status_that_cannot_be_read_is_no_answer(office: Office) -> None:
    office.store(make_diemjob_in(Phase.COMPLETED))
    office.diemjobs.failures.append(OutcomeUnknown("no answer"))

    with pytest.raises(OutcomeUnknown):
        await office.ask(Action.STATUS)


async def test_job_that_is_gone_when_the_effect_is_read_is_unknown(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))
    asking = await office.ask_and_wait(Action.STOP)
    office.diemjobs.failures.append(NotFound("gone"))

    office.operate(Phase.STOPPED)

    with pytest.raises(UnknownJob):
        await asyncio.wait_for(asking, 1)


async def test_answer_to_a_write_needs_no_live_read_although_it_may_last(office: Office) -> None:
    office.store(make_diemjob())
    await office.ask(Action.START)

    reply = await office.ask(Action.STOP)

    assert displayed_phase(reply.diemjob) is Phase.STOPPING
    assert office.diemjobs.gets == []


async def test_waiting_status_is_answered_when_the_run_is_over(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))
    asking = await office.ask_and_wait(Action.STATUS)

    office.operate(Phase.COMPLETED)

    assert (await asyncio.wait_for(asking, 1)).diemjob.status.phase is Phase.COMPLETED


async def test_waiting_asks_the_cluster_nothing(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))

    reply = await office.ask(Action.STATUS, wait_seconds=0.01)

    assert reply.diemjob.status.phase is Phase.RUNNING
    assert office.diemjobs.gets == []


async def test_job_deleted_while_its_status_is_waited_for_is_unknown(office: Office) -> None:
    office.store(make_diemjob_in(Phase.RUNNING))
    asking = await office.ask_and_wait(Action.STATUS)
    office.diemjobs.remove(NIGHTLY)

    office.cache.remove(NIGHTLY, resource_version=1000)

    with pytest.raises(UnknownJob):
        await asyncio.wait_for(asking, 1)


async def test_nobody_waits_when_too_many_wait(office: Office) -> None:
    office.max_waiting = 1
    office.store(make_diemjob_in(Phase.RUNNING))
    first = await office.ask_and_wait(Action.STATUS)

    await asyncio.wait_for(office.ask(Action.STATUS, wait_seconds=LONG_SECONDS), 1)

    office.cache.close()
    await asyncio.wait_for(first, 1)


async def test_accepted_command_is_logged_with_who_asked(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "diem_operator.api")
    office.store(make_diemjob())

    await office.ask(Action.START)
    await office.ask(Action.STOP)

    assert [record.getMessage() for record in caplog.records] == ["Accepted a start", "Accepted a stop"]
    names = ("namespace", "diemjob", "run", "requested_by")
    assert {name: vars(caplog.records[0])[name] for name in names} == {
        "namespace": "team-a",
        "diemjob": "nightly",
        "run": "api-1",
        "requested_by": ENTRY.requested_by,
    }


async def test_command_without_effect_is_not_logged(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "diem_operator.api")
    office.store(make_diemjob_in(Phase.RUNNING))

    await office.ask(Action.START)
    await office.ask(Action.STATUS)

    assert caplog.records == []


@pytest.mark.parametrize("is_effective", [has_begun, has_ended])
def test_nothing_is_waited_for_without_a_job_or_a_run(
    is_effective: Callable[[DiemJob | None, RunId | None], bool],
) -> None:
    assert is_effective(None, RunId("run-1"))
    assert is_effective(make_diemjob(), None)
    assert not is_effective(make_diemjob(status=DiemJobStatus()), RunId("run-1"))


def test_run_that_was_superseded_has_begun_and_ended() -> None:
    diemjob = make_diemjob_in(Phase.SUBMITTED, run_id="run-2")
    status = msgspec.structs.replace(
        diemjob.status, recent_run_ids=make_diemjob_in(Phase.STOPPED).status.recent_run_ids
    )
    superseded = msgspec.structs.replace(diemjob, status=status)

    assert has_begun(superseded, RunId("run-1"))
    assert has_ended(superseded, RunId("run-1"))
