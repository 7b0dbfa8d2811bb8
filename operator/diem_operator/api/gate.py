"""Lets no more operations reach the API server at once than it has connections for, and each key have its turn.

    slot free ──► taken at once, without waiting, locks or tasks
    none free ──► queue of the key ──► the next slot that is given back goes to the next key in turn

So a flood of one key waits for itself; an operation of another key waits for one slot at most.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from diem_operator.access.fair_queue import FairQueue
from diem_operator.api.errors import Problem, ProblemKind, too_many_requests
from diem_operator.metrics import Refusal

QUEUE_IS_FULL: Final = "too many commands of this key are waiting already; send fewer at a time"
ENDING: Final = "this process is about to end, and its queue with it; try again now"
WAITED_TOO_LONG: Final = "the commands of this key took too long to have their turn; send fewer at a time"


class Turn:
    """One operation: `async with` waits for a slot and gives it back.

    It can be one of several keys, and then waits in the queue of each for whichever comes first.

    Raises:
        Problem: every key has too many waiting, or the time is over.
    """

    __slots__ = ("_gate", "granted", "subjects")

    def __init__(self, gate: "FairGate", subject: str) -> None:
        self._gate = gate
        self.subjects = {subject}
        self.granted: asyncio.Future[None] | None = None

    def share(self, subject: str) -> None:
        """Make it an operation of this key, too."""
        if subject not in self.subjects:
            self.subjects.add(subject)
            self._gate.queue_also(self, subject)

    async def enter(self) -> None:
        """Wait for a slot.

        Raises:
            Problem: every key has too many waiting, or the time is over.
        """
        if not self._gate.try_enter():
            await self._gate.wait(self)

    def leave(self) -> None:
        """Give the slot back."""
        self._gate.leave()

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(self, *_: object) -> None:
        self.leave()


class FairGate:
    """The slots.

    Args:
        max_in_flight: how many operations are under way at once.
        max_queued: how many of one key may wait.
        max_wait_seconds: how long each may wait.
        observe_refusal: is told of each that may not.
    """

    def __init__(
        self,
        *,
        max_in_flight: int,
        max_queued: int,
        max_wait_seconds: float,
        observe_refusal: Callable[[Refusal], None],
    ) -> None:
        self._free = max_in_flight
        self._queue: FairQueue[Turn] = FairQueue(max_per_subject=max_queued)
        self._max_wait_seconds = max_wait_seconds
        self._is_closed = False
        self._observe_refusal = observe_refusal

    @property
    def queued_count(self) -> int:
        """How many places in queues are taken."""
        return len(self._queue)

    def turn(self, subject: str) -> Turn:
        """Return the turn of an operation that is about to begin."""
        return Turn(self, subject)

    def try_enter(self) -> bool:
        """Take a slot if one is free; then nobody is waiting."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def wait(self, turn: Turn) -> None:
        """Wait until a slot is handed over.

        Raises:
            Problem: every key has too many waiting, the time is over, or the process is about to end.
        """
        if self._is_closed:
            raise Problem(ProblemKind.NOT_READY, ENDING)
        granted = turn.granted = asyncio.get_running_loop().create_future()
        places = sum(self._queue.put(subject, turn) for subject in turn.subjects)
        if not places:
            granted.cancel()
            raise self._refuse(Refusal.QUEUE_FULL, QUEUE_IS_FULL)
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await granted
        except BaseException as error:
            self._withdraw(turn)
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.leave()  # it was handed over in the very moment in which nobody wanted it any more
            if isinstance(error, TimeoutError):
                raise self._refuse(Refusal.QUEUE_TIME, WAITED_TOO_LONG) from None
            raise

    def queue_also(self, turn: Turn, subject: str) -> None:
        """Queue a turn that is waiting under another key, too, if there is room."""
        if turn.granted is not None and not turn.granted.done():
            self._queue.put(subject, turn)

    def close(self) -> None:
        """Refuse all who wait, and who would have to: the process ends before their turn may come."""
        self._is_closed = True
        while (turn := self._queue.take()) is not None:
            if turn.granted is not None and not turn.granted.done():
                turn.granted.set_exception(Problem(ProblemKind.NOT_READY, ENDING))

    def leave(self) -> None:
        """Hand a slot over to whose turn it is."""
        while (turn := self._queue.take()) is not None:
            granted = turn.granted
            if granted is not None and not granted.done():
                self._withdraw(turn)
                granted.set_result(None)
                return
        self._free += 1

    def _withdraw(self, turn: Turn) -> None:
        for subject in turn.subjects:
            self._queue.discard(subject, turn)

    def _refuse(self, kind: Refusal, message: str) -> Problem:
        self._observe_refusal(kind)
        return too_many_requests(message)
