"""A signal is a good end, a task's end is a bad one, and everything is cleaned up in both."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from diem_operator.cli.lifecycle import (
    GARBAGE_THRESHOLD,
    SIGNALS,
    StopSignal,
    TaskEnded,
    background,
    end_leftover_tasks,
    run_for_ever,
    run_process,
    run_until_signal,
)


@pytest.fixture(autouse=True)
async def signals_as_before() -> AsyncIterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, handler)


@pytest.fixture
def garbage_collection_as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.parametrize("number", SIGNALS)
async def test_signal_ends_the_work_after_its_clean_up(number: signal.Signals) -> None:
    said: list[str] = []

    async def work(_: StopSignal) -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0)
            said.append("goodbye")

    await run_until_signal(work)
    assert said == ["goodbye"]


async def test_second_signal_is_not_ours() -> None:
    async def work(stop: StopSignal) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(5)
        finally:
            stop.listen()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    await run_until_signal(work)


async def test_signals_can_be_taken_back() -> None:
    async def work(stop: StopSignal) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, pytest.fail, "the thief's handler was called")
        stop.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(5)

    await run_until_signal(work)


async def test_cancellation_without_a_signal_is_passed_on() -> None:
    async def work(_: StopSignal) -> None:
        await asyncio.sleep(5)

    task = asyncio.create_task(run_until_signal(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_error_of_the_work_is_passed_on() -> None:
    async def work(_: StopSignal) -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await run_until_signal(work)


async def test_task_that_fails_ends_the_process_and_is_named() -> None:
    async def fail() -> None:
        raise ValueError("wrong")

    async with background("first", asyncio.sleep(5)) as first, background("second", fail()) as second:
        with pytest.raises(TaskEnded, match="The second ended") as caught:
            await run_for_ever(first, second)
    assert isinstance(caught.value.__cause__, ValueError)
    assert first.cancelled()


async def test_task_that_returns_ends_the_process_too() -> None:
    async with background("only", asyncio.sleep(0)) as only:
        with pytest.raises(TaskEnded, match="The only ended"):
            await run_for_ever(only)


async def test_task_has_cleaned_up_when_the_block_is_left() -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0.01)
            said.append("goodbye")

    async with background("work", work()):
        await asyncio.sleep(0)
    assert said == ["goodbye"]


async def test_leftover_tasks_are_ended_and_stubborn_ones_are_named() -> None:
    may_end = asyncio.Event()

    async def refuse() -> None:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()

    willing = asyncio.create_task(asyncio.sleep(60))
    stubborn = asyncio.create_task(refuse(), name="stubborn")
    await asyncio.sleep(0)
    assert await end_leftover_tasks(within_seconds=0.05) == ["stubborn"]
    assert willing.cancelled()
    may_end.set()
    await stubborn


@pytest.mark.usefixtures("garbage_collection_as_before")
@pytest.mark.parametrize(("error", "code"), [(None, 0), (ValueError("wrong"), 1)])
def test_exit_code_tells_whether_it_failed(error: Exception | None, code: int) -> None:
    async def work(_: StopSignal) -> None:
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as caught:
        run_process(work)
    assert caught.value.code == code


@pytest.mark.usefixtures("garbage_collection_as_before")
def test_what_was_loaded_is_no_garbage_and_collections_are_rare() -> None:
    seen: list[tuple[int, bool]] = []

    async def work(_: StopSignal) -> None:
        seen.append((gc.get_threshold()[0], gc.get_freeze_count() > 0))

    with pytest.raises(SystemExit):
        run_process(work)
    assert seen == [(GARBAGE_THRESHOLD, True)]
