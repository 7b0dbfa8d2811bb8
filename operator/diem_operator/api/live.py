"""Live reads of DiemJobs, shared by callers that ask at the same time.

    asked while a read runs ──► share the next one      (the running one may show the world before the question)
    asked while one waits   ──► share that one

So however many ask, at most two reads of one DiemJob are under way or waiting, and none is older than its question.
"""

import asyncio
from collections.abc import Awaitable, Callable

from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey

Read = Callable[[ObjectKey], Awaitable[DiemJob]]


class LiveReader:
    """Reads DiemJobs from the API server."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._running: dict[ObjectKey, asyncio.Task[DiemJob]] = {}
        self._next: dict[ObjectKey, asyncio.Task[DiemJob]] = {}

    async def read(self, key: ObjectKey) -> DiemJob:
        """Return the DiemJob as it is after this call began.

        Raises:
            ClusterError: it cannot be read; all who share the read get the same error.
        """
        task = self._next.get(key)
        if task is None:
            task = asyncio.create_task(self._read_after(key, self._running.get(key)))
            task.add_done_callback(_look_at_outcome)
            self._next[key] = task
        # One caller that gives up must not take the read away from the others.
        return await asyncio.shield(task)

    async def _read_after(self, key: ObjectKey, previous: "asyncio.Task[DiemJob] | None") -> DiemJob:
        if previous is not None:
            await asyncio.wait({previous})
        self._running[key] = self._next.pop(key)
        try:
            return await self._read(key)
        finally:
            del self._running[key]


def _look_at_outcome(task: "asyncio.Task[DiemJob]") -> None:
    """Keep asyncio from reporting an error as overlooked when every caller has given up."""
    if not task.cancelled():
        task.exception()
