"""What the leader remembers of its POSTs, when it may repeat one, and when it forgets."""

import random
from dataclasses import replace

import msgspec
import pytest

from diem_operator.model.diemjob import DiemJobStatus, Phase, RunStatus
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.names import RunId, Uid
from diem_operator.planning.rules import StartRequest
from diem_operator.planning.statuses import with_run
from diem_operator.planning.world import REQUEST_TIMEOUT_SECONDS, Attempt, Inspection, PostOutcome, Straggler
from diem_operator.reconciler.memory import MAX_RETRY_SECONDS, MAX_SHORT_RETRY_SECONDS, Memory
from diem_operator.reconciler.posting import PostResult
from tests.builders import NOW, UID, make_job

KEY = ObjectKey(namespace="team-a", name="nightly-load")
OTHER_UID = Uid("other")


def make_memory() -> Memory:
    return Memory(jitter=random.Random(1))


def make_result(
    outcome: PostOutcome, *, run_id: str = "r1", retry_after_seconds: float = 0, is_over_soon: bool = False
) -> PostResult:
    attempt = Attempt(request=StartRequest(id=RunId(run_id)), manifest={}, outcome=outcome)
    return PostResult(
        attempt,
        retry_after_seconds,
        has_made_job=outcome is PostOutcome.CREATED,
        is_unanswered=outcome is PostOutcome.UNKNOWN,
        is_over_soon=is_over_soon,
    )


def make_status(run_id: str, phase: Phase) -> DiemJobStatus:
    return with_run(DiemJobStatus(), RunStatus(number=1, id=RunId(run_id), phase=phase))


def note_failures(memory: Memory, count: int, *, is_over_soon: bool = False) -> list[float]:
    """Let a POST fail again and again; return the delays that each failure led to."""
    delays = []
    for _ in range(count):
        memory.note_post(KEY, UID, make_result(PostOutcome.DEFERRED, is_over_soon=is_over_soon), now_seconds=10)
        attempt = memory.find(KEY, UID).find_attempt(now_seconds=10)
        assert attempt is not None
        delays.append(attempt.retry_in_seconds)
    return delays


def test_retries_become_rarer_and_never_stop() -> None:
    delays = note_failures(make_memory(), 12)

    assert delays[0] < 0.1
    assert delays[:6] == sorted(delays[:6])
    assert all(MAX_RETRY_SECONDS * 0.8 <= delay <= MAX_RETRY_SECONDS * 1.2 for delay in delays[-4:])
    assert len(set(delays)) == len(delays), "no jitter"


def test_what_is_over_soon_is_tried_again_soon_however_often_it_was() -> None:
    delays = note_failures(make_memory(), 12, is_over_soon=True)

    assert delays[0] < 0.1
    assert all(MAX_SHORT_RETRY_SECONDS * 0.8 <= delay <= MAX_SHORT_RETRY_SECONDS * 1.2 for delay in delays[-4:])


def test_time_until_the_retry_passes() -> None:
    memory = make_memory()
    memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN, retry_after_seconds=8), now_seconds=10)

    left = [memory.find(KEY, UID).find_attempt(now_seconds=now) for now in (10, 15, 18, 30)]

    assert [attempt and attempt.retry_in_seconds for attempt in left] == [8, 3, 0, 0]


def test_api_server_that_asks_for_a_longer_pause_gets_it() -> None:
    memory = make_memory()

    memory.note_post(KEY, UID, make_result(PostOutcome.DEFERRED, retry_after_seconds=33), now_seconds=0)

    attempt = memory.find(KEY, UID).find_attempt(now_seconds=0)
    assert attempt is not None
    assert attempt.retry_in_seconds == 33


def test_pause_that_the_api_server_asks_for_has_a_limit() -> None:
    memory = make_memory()

    memory.note_post(KEY, UID, make_result(PostOutcome.DEFERRED, retry_after_seconds=86400), now_seconds=0)

    attempt = memory.find(KEY, UID).find_attempt(now_seconds=0)
    assert attempt is not None
    assert attempt.retry_in_seconds == MAX_RETRY_SECONDS


def test_failures_are_counted_per_run() -> None:
    memory = make_memory()
    note_failures(memory, 5)

    memory.note_post(KEY, UID, make_result(PostOutcome.DEFERRED, run_id="r2"), now_seconds=0)

    attempt = memory.find(KEY, UID).attempt
    assert attempt is not None
    assert (attempt.request.id, attempt.failures) == ("r2", 1)


def test_success_needs_no_retry() -> None:
    memory = make_memory()
    note_failures(memory, 3)

    memory.note_post(KEY, UID, make_result(PostOutcome.CREATED), now_seconds=10)

    attempt = memory.find(KEY, UID).find_attempt(now_seconds=10)
    assert attempt is not None
    assert (attempt.failures, attempt.retry_in_seconds) == (0, 0)


def test_another_diemjob_of_the_same_name_starts_without_memories() -> None:
    memory = make_memory()
    note_failures(memory, 1)

    assert memory.find(KEY, OTHER_UID).attempt is None

    memory.note_inspection(KEY, OTHER_UID, Inspection(job_uid="j", at=NOW))
    assert memory.find(KEY, UID).attempt is None


@pytest.mark.parametrize(
    ("status", "is_kept"),
    [
        pytest.param(DiemJobStatus(), True, id="status knows nothing of it"),
        pytest.param(make_status("r0", Phase.RUNNING), True, id="status knows another run"),
        pytest.param(make_status("r1", Phase.SUBMITTED), True, id="shown as waiting"),
        pytest.param(make_status("r1", Phase.PENDING), False, id="recorded with its Job"),
        pytest.param(make_status("r1", Phase.FAILED), False, id="recorded as over"),
        pytest.param(
            msgspec.structs.replace(
                make_status("r1", Phase.STOPPED), run=RunStatus(number=2, id=RunId("r2"), phase=Phase.PENDING)
            ),
            False,
            id="recorded, and another run since",
        ),
    ],
)
def test_outcome_is_kept_until_status_tells_it(status: DiemJobStatus, is_kept: bool) -> None:
    memory = make_memory()
    memory.note_post(KEY, UID, make_result(PostOutcome.CREATED), now_seconds=0)

    memory.settle(KEY, UID, status)

    assert (memory.find(KEY, UID).attempt is not None) is is_kept


def test_status_of_another_uid_settles_nothing() -> None:
    memory = make_memory()
    memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN), now_seconds=0)

    memory.settle(KEY, OTHER_UID, make_status("r1", Phase.COMPLETED))

    assert memory.find(KEY, UID).attempt is not None


@pytest.mark.parametrize(
    ("phase", "is_kept"),
    [(Phase.PENDING, True), (Phase.STOPPING, True), (Phase.RUNNING, False), (Phase.COMPLETED, False)],
)
def test_look_at_the_pods_is_forgotten_once_they_need_none(phase: Phase, is_kept: bool) -> None:
    memory = make_memory()
    memory.note_inspection(KEY, UID, Inspection(job_uid="j", at=NOW))

    memory.settle(KEY, UID, make_status("r1", phase))

    assert (memory.find(KEY, UID).inspection is not None) is is_kept


def arrives_for_seconds(memory: Memory, *, now_seconds: float = 0) -> float | None:
    straggler = memory.find_straggler(KEY, now_seconds=now_seconds)
    return None if straggler is None else straggler.arrives_for_seconds


@pytest.mark.parametrize("outcome", PostOutcome)
def test_only_a_post_of_unknown_outcome_may_arrive_later_and_outlives_its_diemjob(outcome: PostOutcome) -> None:
    memory = make_memory()
    memory.note_post(KEY, UID, make_result(outcome), now_seconds=10)
    memory.forget(KEY)
    memory.note_post(KEY, OTHER_UID, make_result(PostOutcome.DEFERRED), now_seconds=11)

    straggler = memory.find_straggler(KEY, now_seconds=30)

    is_unknown = outcome is PostOutcome.UNKNOWN
    expected = Straggler(diemjob_uid=UID, run_id=RunId("r1"), arrives_for_seconds=REQUEST_TIMEOUT_SECONDS - 20)
    assert straggler == (expected if is_unknown else None)


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([PostOutcome.DEFERRED], id="refused"),
        pytest.param([PostOutcome.REJECTED], id="invalid by now"),
        pytest.param([PostOutcome.UNKNOWN, PostOutcome.CREATED], id="one of two made it"),
    ],
)
def test_answers_to_later_posts_do_not_tell_that_it_cannot_arrive(answers: list[PostOutcome]) -> None:
    memory = make_memory()
    for outcome in [PostOutcome.UNKNOWN, *answers]:
        memory.note_post(KEY, UID, make_result(outcome), now_seconds=0)
    memory.settle(KEY, UID, make_status("r1", Phase.COMPLETED))
    memory.note_jobs(KEY, [make_job("r0")])

    assert arrives_for_seconds(memory) == REQUEST_TIMEOUT_SECONDS


@pytest.mark.parametrize("has_made_job", [False, True])
def test_job_that_was_there_is_what_the_one_post_before_has_made(*, has_made_job: bool) -> None:
    """But a Job that the later post has made itself tells nothing of the one before."""
    memory = make_memory()
    memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN), now_seconds=0)
    created = replace(make_result(PostOutcome.CREATED), has_made_job=has_made_job)
    memory.note_post(KEY, UID, created, now_seconds=0)
    memory.note_jobs(KEY, [make_job("r1")])

    assert (arrives_for_seconds(memory) is not None) is has_made_job


@pytest.mark.parametrize(("posts", "is_settled"), [(1, True), (2, False)])
def test_job_that_is_seen_settles_the_one_post_for_it(posts: int, *, is_settled: bool) -> None:
    """Of two, the other may still arrive once that Job is gone."""
    memory = make_memory()
    for _ in range(posts):
        memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN), now_seconds=0)

    memory.note_jobs(KEY, [make_job("r2")])
    assert arrives_for_seconds(memory) is not None
    memory.note_jobs(KEY, [make_job("r1")])
    assert (arrives_for_seconds(memory) is None) is is_settled


def test_read_settles_nothing_while_a_post_may_still_arrive() -> None:
    memory = make_memory()
    memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN), now_seconds=0)
    memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN), now_seconds=5)

    memory.note_read(KEY, began_seconds=REQUEST_TIMEOUT_SECONDS + 4)
    assert arrives_for_seconds(memory, now_seconds=REQUEST_TIMEOUT_SECONDS + 4) == 1

    memory.note_read(KEY, began_seconds=REQUEST_TIMEOUT_SECONDS + 5)
    assert arrives_for_seconds(memory) is None


def test_post_without_an_answer_may_arrive_although_its_job_is_known() -> None:
    """A look showed the Job after the second one, too: it may be that of either."""
    memory = make_memory()
    memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN), now_seconds=0)
    found = replace(make_result(PostOutcome.CREATED), has_made_job=False, is_unanswered=True)
    memory.note_post(KEY, UID, found, now_seconds=5)
    memory.note_jobs(KEY, [make_job("r1")])

    assert arrives_for_seconds(memory, now_seconds=5) == REQUEST_TIMEOUT_SECONDS


def test_post_that_was_answered_does_not_arrive_later_although_a_look_failed() -> None:
    memory = make_memory()
    memory.note_post(KEY, UID, replace(make_result(PostOutcome.UNKNOWN), is_unanswered=False), now_seconds=0)

    assert arrives_for_seconds(memory) is None


def test_lists_of_everything_settle_what_cannot_arrive_any_more() -> None:
    memory = make_memory()
    late = ObjectKey(namespace="team-a", name="late")
    memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN), now_seconds=0)
    memory.note_post(late, OTHER_UID, make_result(PostOutcome.UNKNOWN), now_seconds=1)

    memory.note_lists(began_seconds=REQUEST_TIMEOUT_SECONDS)

    assert arrives_for_seconds(memory) is None
    assert memory.find_straggler(late, now_seconds=0) is not None


def test_forgotten_and_cleared_memories_are_gone() -> None:
    memory = make_memory()
    note_failures(memory, 1)
    memory.forget(KEY)
    assert memory.find(KEY, UID).attempt is None

    memory.note_post(KEY, UID, make_result(PostOutcome.UNKNOWN), now_seconds=0)
    memory.clear()
    assert memory.find(KEY, UID).attempt is None
    assert arrives_for_seconds(memory) is None
