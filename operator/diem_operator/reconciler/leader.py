"""Which replica writes: an elector on a coordination.k8s.io/v1 Lease, and the fence that every write asks first.

    standby ──► free, or unchanged for its duration ──► PUT succeeds ──► leading
       ▲                                                                   │ renewing
       └── stopped ◄── not renewed in time, or somebody else's ◄───────────┘

The lease is valid for its duration from the *start* of the last request that renewed it; other replicas count from when
they *saw* it change, which is later. Each uses its own clock that never steps, and compares no times of others.
Correctness of runs does not rest on this: names and preconditions see to it that two writers start a run at most once.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from diem_operator.clock import now, steady_seconds
from diem_operator.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound
from diem_operator.model.lease import Lease, micro_time
from diem_operator.model.metadata import ObjectKey
from diem_operator.reconciler.leadership import NotLeader
from diem_operator.reconciler.lease_claims import Claim, Sighting, release

logger = logging.getLogger(__name__)

Callback = Callable[[], Awaitable[None]]


class StoreRewound(Exception):  # noqa: N818 - says what is, not that something is wrong here
    """The API server's data is older than what it has shown before: nothing that is known here is true any more."""


class LeaseAccess(Protocol):
    """The Leases of a cluster (`Cluster.leases`)."""

    async def get(self, key: ObjectKey, *, timeout_seconds: float) -> Lease:
        """Return a Lease."""

    async def create(self, namespace: str, lease: Lease, *, timeout_seconds: float) -> Lease:
        """Create a Lease, or raise AlreadyExists."""

    async def update(self, lease: Lease, *, timeout_seconds: float) -> Lease:
        """Replace a Lease if it has not changed, or raise Conflict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseTiming:
    """How long things take; with these defaults a killed leader is replaced within 7 s, one that ends within 1 s.

    Attributes:
        duration_seconds: how long a lease is valid without being renewed.
        renew_seconds: between two renewals by the leader.
        poll_seconds: between two looks of a standby, and between two tries after a failure.
        request_seconds: for one request.
        margin_seconds: how long before the lease's end the leader stops to write, for clocks that run differently fast.
    """

    duration_seconds: int = 6
    renew_seconds: float = 1.5
    poll_seconds: float = 0.5
    request_seconds: float = 2.0
    margin_seconds: float = 1.0


def make_identity(pod_name: str) -> str:
    """Return a name for this process that no other one has, not even an earlier one of the same pod."""
    return f"{pod_name}_{uuid4().hex[:12]}"


async def always() -> bool:
    """Allow leading whenever the lease is free."""
    return True


class LeaderElector:
    """Takes and keeps one Lease; is the `Leadership` of this process.

    Args:
        leases: the cluster's.
        key: namespace and name of the Lease.
        identity: unique for this process, see `make_identity`.
        timing: the same for all replicas, though each lease's own duration is believed.
        may_lead: asked before each try to take the lease; False leaves it to others.
        clock: seconds, never stepping.

    Attributes:
        has_seen_leader: whether this process has led, or has seen another one renew the lease; nothing about now.
        has_looked: set once the first look at the lease is over, whatever came of it.
        led_since: by the clock, when the lease was last taken; of use only to those who run while leading.
    """

    def __init__(
        self,
        leases: LeaseAccess,
        key: ObjectKey,
        *,
        identity: str,
        timing: LeaseTiming | None = None,
        may_lead: Callable[[], Awaitable[bool]] = always,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._leases = leases
        self._key = key
        self._timing = timing or LeaseTiming()
        self._claim = Claim(key=key, identity=identity, duration_seconds=self._timing.duration_seconds)
        self._may_lead = may_lead
        self._clock = clock
        self._sighting: Sighting | None = None
        self._is_certain = False  # that the sighting is what the API server has
        self._is_troubled = False
        self.has_seen_leader = False
        self.has_looked = asyncio.Event()
        self.led_since = 0.0
        self._renewed_at: float | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this process may write now."""
        return self._remaining_seconds() > 0

    def write_budget_seconds(self) -> float:
        """Return how long a write that starts now may take, or raise NotLeader."""
        remaining = self._remaining_seconds()
        if remaining <= 0:
            self._renewed_at = None  # a renewal that is under way must not bring back what a writer saw lost
            raise NotLeader(f"{self._claim.identity} does not hold the lease {self._key}; the leader will do the work")
        return remaining

    async def run(self, on_started: Callback, on_stopped: Callback) -> None:
        """Contend for the lease, lead, and contend again, until cancelled; then release it.

        Args:
            on_started: runs while leading, and is cancelled when that ends; may return earlier.
            on_stopped: awaited after that, before the lease is released or contended for again.

        Raises:
            StoreRewound: the lease is older than it has been; only a new process may go on.
            Exception: whatever the callbacks raise; leading ends with it.
        """
        while True:
            await self._acquire()
            logger.info("Became the leader", extra=self._fields())
            try:
                await self._lead(on_started, on_stopped)
            finally:
                await self._release()

    async def _acquire(self) -> None:
        while not await self._try_to_hold(self._timing.request_seconds):
            self.has_looked.set()
            await asyncio.sleep(self._standby_seconds())
        self.led_since = self._clock()
        self.has_looked.set()  # before the work begins: its first LIST joins one of those who wait for this

    async def _lead(self, on_started: Callback, on_stopped: Callback) -> None:
        """Return when the lease is lost; raise what the work raises, unless it failed because of that."""
        failure: BaseException | None = None
        keeping = asyncio.create_task(self._keep())
        work = asyncio.ensure_future(on_started())
        try:
            await asyncio.wait({work, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if self.is_leader:
                failure = _failure_of(work)
            if self.is_leader and failure is None:
                await asyncio.wait({keeping})  # not awaited itself: to cancel us must not cancel it yet
            failure = failure or _failure_of(keeping)
        finally:
            await _end(work)
            try:
                await on_stopped()
            finally:
                await _end(keeping)
        if failure is not None:
            raise failure
        self._renewed_at = None
        logger.warning("Lost the lease", extra=self._fields())

    async def _keep(self) -> None:
        """Renew the lease again and again; return once it is lost."""
        while self._remaining_seconds() > 0:
            pause = self._timing.renew_seconds if self._is_certain else self._timing.poll_seconds
            await asyncio.sleep(min(pause, self._remaining_seconds()))
            if self._remaining_seconds() > 0:
                await self._try_to_hold(min(self._timing.request_seconds, self._remaining_seconds()))
        self._renewed_at = None

    async def _try_to_hold(self, within_seconds: float) -> bool:
        """Take or renew the lease if that is possible now; return whether it is held."""
        try:
            is_held = await self._hold(self._clock() + within_seconds)
        except (Conflict, AlreadyExists):
            self._is_certain = False
            return False
        except ClusterError as error:
            level = logging.DEBUG if self._is_troubled else logging.WARNING
            logger.log(level, "Could not look at the lease or write it: %s", error, extra=self._fields())
            self._is_certain, self._is_troubled = False, True
            return False
        self._is_troubled = False
        return is_held

    async def _hold(self, deadline: float) -> bool:
        was_leading = self._renewed_at is not None
        lease = await self._look(deadline)
        if not await self._may_take(lease):
            return False
        started_at, stamp = self._clock(), micro_time(now())
        timeout_seconds = self._seconds_until(deadline)
        if lease is None:
            first = self._claim.first(stamp=stamp)
            stored = await self._leases.create(self._key.namespace, first, timeout_seconds=timeout_seconds)
        else:
            following = self._claim.following(lease, stamp=stamp)
            stored = await self._leases.update(following, timeout_seconds=timeout_seconds)
        self._see(stored)
        if was_leading and self._renewed_at is None:
            return False
        self._renewed_at = started_at
        return True

    async def _look(self, deadline: float) -> Lease | None:
        """Return the lease as it is, None if there is none; a leader that wrote it last knows without asking."""
        if self._is_certain and self._sighting is not None and self._claim.is_held_in(self._sighting.lease):
            return self._sighting.lease
        try:
            lease = await self._leases.get(self._key, timeout_seconds=self._seconds_until(deadline))
        except NotFound:
            return None
        self._see(lease)
        return lease

    def _see(self, lease: Lease) -> None:
        if self._sighting is not None and self._sighting.is_newer_than(lease):
            raise StoreRewound(
                f"The lease {self._key} has an older version than before: the API server's data was restored from a "
                "snapshot; this process ends, and the one that takes its place begins anew"
            )
        self._is_certain = True
        before = self._sighting or Sighting(lease=lease, since=self._clock())
        self.has_seen_leader |= self._claim.is_held_in(lease) or before.proves_holder(lease)
        self._sighting = before.followed_by(lease, seen_at=self._clock())

    async def _may_take(self, lease: Lease | None) -> bool:
        """Decide whether the lease may be replaced; another's in place of ours ends our leading at once."""
        is_ours = lease is None or self._claim.is_held_in(lease)
        if self._renewed_at is not None and is_ours:
            return True
        self._renewed_at = None
        return (is_ours or self._seconds_until_free() == 0) and await self._may_lead()

    async def _release(self) -> None:
        """Give the lease up, if it is held, so that a standby takes over at its next look."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        try:
            await self._write_release()
        except ClusterError as error:
            logger.warning("Could not release the lease, it will run out: %s", error, extra=self._fields())
        else:
            logger.info("Released the lease", extra=self._fields())

    async def _write_release(self) -> None:
        """Write that nobody holds the lease; once more where a renewal that was given up has arrived meanwhile."""
        try:
            await self._write_release_once()
        except Conflict:
            await self._write_release_once()

    async def _write_release_once(self) -> None:
        timeout_seconds = self._timing.request_seconds
        lease = await self._leases.get(self._key, timeout_seconds=timeout_seconds)
        if self._claim.is_held_in(lease):
            await self._leases.update(release(lease, stamp=micro_time(now())), timeout_seconds=timeout_seconds)

    def _remaining_seconds(self) -> float:
        if self._renewed_at is None:
            return 0.0
        ends_at = self._renewed_at + self._timing.duration_seconds - self._timing.margin_seconds
        return max(ends_at - self._clock(), 0.0)

    def _seconds_until(self, deadline: float) -> float:
        return max(deadline - self._clock(), 0.01)

    def _seconds_until_free(self) -> float:
        if self._sighting is None:
            return 0.0
        usual_seconds = self._timing.duration_seconds
        return self._sighting.seconds_until_free(self._clock(), usual_duration_seconds=usual_seconds)

    def _standby_seconds(self) -> float:
        """Return when to look again: at a pace, not in step with other replicas, or just when the lease runs out."""
        pause = self._timing.poll_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        return min(pause, self._seconds_until_free() or pause)

    def _fields(self) -> dict[str, str]:
        return {"lease": str(self._key), "identity": self._claim.identity}


def _failure_of(work: asyncio.Future[None]) -> BaseException | None:
    return work.exception() if work.done() and not work.cancelled() else None


async def _end(work: asyncio.Future[None]) -> None:
    """Cancel and wait; an error on the way out changes nothing any more."""
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
