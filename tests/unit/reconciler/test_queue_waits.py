"""How long a key was ready before a worker took it is told: it is how an overloaded operator shows."""

from asyncio import TimerHandle
from collections.abc import Callable

import pytest

from diem_operator.reconciler.queue import WorkQueue


class StandingClock:
    """A scheduler whose time moves only by hand, and which calls nothing back."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def time(self) -> float:
        return self.seconds

    def call_at(self, when: float, callback: Callable[[], object], /) -> TimerHandle:
        pytest.fail(f"{callback} was not expected to be called at {when}")


async def test_wait_counts_from_when_the_key_became_ready() -> None:
    clock, waits = StandingClock(), list[float]()
    queue: WorkQueue[str] = WorkQueue(scheduler=clock, on_wait=waits.append)
    queue.add("a")
    clock.seconds += 2
    queue.add("a")
    clock.seconds += 1
    await queue.get()
    assert waits == [3.0]


async def test_time_in_which_a_worker_had_the_key_is_no_wait() -> None:
    clock, waits = StandingClock(), list[float]()
    queue: WorkQueue[str] = WorkQueue(scheduler=clock, on_wait=waits.append)
    queue.add("a")
    await queue.get()
    queue.add("a")
    clock.seconds += 10
    queue.done("a")
    clock.seconds += 1
    await queue.get()
    assert waits == [0.0, 1.0]
