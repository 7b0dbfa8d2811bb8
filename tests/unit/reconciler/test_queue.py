"""The work queue: every key is worked on soon, by one worker at a time, and no more often than needed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diem_operator.reconciler.queue import MAX_POSTPONED_SECONDS, Backoff, QueueShutDown, WorkQueue
from tests.unit.reconciler.virtual_time import VirtualTimeLoop, in_virtual_time, seconds


def make_queue(backoff: Backoff | None = None) -> WorkQueue[str]:
    return WorkQueue(backoff=backoff or Backoff(first_seconds=1, most_seconds=60, jitter=0), chance=lambda: 1.0)


async def taken_in(queue: WorkQueue[str]) -> tuple[str, float]:
    """Return the next key and how long it took to come."""
    began = seconds()
    key = await queue.get()
    return key, seconds() - began


async def is_empty(queue: WorkQueue[str]) -> bool:
    """Whether nothing comes for a long time."""
    try:
        async with asyncio.timeout(100_000):
            await queue.get()
    except TimeoutError:
        return True
    return False


@in_virtual_time
async def test_keys_come_in_the_order_they_were_added() -> None:
    queue = make_queue()
    for key in ("b", "a", "c"):
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["b", "a", "c"]


@in_virtual_time
async def test_key_added_many_times_before_it_is_taken_comes_once() -> None:
    queue = make_queue()
    for _ in range(3):
        queue.add("a")
    assert len(queue) == 1
    queue.done(await queue.get())
    assert await is_empty(queue)


@in_virtual_time
async def test_key_added_while_it_is_worked_on_comes_again_after_that_and_not_before() -> None:
    queue = make_queue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert (len(queue), queue.is_idle) == (0, False)
    assert await is_empty(queue)
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert (len(queue), queue.is_idle) == (0, True)
    assert await is_empty(queue)


@in_virtual_time
async def test_waiting_worker_gets_the_key_as_soon_as_it_is_added() -> None:
    queue = make_queue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(5)
    queue.add("a")
    assert await worker == "a"
    assert seconds() == 5


@in_virtual_time
async def test_worker_that_gives_up_waiting_loses_no_key() -> None:
    queue = make_queue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await second == "a"


@in_virtual_time
async def test_delayed_key_comes_when_it_is_due() -> None:
    queue = make_queue()
    queue.add_after("a", 30)
    assert await taken_in(queue) == ("a", 30)


@pytest.mark.parametrize("delays", [(30, 10), (10, 30)])
@in_virtual_time
async def test_of_two_delays_the_earlier_one_counts_and_the_later_is_dropped(delays: tuple[int, int]) -> None:
    queue = make_queue()
    for delay in delays:
        queue.add_after("a", delay)
    assert await taken_in(queue) == ("a", 10)
    queue.done("a")
    assert await is_empty(queue)


@pytest.mark.parametrize("delay", [0, -5])
@in_virtual_time
async def test_delay_that_is_over_is_none(delay: float) -> None:
    queue = make_queue()
    queue.add_after("a", delay)
    assert await taken_in(queue) == ("a", 0)


@in_virtual_time
async def test_key_that_becomes_due_while_it_is_worked_on_comes_after_that() -> None:
    queue = make_queue()
    queue.add("a")
    await queue.get()
    queue.add_after("a", 1)
    assert await is_empty(queue)
    queue.done("a")
    assert await taken_in(queue) == ("a", 0)


@in_virtual_time
async def test_failing_key_comes_back_later_and_later_up_to_a_limit() -> None:
    queue = make_queue()
    delays = []
    for _ in range(9):
        queue.add_rate_limited("a")
        delays.append((await taken_in(queue))[1])
        queue.done("a")
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@in_virtual_time
async def test_failing_key_comes_back_no_sooner_than_is_asked_for() -> None:
    queue = make_queue()
    delays = []
    for _ in range(4):
        queue.add_rate_limited("a", at_least_seconds=3)
        delays.append((await taken_in(queue))[1])
        queue.done("a")
    assert delays == [3, 3, 4, 8]


@in_virtual_time
async def test_forgotten_failures_start_anew_and_concern_one_key() -> None:
    queue = make_queue()
    for key in ("a", "a", "b"):
        queue.add_rate_limited(key)
        queue.done((await taken_in(queue))[0])
    assert (queue.failures("a"), queue.failures("b")) == (2, 1)
    queue.forget("a")
    queue.forget("unknown")
    queue.add_rate_limited("a")
    assert await taken_in(queue) == ("a", 1)


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1), jitter=st.floats(0, 1))
def test_backoff_stays_within_its_limits(failures: int, chance: float, jitter: float) -> None:
    backoff = Backoff(first_seconds=0.1, most_seconds=60, jitter=jitter)
    full = min(0.1 * 2.0 ** min(failures - 1, 100), 60)
    assert full * (1 - jitter) - 1e-9 <= backoff.seconds(failures, chance=chance) <= full


@in_virtual_time
async def test_shut_down_ends_every_worker_and_takes_nothing_more() -> None:
    queue = make_queue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.shut_down()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [QueueShutDown] * 3
    queue.add("a")
    queue.add_after("a", 0)
    queue.add_rate_limited("a")
    with pytest.raises(QueueShutDown):
        await queue.get()


@in_virtual_time
async def test_shut_down_drops_what_waits_and_lets_a_worker_finish() -> None:
    queue = make_queue()
    for key in ("a", "b"):
        queue.add(key)
    await queue.get()
    queue.add("a")
    queue.add_after("c", 1)
    queue.shut_down()
    queue.done("a")
    await asyncio.sleep(2)
    assert len(queue) == 0
    with pytest.raises(QueueShutDown):
        await queue.get()


async def postpone(queue: WorkQueue[str], *keys: str) -> None:
    """Have workers find that these keys have time."""
    for key in keys:
        queue.add(key)
    for key in keys:
        assert await queue.get() == key
        queue.postpone(key)
    for key in keys:
        queue.done(key)


@in_virtual_time
async def test_postponed_key_comes_after_those_that_are_ready_and_loses_nothing() -> None:
    queue = make_queue()
    await postpone(queue, "told later")
    queue.add("a")
    queue.add("b")
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == ["a", "b", "told later"]
    queue.done("told later")
    assert await is_empty(queue)


@in_virtual_time
async def test_postponed_key_that_is_added_again_is_like_any_other() -> None:
    queue = make_queue()
    await postpone(queue, "later", "again")
    queue.add("again")
    queue.add("b")
    assert [await queue.get() for _ in range(3)] == ["again", "b", "later"]


@in_virtual_time
async def test_key_added_while_it_is_being_postponed_is_ready_at_once() -> None:
    queue = make_queue()
    queue.add("a")
    await queue.get()
    queue.postpone("a")
    queue.add("a")
    queue.add("b")
    queue.done("a")
    assert [await queue.get() for _ in range(2)] == ["b", "a"]
    queue.done("a")
    assert len(queue) == 0


@in_virtual_time
async def test_while_another_key_runs_postponed_ones_take_one_worker() -> None:
    queue = make_queue()
    await postpone(queue, "later", "later still")
    queue.add("a")
    assert [await queue.get() for _ in range(2)] == ["a", "later"]
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not waiting.done()
    waiting.cancel()
    queue.done("later")
    assert await queue.get() == "later still"


@in_virtual_time
async def test_postponed_key_waits_for_those_that_hang_no_longer_than_for_others() -> None:
    queue = make_queue()
    await postpone(queue, "stands back", "later")
    queue.add("hanging")
    assert [await queue.get() for _ in range(2)] == ["hanging", "stands back"]
    began = asyncio.get_running_loop().time()
    assert await queue.get() == "later"
    assert asyncio.get_running_loop().time() - began == MAX_POSTPONED_SECONDS


@in_virtual_time
async def test_when_nothing_else_is_left_postponed_keys_take_every_worker() -> None:
    queue = make_queue()
    await postpone(queue, "x", "y", "z")
    queue.add("a")
    assert [await queue.get() for _ in range(2)] == ["a", "x"]
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not waiting.done()
    queue.done("a")
    assert [await waiting, await queue.get()] == ["y", "z"]


@in_virtual_time
async def test_key_that_was_postponed_for_long_takes_turns_with_those_that_are_ready() -> None:
    queue = make_queue()
    await postpone(queue, "x", "y")
    await asyncio.sleep(MAX_POSTPONED_SECONDS)
    for key in ("a", "b"):
        queue.add(key)
    assert [await queue.get() for _ in range(4)] == ["x", "a", "y", "b"]


@in_virtual_time
async def test_key_that_is_postponed_again_keeps_its_place_before_younger_ones() -> None:
    queue = make_queue()
    await postpone(queue, "old")
    await asyncio.sleep(1)
    await postpone(queue, "young")
    await postpone(queue, "old")
    await asyncio.sleep(MAX_POSTPONED_SECONDS - 1)
    queue.add("a")
    assert [await queue.get() for _ in range(2)] == ["old", "a"]


@in_virtual_time
async def test_time_counts_from_the_first_postponement_and_anew_after_the_work_is_done() -> None:
    queue = make_queue()
    await postpone(queue, "x")
    await asyncio.sleep(MAX_POSTPONED_SECONDS - 1)
    queue.add("x")
    await postpone_next(queue)
    await asyncio.sleep(1)
    queue.add("a")
    assert [await queue.get() for _ in range(2)] == ["x", "a"]
    queue.done("x")
    await postpone(queue, "x")
    queue.add("b")
    assert await queue.get() == "b"


async def postpone_next(queue: WorkQueue[str]) -> None:
    key = await queue.get()
    queue.postpone(key)
    queue.done(key)


@in_virtual_time
async def test_running_key_stands_back_for_others_that_are_ready_or_running() -> None:
    queue = make_queue()
    queue.add("a")
    await queue.get()
    alone = queue.has_to_stand_back("a")
    queue.add("b")
    beside_ready = queue.has_to_stand_back("a")
    await queue.get()
    beside_running = queue.has_to_stand_back("a")
    assert (alone, beside_ready, beside_running) == (False, True, True)


@in_virtual_time
async def test_key_stands_back_once_and_not_for_others_that_stood_back() -> None:
    queue = make_queue()
    await postpone(queue, "x")
    assert await queue.get() == "x"
    queue.add("a")
    assert not queue.has_to_stand_back("x")
    await queue.get()
    assert not queue.has_to_stand_back("a"), "only one that stood back runs beside it"


@in_virtual_time
async def test_key_that_was_postponed_for_long_does_not_stand_back_again() -> None:
    queue = make_queue()
    await postpone(queue, "x")
    await asyncio.sleep(MAX_POSTPONED_SECONDS)
    queue.add("x")
    queue.add("a")
    assert await queue.get() == "x"
    assert not queue.has_to_stand_back("x")


@in_virtual_time
async def test_worker_that_gives_up_its_turn_passes_it_on() -> None:
    queue = make_queue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    await asyncio.sleep(0)
    queue.add("b")
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    taken = [task.result() for task in (first, second) if not task.cancelled()]
    assert sorted([*taken, *[await queue.get() for _ in range(2 - len(taken))]]) == ["a", "b"]


@in_virtual_time
async def test_shut_down_drops_what_was_postponed() -> None:
    queue = make_queue()
    await postpone(queue, "x")
    assert queue.postponed_count == 1
    queue.add("y")
    await queue.get()
    queue.shut_down()
    queue.postpone("y")
    queue.done("y")
    assert len(queue) == queue.postponed_count == 0
    with pytest.raises(QueueShutDown):
        await queue.get()


def run_steps(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main)


Step = Callable[[WorkQueue[int], int], None]
STEPS: dict[str, Step] = {
    "add": lambda queue, key: queue.add(key),
    "later": lambda queue, key: queue.add_after(key, key),
    "failed": lambda queue, key: queue.add_rate_limited(key),
    "forget": lambda queue, key: queue.forget(key),
}


@given(steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 3), st.floats(0, 3)), max_size=25))
def test_no_addition_is_lost_and_no_key_is_worked_on_twice_at_once(steps: list[tuple[str, int, float]]) -> None:
    async def main() -> None:
        queue: WorkQueue[int] = WorkQueue(backoff=Backoff(first_seconds=0.5, most_seconds=2))
        running: set[int] = set()
        asked_at: dict[int, float] = {}
        worked_at: dict[int, float] = {}

        async def work() -> None:
            while True:
                key = await queue.get()
                assert key not in running
                running.add(key)
                taken_at = seconds()
                await asyncio.sleep(0.7)
                if queue.has_to_stand_back(key):
                    queue.postpone(key)
                else:
                    worked_at[key] = taken_at
                running.discard(key)
                queue.done(key)

        workers = [asyncio.create_task(work()) for _ in range(3)]
        for name, key, pause in steps:
            STEPS[name](queue, key)
            if name != "forget":
                asked_at[key] = seconds()
            await asyncio.sleep(pause)
        await asyncio.sleep(100)
        assert all(not worker.done() for worker in workers)
        assert queue.is_idle
        assert {key for key in asked_at if worked_at.get(key, -1) < asked_at[key]} == set()
        for worker in workers:
            worker.cancel()

    run_steps(main())
