"""At most one replica writes; one that dies or ends is replaced in time; one that cannot be sure stops."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from diem_operator.cluster.errors import Forbidden, RequestNotSent
from diem_operator.reconciler.leader import LeaderElector, LeaseTiming, StoreRewound, make_identity
from diem_operator.reconciler.leadership import NotLeader
from tests.unit.reconciler.fake_leases import LEASE_KEY, FakeLeases, LeaseConnection
from tests.unit.reconciler.virtual_time import in_virtual_time, seconds

TIMING = LeaseTiming()


async def allow() -> bool:
    return True


async def refuse() -> bool:
    return False


@dataclass
class Replica:
    """An elector with its own connection and its own clock, and a log of when it led."""

    name: str
    leases: FakeLeases
    may_lead: Callable[[], Awaitable[bool]] = allow
    log: list[tuple[str, float]] = field(default_factory=list)
    asleep_seconds: float = 0

    def __post_init__(self) -> None:
        self.connection = LeaseConnection(self.leases)
        self.elector = LeaderElector(
            self.connection,
            LEASE_KEY,
            identity=self.name,
            timing=TIMING,
            may_lead=self.may_lead,
            clock=lambda: seconds() + self.asleep_seconds,
        )
        self.task: asyncio.Task[None] | None = None

    async def on_started(self) -> None:
        self.log.append(("started", seconds()))

    async def on_stopped(self) -> None:
        self.log.append(("stopped", seconds()))

    def start(self) -> "Replica":
        self.task = asyncio.create_task(self.elector.run(self.on_started, self.on_stopped))
        return self

    async def leads(self) -> "Replica":
        async with asyncio.timeout(60):
            while not self.elector.is_leader:  # noqa: ASYNC110 - virtual time costs nothing
                await asyncio.sleep(0.01)
        return self

    async def end(self) -> None:
        """End in order."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def kill(self) -> None:
        """End without another word."""
        self.connection.errors.extend([RequestNotSent("killed")] * 1000)
        await self.end()
        self.connection.errors.clear()


@in_virtual_time
async def test_first_replica_creates_the_lease_and_leads_at_once() -> None:
    leases = FakeLeases()
    replica = Replica("a", leases).start()
    await replica.leads()
    assert seconds() < 0.1
    assert leases.spec.holder_identity == "a"
    assert (leases.spec.lease_duration_seconds, leases.spec.lease_transitions) == (6, 0)
    assert leases.spec.acquire_time == leases.spec.renew_time
    await replica.end()


@in_virtual_time
async def test_who_leads_knows_since_when() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    began = leader.elector.led_since
    assert leader.elector.has_looked.is_set()
    assert began <= leader.log[0][1]
    await asyncio.sleep(4)
    assert leader.elector.led_since == began, "a renewal begins nothing"
    standby = Replica("b", leases).start()
    await asyncio.wait_for(standby.elector.has_looked.wait(), 0.1)
    assert not standby.elector.is_leader
    ended = seconds()
    await leader.end()
    await standby.leads()
    assert standby.elector.led_since >= ended
    await standby.end()


@in_virtual_time
async def test_look_that_fails_is_over_too() -> None:
    replica = Replica("a", FakeLeases())
    replica.connection.errors.append(RequestNotSent("refused"))
    replica.start()
    await asyncio.wait_for(replica.elector.has_looked.wait(), 0.1)
    assert not replica.elector.is_leader
    await replica.end()


@in_virtual_time
async def test_standby_has_seen_a_leader_once_the_lease_is_renewed() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    standby = Replica("b", leases).start()
    assert (leader.elector.has_seen_leader, standby.elector.has_seen_leader) == (True, False)
    await asyncio.sleep(3)
    assert standby.elector.has_seen_leader
    assert not standby.elector.is_leader
    await asyncio.gather(leader.end(), standby.end())


@in_virtual_time
async def test_lease_that_nobody_renews_shows_no_leader() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    await leader.kill()
    standby = Replica("b", leases).start()
    await asyncio.sleep(5)
    seen_before = standby.elector.has_seen_leader
    await standby.leads()
    assert (seen_before, standby.elector.has_seen_leader) == (False, True)
    await standby.end()


@in_virtual_time
async def test_lease_that_was_given_up_shows_no_leader() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    standby = Replica("b", leases, may_lead=refuse).start()
    await asyncio.sleep(0.2)
    await leader.end()
    await asyncio.sleep(5)
    assert leases.spec.holder_identity == ""
    assert not standby.elector.has_seen_leader
    await standby.end()


@in_virtual_time
async def test_only_one_of_many_replicas_leads() -> None:
    leases = FakeLeases()
    replicas = [Replica(name, leases).start() for name in "abcde"]
    for _ in range(600):
        await asyncio.sleep(0.1)
        assert sum(replica.elector.is_leader for replica in replicas) <= 1
    assert len(set(leases.writes)) == 1
    await asyncio.gather(*(replica.end() for replica in replicas))


@in_virtual_time
async def test_leader_keeps_the_lease_and_rewrites_only_its_renewal() -> None:
    leases = FakeLeases()
    replica = await Replica("a", leases).start().leads()
    acquired = leases.spec.acquire_time
    await asyncio.sleep(300)
    assert [what for what, _ in replica.log] == ["started"]
    assert 150 < len(leases.writes) < 250
    assert (leases.spec.acquire_time, leases.spec.lease_transitions) == (acquired, 0)
    await replica.end()


@in_virtual_time
async def test_killed_leader_is_replaced_within_seven_seconds_and_not_before_its_lease_ends() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    standby = Replica("b", leases).start()
    await asyncio.sleep(20)
    await leader.kill()
    killed_at = seconds()
    await standby.leads()
    assert TIMING.duration_seconds - TIMING.renew_seconds - 0.1 < seconds() - killed_at < 7
    assert leases.spec.lease_transitions == 1
    await standby.end()


@in_virtual_time
async def test_leader_that_ends_in_order_is_replaced_within_a_second() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    standby = Replica("b", leases).start()
    await asyncio.sleep(20)
    await leader.end()
    ended_at = seconds()
    assert leases.spec.holder_identity == ""
    await standby.leads()
    assert seconds() - ended_at < 1
    await standby.end()


@in_virtual_time
async def test_lease_is_released_only_after_the_work_has_stopped() -> None:
    leases = FakeLeases()
    replica = Replica("a", leases)
    held: list[tuple[str, bool]] = []

    async def stop_slowly() -> None:
        await asyncio.sleep(12)
        held.append((leases.spec.holder_identity, replica.elector.is_leader))

    task = asyncio.create_task(replica.elector.run(replica.on_started, stop_slowly))
    await replica.leads()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert held == [("a", True)]
    assert leases.spec.holder_identity == ""


@in_virtual_time
async def test_leader_that_is_cut_off_stops_before_another_one_starts() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    standby = Replica("b", leases).start()
    await asyncio.sleep(20)
    leader.connection.is_cut = True
    await standby.leads()
    (_, started_at) = standby.log[0]
    assert leader.log[-1][0] == "stopped"
    assert started_at - leader.log[-1][1] >= TIMING.margin_seconds - 0.1
    leader.connection.is_cut = False
    await asyncio.sleep(20)
    assert not leader.elector.is_leader
    await asyncio.gather(leader.end(), standby.end())


@in_virtual_time
async def test_write_budget_ends_before_the_lease_can_be_taken_over() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    budget = leader.elector.write_budget_seconds()
    assert 4.5 < budget <= TIMING.duration_seconds - TIMING.margin_seconds
    leader.connection.is_cut = True
    await asyncio.sleep(3)
    assert leader.elector.write_budget_seconds() == pytest.approx(budget - 3)
    await asyncio.sleep(budget - 3)
    with pytest.raises(NotLeader, match="diem/diem-operator"):
        leader.elector.write_budget_seconds()
    await asyncio.sleep(0.05)
    assert [what for what, _ in leader.log] == ["started", "stopped"]
    await leader.end()


@in_virtual_time
async def test_write_budget_counts_from_when_the_renewal_was_sent() -> None:
    leader = Replica("a", FakeLeases())
    leader.connection.latency_seconds = 1
    await leader.start().leads()
    assert leader.elector.write_budget_seconds() < TIMING.duration_seconds - TIMING.margin_seconds - 0.9
    await leader.end()


@in_virtual_time
async def test_late_renewal_does_not_bring_back_what_a_writer_saw_lost() -> None:
    leader = await Replica("a", FakeLeases()).start().leads()
    leader.connection.latency_seconds = 4
    await asyncio.sleep(5.2)
    with pytest.raises(NotLeader):
        leader.elector.write_budget_seconds()
    await asyncio.sleep(1)
    assert [what for what, _ in leader.log] == ["started", "stopped"]
    await leader.end()


@in_virtual_time
async def test_lease_that_is_ours_by_an_unanswered_request_is_taken_without_waiting() -> None:
    leases = FakeLeases()
    replica = Replica("a", leases)
    replica.connection.loses_answers = True
    replica.start()
    await asyncio.sleep(1.5)
    assert leases.spec.holder_identity == "a"
    replica.connection.loses_answers = False
    await replica.leads()
    assert seconds() < 4
    await replica.end()


@in_virtual_time
async def test_standby_has_no_write_budget() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    standby = Replica("b", leases).start()
    await asyncio.sleep(5)
    with pytest.raises(NotLeader):
        standby.elector.write_budget_seconds()
    await asyncio.gather(leader.end(), standby.end())


@in_virtual_time
async def test_renewal_that_was_carried_out_without_an_answer_is_no_loss() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    await asyncio.sleep(5)
    leader.connection.loses_answers = True
    await asyncio.sleep(3.2)
    leader.connection.loses_answers = False
    await asyncio.sleep(30)
    assert leader.elector.is_leader
    assert [what for what, _ in leader.log] == ["started"]
    await leader.end()


@in_virtual_time
async def test_unanswered_renewal_does_not_lengthen_the_write_budget() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    writes = len(leases.writes)
    budget, at = leader.elector.write_budget_seconds(), seconds()
    leader.connection.loses_answers = True
    await asyncio.sleep(4)
    assert len(leases.writes) > writes
    assert leader.elector.write_budget_seconds() == pytest.approx(budget - (seconds() - at))
    await leader.end()


@in_virtual_time
async def test_lease_taken_by_force_ends_the_leading_at_once() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    leases.edit(holder_identity="intruder", lease_duration_seconds=60)
    await asyncio.sleep(TIMING.renew_seconds + TIMING.poll_seconds + 0.1)
    assert not leader.elector.is_leader
    assert [what for what, _ in leader.log] == ["started", "stopped"]
    await leader.end()
    assert leases.spec.holder_identity == "intruder"


@in_virtual_time
@pytest.mark.parametrize("holder", ["a", "somebody"])
async def test_renewal_that_arrives_late_does_not_keep_the_lease_from_being_released(holder: str) -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    between_reading_and_writing = 1.2 * leader.connection.latency_seconds
    write = partial(leases.edit, holder_identity=holder, renew_time="2026-01-01T00:00:00.000000Z")
    asyncio.get_running_loop().call_later(between_reading_and_writing, write)
    await leader.end()
    assert leases.spec.holder_identity == ("" if holder == "a" else holder)


@in_virtual_time
async def test_release_that_always_comes_too_late_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    for place in range(9):
        at = (1.2 + 1.5 * place) * leader.connection.latency_seconds
        asyncio.get_running_loop().call_later(at, partial(leases.edit, renew_time=f"2026-01-01T00:00:0{place}Z"))
    await leader.end()
    assert leases.spec.holder_identity == "a"
    assert "Could not release the lease, it will run out" in caplog.text


@in_virtual_time
async def test_lease_taken_by_force_is_not_released_for_the_other_one() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    leases.edit(holder_identity="intruder")
    await leader.end()
    assert leases.spec.holder_identity == "intruder"


@in_virtual_time
async def test_foreign_change_of_the_lease_is_no_loss() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    leases.edit()
    await asyncio.sleep(20)
    assert [what for what, _ in leader.log] == ["started"]
    await leader.end()


@in_virtual_time
async def test_deleted_lease_is_made_again() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    leases.stored = None
    await asyncio.sleep(5)
    assert leases.spec.holder_identity == "a"
    assert [what for what, _ in leader.log] == ["started"]
    await leader.end()


@in_virtual_time
@pytest.mark.parametrize("role", ["leader", "standby"])
async def test_data_store_that_went_back_in_time_ends_the_process(role: str) -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    replica = leader if role == "leader" else Replica("b", leases).start()
    assert leases.stored is not None
    snapshot = leases.stored
    await asyncio.sleep(5)

    leases.restore(snapshot)
    await asyncio.sleep(TIMING.renew_seconds + TIMING.poll_seconds + 0.1)

    assert replica.task is not None
    assert isinstance(replica.task.exception(), StoreRewound)


@in_virtual_time
async def test_times_that_others_wrote_are_not_believed() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    await leader.kill()
    leases.edit(renew_time="2000-01-01T00:00:00.000000Z")
    began = seconds()
    standby = await Replica("b", leases).start().leads()
    assert TIMING.duration_seconds <= seconds() - began < TIMING.duration_seconds + 0.1
    await standby.end()


@in_virtual_time
async def test_duration_that_the_holder_wrote_is_believed() -> None:
    leases = FakeLeases()
    leader = await Replica("a", leases).start().leads()
    await leader.kill()
    leases.edit(lease_duration_seconds=20)
    began = seconds()
    standby = await Replica("b", leases).start().leads()
    assert 20 <= seconds() - began < 21
    await standby.end()


@in_virtual_time
async def test_replica_that_may_not_lead_leaves_the_lease_to_others() -> None:
    leases = FakeLeases()
    is_allowed = False

    async def may_lead() -> bool:
        return is_allowed

    old = Replica("old", leases, may_lead).start()
    await asyncio.sleep(10)
    assert leases.stored is None
    is_allowed = True
    await old.leads()
    is_allowed = False
    await asyncio.sleep(30)
    assert old.elector.is_leader
    await old.end()


@in_virtual_time
async def test_question_whether_it_may_lead_can_fail() -> None:
    answers: list[bool | Exception] = [Forbidden("no CRD to be seen"), False, True]

    async def may_lead() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    replica = await Replica("a", FakeLeases(), may_lead).start().leads()
    assert answers == []
    await replica.end()


@in_virtual_time
async def test_work_runs_while_leading_and_is_cancelled_with_it() -> None:
    leases = FakeLeases()
    replica = Replica("a", leases)

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            replica.log.append(("work ended", seconds()))

    replica.task = asyncio.create_task(replica.elector.run(work, replica.on_stopped))
    await replica.leads()
    await asyncio.sleep(30)
    replica.connection.is_cut = True
    await asyncio.sleep(30)
    assert [what for what, _ in replica.log] == ["work ended", "stopped"]
    await replica.end()


@in_virtual_time
async def test_work_that_fails_ends_the_process_and_frees_the_lease() -> None:
    leases = FakeLeases()
    replica = Replica("a", leases)

    async def work() -> None:
        await asyncio.sleep(3)
        raise LookupError

    with pytest.raises(LookupError):
        await replica.elector.run(work, replica.on_stopped)
    assert [what for what, _ in replica.log] == ["stopped"]
    assert leases.spec.holder_identity == ""


@in_virtual_time
async def test_work_that_fails_because_the_lease_was_lost_ends_only_the_leading() -> None:
    replica = Replica("a", FakeLeases())

    async def work() -> None:
        while True:
            replica.elector.write_budget_seconds()
            await asyncio.sleep(0.01)

    replica.task = asyncio.create_task(replica.elector.run(work, replica.on_stopped))
    await replica.leads()
    replica.asleep_seconds += 3600
    await asyncio.sleep(0.5)
    assert [what for what, _ in replica.log] == ["stopped"]
    assert not replica.task.done()
    await replica.leads()
    await replica.end()


@in_virtual_time
async def test_trouble_is_logged_once_and_not_at_each_try(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    replica = Replica("a", FakeLeases())
    replica.connection.is_cut = True
    replica.start()
    await asyncio.sleep(60)
    assert [record.message for record in caplog.records] == ["Could not look at the lease or write it: no answer"]
    await replica.end()


def test_identities_differ_between_processes_of_one_pod() -> None:
    identities = {make_identity("diem-operator-0") for _ in range(100)}
    assert len(identities) == 100
    assert all(identity.startswith("diem-operator-0_") for identity in identities)
