"""Follows one kind of resource: a list, then a watch from there, for ever; tells what changes, keeps nothing itself.

    list ──► watch ──► events, bookmarks ──► (the server ends the stream) ──► watch again from the last resourceVersion
      ▲                     │
      └───── trouble ◄──────┘      after a growing pause, or at once when a list is due

After trouble it lists: the server may have come back with older data, and then a watch from a resourceVersion that
these data have not reached stays silent. Whoever keeps a cache with it must ask `confirmed_at` how old its knowledge
may be: rights can be revoked, networks cut.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NoReturn, TypeVar

from diem_operator.cluster.endpoint import Endpoint
from diem_operator.cluster.errors import ClusterError, Forbidden, Gone, TooManyRequests
from diem_operator.cluster.watch import Bookmark, Changed, EventType, Undecodable
from diem_operator.model.metadata import ObjectKey

logger = logging.getLogger(__name__)

T = TypeVar("T")

REFUSED_SECONDS: Final = 3.0
"""Lists that are forbidden again after so long are so for good; an API server that has just started does it once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReflectorTiming:
    """How long things take.

    Attributes:
        inactivity_seconds: a watch without a byte for so long counts as dead; a bookmark comes about each minute.
        first_pause_seconds: after the first failure; doubled with each further one.
        most_pause_seconds: the longest pause, also when the server asks for a longer one.
        settled_seconds: a watch that lasted so long was no failure, even if it brought nothing.
        relist_seconds: after the last list another is due, for what a watch may have kept to itself; None: never.
    """

    inactivity_seconds: float = 70.0
    first_pause_seconds: float = 0.05
    most_pause_seconds: float = 5.0
    settled_seconds: float = 5.0
    relist_seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reactions(Generic[T]):
    """What to do with what is learnt; called on the event loop, in the server's order, and must not block.

    Attributes:
        before_list: a list is about to be asked for; the next `on_replace` tells what it answered.
        on_replace: everything there is, and the resourceVersion; forget what is not in it.
        on_event: one object, and the resourceVersion.
        on_undecodable: an object changed to what its type does not know, by this resourceVersion; forget it rather than
            believe the old one. Those of a list come before its `on_replace`, which lacks them.
    """

    on_replace: Callable[[tuple[T, ...], int], None]
    on_event: Callable[[EventType, T, int], None]
    on_undecodable: Callable[[ObjectKey, int], None]
    before_list: Callable[[], None] = lambda: None


class Reflector(Generic[T]):
    """Follows the objects of an endpoint.

    Args:
        endpoint: which kind.
        reactions: told everything.
        namespace: None for all.
        label_selector: as kubectl takes it.
        timing: only tests change it.
    """

    def __init__(
        self,
        endpoint: Endpoint[T],
        reactions: Reactions[T],
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        timing: ReflectorTiming | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._reactions = reactions
        self._namespace = namespace
        self._label_selector = label_selector
        self._timing = timing or ReflectorTiming()
        self._synced = asyncio.Event()
        self._is_refused = False
        self._forbidden_since: float | None = None
        self._must_list = True
        self._relist_at: float | None = None
        self._resource_version = 0
        self._confirmed_at: float | None = None
        self._failures = 0

    @property
    def namespace(self) -> str | None:
        """Whose objects are followed; None for all."""
        return self._namespace

    @property
    def is_synced(self) -> bool:
        """Whether everything has been listed once; says nothing about now, see `confirmed_at`."""
        return self._synced.is_set()

    @property
    def is_refused(self) -> bool:
        """Whether the API server has forbidden lists again and again, and none has succeeded since."""
        return self._is_refused

    @property
    def resource_version(self) -> int:
        """Up to where the changes have been told; 0 before the first list."""
        return self._resource_version

    @property
    def confirmed_at(self) -> float | None:
        """When the server last proved that nothing is missing up to `resource_version`, on the event loop's clock."""
        return self._confirmed_at

    async def wait_until_synced(self) -> None:
        """Return when the first list has been told."""
        await self._synced.wait()

    async def run(self) -> NoReturn:
        """Follow until cancelled; only an error of a reaction ends it."""
        while True:
            pause_seconds = await self._follow_once()
            if pause_seconds > 0:
                await asyncio.sleep(pause_seconds)

    async def _follow_once(self) -> float:
        """List if needed, then watch until the stream ends; return how long to wait before the next time."""
        started_at = _loop_seconds()
        try:
            if self._must_list:
                await self._list()
            async with asyncio.timeout_at(self._relist_at):
                await self._watch()
        except TimeoutError:
            self._must_list = True
            return 0.0
        except ClusterError as error:
            return self._recover(error)
        if _loop_seconds() - started_at >= self._timing.settled_seconds:
            self._failures = 0
            return 0.0
        return self._next_pause()

    async def _list(self) -> None:
        self._reactions.before_list()
        listing = await self._endpoint.list(self._namespace, label_selector=self._label_selector)
        self._must_list = self._is_refused = False
        self._forbidden_since = None
        if self._timing.relist_seconds is not None:
            self._relist_at = _loop_seconds() + self._timing.relist_seconds
        for key in listing.undecodable:
            self._reactions.on_undecodable(key, listing.resource_version)
        self._reactions.on_replace(listing.items, listing.resource_version)
        self._confirm(listing.resource_version)
        self._synced.set()

    async def _watch(self) -> None:
        watch = self._endpoint.watch(
            self._namespace,
            resource_version=self._resource_version,
            inactivity_seconds=self._timing.inactivity_seconds,
            label_selector=self._label_selector,
        )
        async with watch as changes:
            async for change in changes:
                if change.resource_version < self._resource_version:
                    raise Gone(f"WATCH {self._endpoint!r}: resourceVersions went back, to {change.resource_version}")
                self._take(change)
                self._confirm(change.resource_version)
                self._failures = 0

    def _take(self, change: Changed[T] | Undecodable | Bookmark) -> None:
        match change:
            case Changed():
                self._reactions.on_event(change.type, change.item, change.resource_version)
            case Undecodable():
                logger.warning("%r: %s cannot be decoded, %s", self._endpoint, change.key, change.problem)
                self._reactions.on_undecodable(change.key, change.resource_version)
            case Bookmark():
                pass

    def _confirm(self, resource_version: int) -> None:
        # A list can be older than what a watch has told before, when the API server's data were restored.
        self._resource_version = resource_version
        self._confirmed_at = _loop_seconds()

    def _recover(self, error: ClusterError) -> float:
        is_news = self._note_refusal(error) or (self._failures == 0 and not isinstance(error, Gone))
        level = logging.WARNING if is_news else logging.DEBUG
        logger.log(level, "Could not follow %r, trying again: %s", self._endpoint, error)
        pause_seconds = self._next_pause()
        if isinstance(error, TooManyRequests):
            # Its data are what they were, and a list would be more work for it than a watch.
            return min(max(pause_seconds, error.retry_after_seconds), self._timing.most_pause_seconds)
        self._must_list = True
        return pause_seconds

    def _note_refusal(self, error: ClusterError) -> bool:
        """Note a list that was forbidden; return whether that is the first one."""
        if not (self._must_list and isinstance(error, Forbidden)):
            return False
        is_first = self._forbidden_since is None
        now = _loop_seconds()
        since = self._forbidden_since = self._forbidden_since or now
        self._is_refused |= now - since >= REFUSED_SECONDS
        return is_first

    def _next_pause(self) -> float:
        longest = self._timing.first_pause_seconds * 2.0 ** min(self._failures, 32)
        self._failures += 1
        return min(longest, self._timing.most_pause_seconds) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


class Watch(Generic[T]):
    """The reflectors of one kind of resource: one for the cluster, or one for each namespace that is served.

    With one for each, rights are given in each: where they are gone, as with a deleted namespace, reads are refused for
    good. The others go on as if it were not there.
    """

    def __init__(self, reflectors: Sequence[Reflector[T]]) -> None:
        self._reflectors = tuple(reflectors)

    @property
    def is_synced(self) -> bool:
        """Whether everything that may be read has been listed once; where nothing may, nothing has."""
        return self._holds(lambda reflector: reflector.is_synced)

    def may_lack(self, namespace: str) -> bool:
        """Whether there may be objects in a namespace that were never told, as it was not listed yet, or is refused.

        Not where all namespaces are refused together, which is no better known than that they are not confirmed; nor in
        one that is not served, where there is nothing to tell.
        """
        return any(
            not each.is_synced or (each.is_refused and each.namespace is not None)
            for each in self._find_reflectors(namespace)
        )

    def is_confirmed(self, namespace: str | None = None, *, within_seconds: float) -> bool:
        """Whether the API server has lately proved that nothing is missing.

        Args:
            namespace: in this one; with None, wherever reads are not refused.
            within_seconds: how long ago at most.
        """
        earliest = _loop_seconds() - within_seconds

        def is_recent(reflector: Reflector[T]) -> bool:
            return reflector.confirmed_at is not None and reflector.confirmed_at >= earliest

        if namespace is None:
            return self._holds(is_recent)
        return self.is_synced and any(map(is_recent, self._find_reflectors(namespace)))

    def _holds(self, condition: Callable[[Reflector[T]], bool]) -> bool:
        """Whether it holds somewhere, and everywhere but where reads are refused."""
        everywhere = all(condition(reflector) or reflector.is_refused for reflector in self._reflectors)
        return everywhere and any(condition(reflector) for reflector in self._reflectors)

    def _find_reflectors(self, namespace: str) -> list[Reflector[T]]:
        return [reflector for reflector in self._reflectors if reflector.namespace in {None, namespace}]

    async def run(self) -> None:
        """Follow until cancelled; only an error ends it."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._reflectors:
                tasks.create_task(reflector.run())


def _loop_seconds() -> float:
    return asyncio.get_running_loop().time()
