"""Live reads of DiemJobs, shared by callers that ask at the same time.

    asked while a read runs ──► share the next one      (the running one may show the world before the question)
    asked while one waits   ──► share that one      (which waits at the gate in the turn of each who shares it)

So however many ask, at most two reads of one DiemJob are under way or waiting, and none is older than its question.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from diem_operator.api.gate import FairGate, Turn
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey

Read = Callable[[ObjectKey], Awaitable[DiemJob]]


class LiveReader:
    """Reads DiemJobs from the API server."""

    def __init__(self, read: Read, gate: FairGate) -> None:
        self._read = read
        self._gate = gate
        self._running: dict[ObjectKey, asyncio.Task[DiemJob]] = {}
        self._next: dict[ObjectKey, _NextRead] = {}

    async def read(self, key: ObjectKey, *, subject: str) -> DiemJob:
        """Return the DiemJob as it is after this call began.

        Raises:
            ClusterError: it cannot be read; all who share the read get the same error.
            Problem: too much is waiting to be read; the same.
        """
        waiting = self._next.get(key)
        if waiting is None:
            turn = self._gate.turn(subject)
            task = asyncio.create_task(self._read_after(key, self._running.get(key), turn))
            task.add_done_callback(_look_at_outcome)
            waiting = self._next[key] = _NextRead(task, turn)
        else:
            waiting.turn.share(subject)
        # One caller that gives up must not take the read away from the others.
        return await asyncio.shield(waiting.task)

    async def _read_after(self, key: ObjectKey, previous: "asyncio.Task[DiemJob] | None", turn: Turn) -> DiemJob:
        try:
            if previous is not None:
                await asyncio.wait({previous})
            await turn.enter()
        finally:
            waiting = self._next.pop(key)
        self._running[key] = waiting.task
        try:
            return await self._read(key)
        finally:
            del self._running[key]
            turn.leave()


class _NextRead(NamedTuple):
    """A read that has not begun, so that others may share it."""

    task: "asyncio.Task[DiemJob]"
    turn: Turn


def _look_at_outcome(task: "asyncio.Task[DiemJob]") -> None:
    """Keep asyncio from reporting an error as overlooked when every caller has given up."""
    if not task.cancelled():
        task.exception()
