"""Answers that several wait for at the same time: who can do with one that has begun already need not ask again."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _UnderWay(Generic[T]):
    """A question that is being asked, and since when."""

    began_seconds: float
    answer: asyncio.Future[T]


class Sharing(Generic[K, T]):
    """Asks, and lets others take part in it meanwhile; what was answered is not kept.

    Args:
        clock: seconds, never stepping.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._under_way: dict[K, _UnderWay[T]] = {}

    async def ask(self, key: K, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask in any case, and share the answer; what goes wrong, or is cancelled, is the caller's alone."""
        asking = self._under_way[key] = _UnderWay(self._clock(), asyncio.get_running_loop().create_future())
        try:
            answer = await ask()
        except BaseException:
            asking.answer.cancel()
            raise
        else:
            asking.answer.set_result(answer)
            return answer
        finally:
            if self._under_way.get(key) is asking:
                del self._under_way[key]

    async def join(self, key: K, *, begun_since: float) -> T | None:
        """Return the answer to a question that is being asked, and no longer than that; None where there is none."""
        asking = self._under_way.get(key)
        if asking is None or asking.began_seconds < begun_since:
            return None
        await asyncio.wait({asking.answer})
        return None if asking.answer.cancelled() else asking.answer.result()
