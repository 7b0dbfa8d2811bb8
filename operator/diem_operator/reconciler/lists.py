"""LISTs of all that is served, in which a namespace whose reads are refused does not spoil the others.

Rights for some namespaces only are given in each. Where they are gone, as with a deleted namespace, every LIST is
refused for good; nothing may be concluded there from what it would have told.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from diem_operator.cluster.errors import ClusterError, Forbidden

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ServedLists:
    """Takes one LIST, or what is like it, after the other.

    Args:
        namespaces: where; None for all.
        what: they are called in the log.
    """

    def __init__(self, namespaces: Sequence[str | None], *, what: str) -> None:
        self._namespaces = namespaces
        self._what = what
        self._refused: frozenset[str | None] = frozenset()

    @property
    def refused(self) -> frozenset[str | None]:
        """Namespaces whose last LIST was refused, as that of another was not."""
        return self._refused

    async def take(self, list_one: Callable[[str | None], Awaitable[T]]) -> dict[str | None, T]:
        """Return the LISTs by namespace, without those that were refused.

        Raises:
            Forbidden: all were.
            ClusterError: one failed in another way.
        """
        taken: dict[str | None, T] = {}
        refusals: dict[str | None, Forbidden] = {}
        for namespace in self._namespaces:
            try:
                taken[namespace] = await list_one(namespace)
            except Forbidden as error:
                refusals[namespace] = error
        if refusals and not taken:
            raise next(iter(refusals.values()))
        self._note(refusals, listed=taken.keys())
        return taken

    async def take_refused(self, list_one: Callable[[str | None], Awaitable[T]]) -> dict[str | None, T]:
        """Try again where the last LIST was refused; return the LISTs by namespace, without those that failed again."""
        taken: dict[str | None, T] = {}
        for namespace in self._refused:
            try:
                taken[namespace] = await list_one(namespace)
            except ClusterError as error:
                logger.debug("Could not take %s in %s: %s", self._what, namespace, error)
        self._note({}, listed=taken.keys())
        return taken

    def _note(self, refusals: Mapping[str | None, Forbidden], *, listed: AbstractSet[str | None]) -> None:
        """Keep which were refused, and log each once."""
        for namespace in refusals.keys() - self._refused:
            logger.warning("Went on without %s in %s: %s", self._what, namespace, refusals[namespace])
        for namespace in self._refused & listed:
            logger.info("Had %s in %s again", self._what, namespace)
        self._refused = (self._refused - listed) | refusals.keys()
