"""A keyed work queue with client-go's semantics: what has to be reconciled next, once, and by one worker at a time.

    add ──► ready ──────► get ──► running ──► done
             ▲  ▲          ▲       │   │
             │  └── added again ───┘   │
             └─ add ── postponed ◄─────┘ what is left has time

It holds keys, never objects: a worker reads the state when it starts, so many changes of one object cost one reconcile.

A worker that finds only work that has time left may postpone its key while others are ready. Postponed keys are worked
on one at a time while others are, and by all workers when nothing else is left to do; those that have waited for long
take turns with the others.

Time is the event loop's, randomness is given.
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)

MAX_POSTPONED_SECONDS: Final = 15.0
"""A key that was postponed so long ago no longer stands back; bursts of two thousand starts take less."""


class QueueShutDown(Exception):  # noqa: N818 - named like the standard library's QueueEmpty and QueueShutDown
    """The queue takes and gives nothing any more."""


class Timer(Protocol):
    """A call that will happen (`asyncio.TimerHandle`)."""

    def cancel(self) -> None:
        """Prevent the call."""

    def when(self) -> float:
        """Return when the call will happen, on the scheduler's clock."""


class Scheduler(Protocol):
    """Calls back later (`asyncio.AbstractEventLoop`)."""

    def time(self) -> float:
        """Return the time in seconds, from any start."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call back at that time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """How long to wait after the n-th failure in a row: doubled each time, up to a cap, less a random part.

    Attributes:
        jitter: the largest share of a delay that chance takes off, 0 to 1, so that many keys do not come back at once.
    """

    first_seconds: float = 0.1
    most_seconds: float = 60.0
    jitter: float = 0.5

    def seconds(self, failures: int, *, chance: float) -> float:
        """Return the delay after that many failures (1 or more); `chance` is from 0 to 1."""
        doublings = min(failures - 1, 64)  # the cap is reached long before; 2.0**1024 would overflow
        delay: float = min(self.first_seconds * 2.0**doublings, self.most_seconds)
        return delay * (1.0 - self.jitter * chance)


@dataclass(frozen=True, slots=True)
class Ready(Generic[K]):
    """A key that waits for a worker, and since when."""

    key: K
    since: float


class WorkQueue(Generic[K]):
    """The queue; its length is the number of keys that wait for a worker.

    Args:
        backoff: for `add_rate_limited`.
        scheduler: the running event loop by default; the queue is then made inside it.
        chance: gives numbers from 0 to 1.
        on_wait: is told how many seconds each key was ready before a worker took it; not of postponed keys.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        scheduler: Scheduler | None = None,
        chance: Callable[[], float] = random.random,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._scheduler: Scheduler = scheduler or asyncio.get_running_loop()
        self._chance = chance
        self._on_wait = on_wait
        self._ready: deque[Ready[K]] = deque()
        self._wanted: set[K] = set()  # in `_ready`, or running and to be run once more
        self._postponed: OrderedDict[K, None] = OrderedDict()
        self._postponed_since: dict[K, float] = {}  # also while they run or are ready again
        self._running: set[K] = set()
        self._standing_back: set[K] = set()  # running, and taken from `_postponed`
        self._was_overdue = False  # the last key that was taken
        self._delayed: dict[K, Timer] = {}
        self._failures: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._is_shut_down = False

    def __len__(self) -> int:
        return len(self._ready) + len(self._postponed)

    @property
    def postponed_count(self) -> int:
        """How many of the keys that wait are postponed."""
        return len(self._postponed)

    @property
    def is_idle(self) -> bool:
        """Whether no key waits for a worker or is running; delayed ones may be left."""
        return not self and not self._running

    def add(self, key: K) -> None:
        """Have the key worked on: once, however often it is added before a worker takes it."""
        if self._is_shut_down or key in self._wanted:
            return
        self._wanted.add(key)
        if key not in self._running:
            self._make_ready(key)

    def has_to_stand_back(self, key: K) -> bool:
        """Whether a running key should be postponed if what is left of its work has time."""
        if key in self._standing_back or self._is_overdue(key):
            return False
        return bool(self._ready) or len(self._running) - len(self._standing_back) > 1

    def postpone(self, key: K) -> None:
        """Have a running key worked on again, after `done` and after what is ready; adding it ends the postponement."""
        if self._is_shut_down:
            return
        self._postponed[key] = None
        if key in self._postponed_since:
            self._postponed.move_to_end(key, last=False)
            return
        now = self._postponed_since[key] = self._scheduler.time()
        self._scheduler.call_at(now + MAX_POSTPONED_SECONDS, self._wake)

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key later; if it is to be added later already, the earlier time counts."""
        if self._is_shut_down:
            return
        due = self._scheduler.time() + seconds
        planned = self._delayed.get(key)
        if planned is not None:
            if planned.when() <= due:
                return
            planned.cancel()
        self._delayed[key] = self._scheduler.call_at(due, lambda: self._add_delayed(key))

    def add_rate_limited(self, key: K, *, at_least_seconds: float = 0) -> None:
        """Count a failure and add the key after a delay that grows with their number, or the longer one asked for."""
        self._failures[key] = self._failures.get(key, 0) + 1
        seconds = self._backoff.seconds(self._failures[key], chance=self._chance())
        self.add_after(key, max(seconds, at_least_seconds))

    def forget(self, key: K) -> None:
        """Count the key's failures from zero again; its delayed adding stays."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Return how often the key has failed since it was last forgotten."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """Wait for a key and take it; `done` must follow.

        Raises:
            QueueShutDown: there will be no more.
        """
        while (key := self._take()) is None:
            if self._is_shut_down:
                raise QueueShutDown
            await self._wait()
        self._wake()
        return key

    def done(self, key: K) -> None:
        """Give the key back; if it was added meanwhile, it is ready again."""
        self._running.discard(key)
        self._standing_back.discard(key)
        if key in self._wanted:
            self._make_ready(key)
        elif key not in self._postponed:
            self._postponed_since.pop(key, None)
        self._wake()

    def shut_down(self) -> None:
        """Drop everything that waits, and end every `get`; keys that are being worked on are not interrupted."""
        self._is_shut_down = True
        for timer in self._delayed.values():
            timer.cancel()
        self._delayed.clear()
        self._ready.clear()
        self._wanted.clear()
        self._postponed.clear()
        self._failures.clear()
        while self._waiters:
            _let_go(self._waiters.popleft())

    def _make_ready(self, key: K) -> None:
        self._postponed.pop(key, None)
        self._ready.append(Ready(key, self._scheduler.time()))
        self._wake()

    def _take(self) -> K | None:
        """Take the key whose turn it is; None where that is no key's."""
        postponed = self._find_postponed()
        if postponed is None and not self._ready:
            return None
        is_overdue = postponed is not None and self._is_overdue(postponed)
        if postponed is not None and (not self._ready or (is_overdue and not self._was_overdue)):
            key = postponed
            del self._postponed[key]
            self._standing_back.add(key)
        else:
            ready = self._ready.popleft()
            key, is_overdue = ready.key, False
            self._wanted.discard(key)
            if self._on_wait is not None:
                self._on_wait(self._scheduler.time() - ready.since)
        self._was_overdue = is_overdue
        self._running.add(key)
        return key

    def _find_postponed(self) -> K | None:
        """Return the postponed key that may be taken: one at a time while others are ready or running."""
        key = next((key for key in self._postponed if key not in self._running), None)
        if key is None or self._is_overdue(key) or not self._standing_back:
            return key
        return None if self._ready or len(self._running) > len(self._standing_back) else key

    def _is_overdue(self, key: K) -> bool:
        since = self._postponed_since.get(key)
        return since is not None and self._scheduler.time() - since >= MAX_POSTPONED_SECONDS

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            else:
                self._wake()  # it was this one's turn; the next one must not sleep on
            raise

    def _wake(self) -> None:
        """Let one waiting worker look, if there is something to take."""
        if self._waiters and (self._ready or self._find_postponed() is not None):
            _let_go(self._waiters.popleft())

    def _add_delayed(self, key: K) -> None:
        self._delayed.pop(key, None)
        self.add(key)


def _let_go(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
