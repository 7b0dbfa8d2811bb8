import asyncio

import pytest

from diem_operator.api.live import LiveReader
from diem_operator.cluster.errors import NotFound, OutcomeUnknown
from tests.unit.api.fake_cluster import FakeCluster
from tests.unit.api.objects import NIGHTLY, make_diemjob


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_callers_that_ask_together_share_one_read() -> None:
    diemjobs = FakeCluster().diemjobs
    diemjobs.store(make_diemjob())
    reader = LiveReader(diemjobs.get)

    answers = await asyncio.gather(*(reader.read(NIGHTLY) for _ in range(50)))

    assert len(diemjobs.gets) == 1
    assert all(answer is answers[0] for answer in answers)


async def test_read_that_began_before_the_question_does_not_answer_it() -> None:
    diemjobs = FakeCluster().diemjobs
    diemjobs.store(make_diemjob())
    reader = LiveReader(diemjobs.get)
    diemjobs.gate.clear()
    early = asyncio.create_task(reader.read(NIGHTLY))
    await settle()
    newer = diemjobs.store(make_diemjob())
    late = [asyncio.create_task(reader.read(NIGHTLY)) for _ in range(50)]
    await settle()

    diemjobs.gate.set()

    assert (await early) is not newer
    assert all(answer is newer for answer in await asyncio.gather(*late))
    assert len(diemjobs.gets) == 2


async def test_diemjobs_are_read_independently_of_each_other() -> None:
    diemjobs = FakeCluster().diemjobs
    first, second = diemjobs.store(make_diemjob("a")), diemjobs.store(make_diemjob("b"))
    reader = LiveReader(diemjobs.get)

    one, two = await asyncio.gather(reader.read(first.key), reader.read(second.key))

    assert (one, two) == (first, second)


async def test_error_is_told_to_all_who_share_the_read_and_to_nobody_later() -> None:
    diemjobs = FakeCluster().diemjobs
    stored = diemjobs.store(make_diemjob())
    reader = LiveReader(diemjobs.get)
    diemjobs.failures.append(OutcomeUnknown("no answer"))

    errors = await asyncio.gather(*(reader.read(NIGHTLY) for _ in range(3)), return_exceptions=True)

    assert [type(error) for error in errors] == [OutcomeUnknown] * 3
    assert await reader.read(NIGHTLY) is stored


async def test_caller_that_gives_up_takes_the_read_from_nobody() -> None:
    diemjobs = FakeCluster().diemjobs
    stored = diemjobs.store(make_diemjob())
    reader = LiveReader(diemjobs.get)
    diemjobs.gate.clear()
    impatient, patient = asyncio.create_task(reader.read(NIGHTLY)), asyncio.create_task(reader.read(NIGHTLY))
    await settle()

    impatient.cancel()
    diemjobs.gate.set()

    assert await patient is stored


async def test_error_that_nobody_waits_for_any_more_is_not_reported_as_overlooked() -> None:
    diemjobs = FakeCluster().diemjobs
    reader = LiveReader(diemjobs.get)
    diemjobs.gate.clear()
    impatient = asyncio.create_task(reader.read(NIGHTLY))
    await settle()
    impatient.cancel()
    diemjobs.gate.set()
    await settle()

    with pytest.raises(NotFound):
        await reader.read(NIGHTLY)
