from collections.abc import Callable

import pytest

from diem_operator.api.cache import JobCache
from diem_operator.api.errors import Problem, ProblemKind, UnknownJob
from diem_operator.api.live import LiveReader
from diem_operator.api.settling import MAX_TRIES, Attempt, BadParameters, Decision, Settler
from diem_operator.cluster.errors import Conflict, Forbidden, NotFound, OutcomeUnknown
from diem_operator.model.diemjob import DiemJob, State
from diem_operator.model.names import RunId
from diem_operator.planning.commands import NoChange, Refusal, RefusalKind, Write
from tests.unit.api.fake_cluster import FakeCluster, FakeEndpoint
from tests.unit.api.objects import SUBJECT, make_diemjob, make_gate

RUN_ID = RunId("run-1")


def build_settler(diemjobs: FakeEndpoint[DiemJob], cache: JobCache | None = None) -> Settler:
    gate = make_gate()
    return Settler(
        diemjobs=diemjobs,
        cache=JobCache() if cache is None else cache,
        live=LiveReader(diemjobs.get, gate),
        gate=gate,
        timeout_seconds=1.0,
    )


def write_on(attempt: Attempt) -> Write:
    guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": attempt.diemjob.metadata.resource_version}
    change = {"op": "add", "path": "/spec/state", "value": "running"}
    return Write(operations=(guard, change), message="job started", run_id=RUN_ID)


class Recorder:
    """Decides the same each time, and remembers on what."""

    def __init__(self, decision: Decision | Callable[[Attempt], Decision]) -> None:
        self._decision = decision
        self.attempts: list[Attempt] = []

    def __call__(self, attempt: Attempt) -> Decision:
        self.attempts.append(attempt)
        return self._decision(attempt) if callable(self._decision) else self._decision


@pytest.fixture
def diemjobs() -> FakeEndpoint[DiemJob]:
    return FakeCluster().diemjobs


async def test_write_on_the_cached_version_costs_no_read(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())

    settled = await build_settler(diemjobs).settle(stored, write_on, subject=SUBJECT)

    assert settled.diemjob == diemjobs.stored(stored.key)
    assert settled.diemjob.spec.state is State.RUNNING
    assert (settled.message, settled.run_id, settled.is_written, settled.is_live) == ("job started", RUN_ID, True, True)
    assert diemjobs.gets == []


async def test_own_write_is_in_the_cache_before_the_watch_tells_it(diemjobs: FakeEndpoint[DiemJob]) -> None:
    cache = JobCache()
    stored = diemjobs.store(make_diemjob())

    settled = await build_settler(diemjobs, cache).settle(stored, write_on, subject=SUBJECT)

    assert cache.get(stored.key) == settled.diemjob


async def test_conflict_is_read_and_decided_again(diemjobs: FakeEndpoint[DiemJob]) -> None:
    old = diemjobs.store(make_diemjob())
    new = diemjobs.store(make_diemjob())
    decide = Recorder(write_on)

    settled = await build_settler(diemjobs).settle(old, decide, subject=SUBJECT)

    assert decide.attempts == [Attempt(diemjob=old), Attempt(diemjob=new, is_live=True)]
    assert settled.is_written


async def test_race_that_is_lost_each_time_is_given_up(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.failures.extend([Conflict("modified"), None] * MAX_TRIES)

    with pytest.raises(Problem) as refusal:
        await build_settler(diemjobs).settle(stored, write_on, subject=SUBJECT)

    assert refusal.value.kind is ProblemKind.LOST_RACE
    assert diemjobs.patches == []


async def test_attempt_after_an_unknown_outcome_knows_that_it_may_see_itself(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.late_failures.append(OutcomeUnknown("no answer"))

    def decide_once(attempt: Attempt) -> Decision:
        if attempt.may_be_stored:
            return NoChange(message="job started", run_id=RUN_ID, needs_live=False)
        return write_on(attempt)

    decide = Recorder(decide_once)
    settled = await build_settler(diemjobs).settle(stored, decide, subject=SUBJECT)

    assert decide.attempts[1] == Attempt(diemjob=diemjobs.stored(stored.key), is_live=True, may_be_stored=True)
    assert (settled.message, settled.is_written) == ("job started", False)
    assert len(diemjobs.patches) == 1


async def test_unknown_outcome_is_remembered_through_a_later_conflict(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.failures.extend([OutcomeUnknown("no answer"), None, Conflict("modified"), None])
    decide = Recorder(write_on)

    await build_settler(diemjobs).settle(stored, decide, subject=SUBJECT)

    assert [attempt.may_be_stored for attempt in decide.attempts] == [False, True, True]


async def test_outcome_that_stays_unknown_is_told_as_such(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.failures.extend([OutcomeUnknown("no answer"), None] * MAX_TRIES)

    with pytest.raises(Problem) as refusal:
        await build_settler(diemjobs).settle(stored, write_on, subject=SUBJECT)

    assert refusal.value.kind is ProblemKind.CLUSTER_UNAVAILABLE


async def test_command_that_may_be_stored_is_never_said_not_to_be(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    too_many = Problem(ProblemKind.TOO_MANY_REQUESTS, "the commands of this key took too long")
    diemjobs.failures.extend([OutcomeUnknown("no answer"), too_many])

    with pytest.raises(Problem, match="does not say whether the command was carried out"):
        await build_settler(diemjobs).settle(stored, write_on, subject=SUBJECT)


async def test_second_write_that_is_refused_says_nothing_of_the_first(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.failures.extend([OutcomeUnknown("no answer"), None, Forbidden("no")])

    with pytest.raises(Problem, match="does not say whether the command was carried out"):
        await build_settler(diemjobs).settle(stored, write_on, subject=SUBJECT)


async def test_command_that_is_not_stored_may_be_told_to_wait(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.failures.extend([Conflict("changed"), Problem(ProblemKind.TOO_MANY_REQUESTS, "wait")])

    with pytest.raises(Problem, match="wait"):
        await build_settler(diemjobs).settle(stored, write_on, subject=SUBJECT)


@pytest.mark.parametrize(
    ("decision", "kind"),
    [
        (Refusal(kind=RefusalKind.BEING_DELETED, message="told"), ProblemKind.BEING_DELETED),
        (Refusal(kind=RefusalKind.TOO_MANY_REQUESTS, message="told"), ProblemKind.TOO_MANY_REQUESTS),
        (Refusal(kind=RefusalKind.REUSED_IDEMPOTENCY_KEY, message="told"), ProblemKind.REUSED_IDEMPOTENCY_KEY),
        (Refusal(kind=RefusalKind.OTHER_RUN_EXPECTED, message="told"), ProblemKind.OTHER_RUN),
        (BadParameters(problems=("told",)), ProblemKind.INVALID_PARAMETERS),
    ],
)
async def test_nobody_is_refused_because_of_an_old_version(
    diemjobs: FakeEndpoint[DiemJob], decision: Decision, kind: ProblemKind
) -> None:
    old = diemjobs.store(make_diemjob())
    new = diemjobs.store(make_diemjob())
    decide = Recorder(decision)

    with pytest.raises(Problem) as refusal:
        await build_settler(diemjobs).settle(old, decide, subject=SUBJECT)

    assert (refusal.value.kind, refusal.value.message) == (kind, "told")
    assert [attempt.diemjob for attempt in decide.attempts] == [old, new]


async def test_every_problem_with_the_parameters_is_told(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())

    with pytest.raises(Problem) as refusal:
        await build_settler(diemjobs).settle(stored, Recorder(BadParameters(problems=("one", "two"))), subject=SUBJECT)

    assert refusal.value.message == "one; two"
    assert refusal.value.details == {"problems": ("one", "two")}


async def test_nothing_to_do_is_confirmed_by_a_live_read(diemjobs: FakeEndpoint[DiemJob]) -> None:
    old = diemjobs.store(make_diemjob())
    new = diemjobs.store(make_diemjob())

    settled = await build_settler(diemjobs).settle(
        old, Recorder(NoChange(message="job already stopped", run_id=None)), subject=SUBJECT
    )

    assert (settled.diemjob, settled.is_live, settled.is_written) == (new, True, False)


async def test_replay_is_answered_from_the_cache(diemjobs: FakeEndpoint[DiemJob]) -> None:
    old = diemjobs.store(make_diemjob())

    settled = await build_settler(diemjobs).settle(
        old, Recorder(NoChange(message="job started", run_id=RUN_ID, needs_live=False)), subject=SUBJECT
    )

    assert (settled.diemjob, settled.is_live) == (old, False)
    assert diemjobs.gets == []


async def test_live_read_is_remembered(diemjobs: FakeEndpoint[DiemJob]) -> None:
    cache = JobCache()
    stored = diemjobs.store(make_diemjob())

    await build_settler(diemjobs, cache).read(stored.key, subject=SUBJECT)

    assert cache.get(stored.key) == stored


async def test_diemjob_that_is_gone_is_an_unknown_job(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.remove(stored.key)

    with pytest.raises(UnknownJob):
        await build_settler(diemjobs).settle(
            stored, Recorder(NoChange(message="job already stopped", run_id=None)), subject=SUBJECT
        )


async def test_refused_write_is_not_tried_again(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.failures.append(Forbidden("no"))

    with pytest.raises(Forbidden):
        await build_settler(diemjobs).settle(stored, write_on, subject=SUBJECT)


async def test_diemjob_that_is_gone_by_the_time_of_the_write_is_an_unknown_job(diemjobs: FakeEndpoint[DiemJob]) -> None:
    stored = diemjobs.store(make_diemjob())
    diemjobs.failures.append(NotFound("not found"))

    with pytest.raises(UnknownJob):
        await build_settler(diemjobs).settle(stored, write_on, subject=SUBJECT)
