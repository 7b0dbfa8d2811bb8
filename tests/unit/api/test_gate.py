"""One key's flood waits for itself; nobody waits where there is room; no slot is ever lost."""

import asyncio
from collections.abc import Sequence

import pytest

from diem_operator.api.errors import Problem, ProblemKind
from diem_operator.api.gate import QUEUE_IS_FULL, WAITED_TOO_LONG, FairGate
from diem_operator.metrics import Refusal
from tests.unit.api.objects import make_gate


class Operations:
    """Operations that end when the test says so, in the order in which they began."""

    def __init__(self, gate: FairGate) -> None:
        self.gate = gate
        self.begun: list[str] = []
        self._ends: list[asyncio.Event] = []

    def ask(self, subject: str, name: str = "") -> asyncio.Task[None]:
        return asyncio.create_task(self._operate(subject, name or subject))

    async def finish(self, count: int = 1) -> None:
        for _ in range(count):
            self._ends.pop(0).set()
            await settle()

    async def _operate(self, subject: str, name: str) -> None:
        async with self.gate.turn(subject):
            end = asyncio.Event()
            self._ends.append(end)
            self.begun.append(name)
            await end.wait()


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def end_all(operations: Operations, tasks: Sequence[asyncio.Task[None]]) -> None:
    await operations.finish(len(tasks) - sum(task.done() for task in tasks))
    await asyncio.gather(*tasks)


async def test_free_slot_is_taken_without_waiting() -> None:
    gate = make_gate(max_in_flight=1)

    entering = gate.turn("a").enter()
    with pytest.raises(StopIteration):  # a coroutine that never gave way to the loop
        entering.send(None)

    assert not gate.try_enter()


async def test_no_more_are_under_way_than_there_are_slots() -> None:
    operations = Operations(make_gate(max_in_flight=3))
    tasks = [operations.ask("a") for _ in range(10)]
    await settle()
    assert len(operations.begun) == 3

    await operations.finish()
    assert len(operations.begun) == 4
    assert operations.gate.queued_count == 6
    await end_all(operations, tasks)


async def test_other_keys_wait_for_one_slot_and_not_for_the_flood() -> None:
    operations = Operations(make_gate(max_in_flight=2))
    tasks = [operations.ask("flood") for _ in range(500)]
    await settle()
    tasks += [operations.ask("a"), operations.ask("b")]
    await settle()

    await operations.finish(3)

    assert operations.begun == ["flood", "flood", "flood", "a", "b"]
    await end_all(operations, tasks)


async def test_operations_of_one_key_begin_in_their_order() -> None:
    operations = Operations(make_gate(max_in_flight=1))
    tasks = [operations.ask("a", str(number)) for number in range(5)]
    await settle()
    await end_all(operations, tasks)

    assert operations.begun == ["0", "1", "2", "3", "4"]


async def test_too_many_of_one_key_are_refused_and_other_keys_are_not() -> None:
    refused: list[Refusal] = []
    gate = FairGate(max_in_flight=1, max_queued=2, max_wait_seconds=30, observe_refusal=refused.append)
    operations = Operations(gate)
    tasks = [operations.ask("a") for _ in range(3)]
    await settle()

    with pytest.raises(Problem, match=QUEUE_IS_FULL) as refusal:
        await operations.ask("a")
    tasks.append(operations.ask("b"))
    await end_all(operations, tasks)

    assert refusal.value.kind is ProblemKind.TOO_MANY_REQUESTS
    assert refused == [Refusal.QUEUE_FULL]
    assert operations.begun == ["a", "a", "b", "a"]


async def test_who_waits_too_long_is_refused_and_leaves_the_queue() -> None:
    refused: list[Refusal] = []
    gate = FairGate(max_in_flight=1, max_queued=1, max_wait_seconds=0.01, observe_refusal=refused.append)
    operations = Operations(gate)
    first = operations.ask("a")
    await settle()

    with pytest.raises(Problem, match=WAITED_TOO_LONG):
        await operations.ask("a")

    assert refused == [Refusal.QUEUE_TIME]
    assert gate.queued_count == 0
    await end_all(operations, [first])
    assert gate.try_enter()


@pytest.mark.parametrize("order", ["cancelled first", "handed over first"])
async def test_slot_is_not_lost_with_a_caller_that_gives_up(order: str) -> None:
    gate = make_gate(max_in_flight=1)
    operations = Operations(gate)
    assert gate.try_enter()
    leaving, staying = operations.ask("a"), operations.ask("b")
    await settle()

    # Both within one step of the loop, so that the one does not see what the other did.
    if order == "cancelled first":
        leaving.cancel()
        gate.leave()
    else:
        gate.leave()
        leaving.cancel()
    await settle()

    assert leaving.cancelled()
    assert operations.begun == ["b"]
    await end_all(operations, [staying])
    assert gate.try_enter()


async def test_operation_that_fails_gives_its_slot_back() -> None:
    gate = make_gate(max_in_flight=1)
    with pytest.raises(ZeroDivisionError):
        async with gate.turn("a"):
            raise ZeroDivisionError

    assert gate.try_enter()


async def test_turn_of_two_keys_comes_with_the_first_and_takes_one_slot() -> None:
    gate = make_gate(max_in_flight=1)
    assert gate.try_enter()
    ahead = asyncio.create_task(gate.turn("a").enter())
    await settle()
    turn = gate.turn("a")
    shared = asyncio.create_task(turn.enter())
    await settle()
    turn.share("b")
    turn.share("b")
    assert gate.queued_count == 3

    gate.leave()
    gate.leave()
    await asyncio.gather(ahead, shared)

    assert gate.queued_count == 0
    turn.share("c")
    assert gate.queued_count == 0  # it has had its turn


async def test_turn_of_two_keys_is_refused_only_where_both_have_too_many() -> None:
    gate = make_gate(max_in_flight=1, max_queued=1)
    assert gate.try_enter()
    waiting = [asyncio.create_task(gate.turn("a").enter())]
    await settle()

    turn = gate.turn("a")
    turn.share("b")
    waiting.append(asyncio.create_task(turn.enter()))
    await settle()
    for _ in waiting:
        gate.leave()

    await asyncio.gather(*waiting)


async def test_gate_that_is_closed_lets_nobody_wait() -> None:
    gate = make_gate(max_in_flight=1)
    assert gate.try_enter()
    waiting = asyncio.create_task(gate.turn("a").enter())
    await settle()

    gate.close()

    for refused in (waiting, gate.turn("b").enter()):
        with pytest.raises(Problem) as caught:
            await refused
        assert caught.value.kind is ProblemKind.NOT_READY
    gate.leave()
    async with gate.turn("c"):
        assert not gate.try_enter()
    assert gate.try_enter()
