import asyncio

import pytest

from diem_operator.api.errors import Problem, ProblemKind
from diem_operator.api.live import LiveReader
from diem_operator.cluster.errors import NotFound, OutcomeUnknown
from diem_operator.model.diemjob import DiemJob
from tests.unit.api.fake_cluster import FakeCluster
from tests.unit.api.objects import NIGHTLY, SUBJECT, make_diemjob, make_gate


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_callers_that_ask_together_share_one_read() -> None:
    diemjobs = FakeCluster().diemjobs
    diemjobs.store(make_diemjob())
    reader = LiveReader(diemjobs.get, make_gate())

    answers = await asyncio.gather(*(reader.read(NIGHTLY, subject=SUBJECT) for _ in range(50)))

    assert len(diemjobs.gets) == 1
    assert all(answer is answers[0] for answer in answers)


async def test_read_that_began_before_the_question_does_not_answer_it() -> None:
    diemjobs = FakeCluster().diemjobs
    diemjobs.store(make_diemjob())
    reader = LiveReader(diemjobs.get, make_gate())
    diemjobs.gate.clear()
    early = asyncio.create_task(reader.read(NIGHTLY, subject=SUBJECT))
    await settle()
    newer = diemjobs.store(make_diemjob())
    late = [asyncio.create_task(reader.read(NIGHTLY, subject=SUBJECT)) for _ in range(50)]
    await settle()

    diemjobs.gate.set()

    assert (await early) is not newer
    assert all(answer is newer for answer in await asyncio.gather(*late))
    assert len(diemjobs.gets) == 2


async def test_diemjobs_are_read_independently_of_each_other() -> None:
    diemjobs = FakeCluster().diemjobs
    first, second = diemjobs.store(make_diemjob("a")), diemjobs.store(make_diemjob("b"))
    reader = LiveReader(diemjobs.get, make_gate())

    one, two = await asyncio.gather(reader.read(first.key, subject=SUBJECT), reader.read(second.key, subject=SUBJECT))

    assert (one, two) == (first, second)


async def test_error_is_told_to_all_who_share_the_read_and_to_nobody_later() -> None:
    diemjobs = FakeCluster().diemjobs
    stored = diemjobs.store(make_diemjob())
    reader = LiveReader(diemjobs.get, make_gate())
    diemjobs.failures.append(OutcomeUnknown("no answer"))

    errors = await asyncio.gather(*(reader.read(NIGHTLY, subject=SUBJECT) for _ in range(3)), return_exceptions=True)

    assert [type(error) for error in errors] == [OutcomeUnknown] * 3
    assert await reader.read(NIGHTLY, subject=SUBJECT) is stored


async def test_caller_that_gives_up_takes_the_read_from_nobody() -> None:
    diemjobs = FakeCluster().diemjobs
    stored = diemjobs.store(make_diemjob())
    reader = LiveReader(diemjobs.get, make_gate())
    diemjobs.gate.clear()
    impatient, patient = (
        asyncio.create_task(reader.read(NIGHTLY, subject=SUBJECT)),
        asyncio.create_task(reader.read(NIGHTLY, subject=SUBJECT)),
    )
    await settle()

    impatient.cancel()
    diemjobs.gate.set()

    assert await patient is stored


async def test_error_that_nobody_waits_for_any_more_is_not_reported_as_overlooked() -> None:
    diemjobs = FakeCluster().diemjobs
    reader = LiveReader(diemjobs.get, make_gate())
    diemjobs.gate.clear()
    impatient = asyncio.create_task(reader.read(NIGHTLY, subject=SUBJECT))
    await settle()
    impatient.cancel()
    diemjobs.gate.set()
    await settle()

    with pytest.raises(NotFound):
        await reader.read(NIGHTLY, subject=SUBJECT)


class Narrow:
    """A reader behind a gate with one slot, which is taken."""

    def __init__(self) -> None:
        self.diemjobs = FakeCluster().diemjobs
        self.gate = make_gate(max_in_flight=1, max_queued=3, max_wait_seconds=30.0)
        self.reader = LiveReader(self.diemjobs.get, self.gate)
        assert self.gate.try_enter()

    def ask(self, name: str, *, subject: str) -> asyncio.Task[DiemJob]:
        return asyncio.create_task(self.reader.read(self.diemjobs.store(make_diemjob(name)).key, subject=subject))


async def test_read_waits_for_its_turn() -> None:
    narrow = Narrow()
    reading = narrow.ask("a", subject="one")
    await settle()
    assert narrow.diemjobs.gets == []

    narrow.gate.leave()

    assert (await reading).key.name == "a"
    assert narrow.gate.try_enter()


async def test_shared_read_has_the_first_turn_of_all_who_share_it() -> None:
    narrow = Narrow()
    flood = [narrow.ask(name, subject="flooding") for name in ("a", "b", "c")]
    await settle()
    shared = asyncio.create_task(narrow.reader.read(make_diemjob("c").key, subject="other"))
    await settle()

    narrow.gate.leave()
    answers = await asyncio.gather(*flood, shared)

    assert [key.name for key in narrow.diemjobs.gets] == ["a", "c", "b"]
    assert answers[2] is answers[3]
    assert narrow.gate.queued_count == 0
    assert narrow.gate.try_enter()


async def test_read_beyond_the_queue_is_refused_and_blocks_nothing_later() -> None:
    narrow = Narrow()
    reading = [narrow.ask(name, subject="flooding") for name in ("a", "b", "c")]
    await settle()
    with pytest.raises(Problem) as refusal:
        await narrow.ask("d", subject="flooding")
    assert refusal.value.kind is ProblemKind.TOO_MANY_REQUESTS

    narrow.gate.leave()
    await asyncio.gather(*reading)

    assert (await narrow.ask("d", subject="flooding")).key.name == "d"
