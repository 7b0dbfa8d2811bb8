"""Keeps a replica from leading while the CRDs are older than this release; asked at each try to take the Lease.

So a new release that was rolled out before its CRDs leaves the work to the old one, and takes over by itself as soon as
the CRDs are there.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from diem_operator.cluster.errors import ClusterError

logger = logging.getLogger(__name__)

RECHECK_SECONDS: Final = 10.0
"""The schemas are a large document, tries to take a free Lease are frequent, and CRDs change by a person's hand."""

REREAD_SECONDS: Final = 1.0
"""A schema that cannot be read is mostly an API server that has just started."""

MAX_NAMED_FIELDS: Final = 5


class SchemaGate:
    """Remembers a no for a moment, a yes never: CRDs may be replaced while another replica leads.

    Args:
        find_missing_fields: asks the cluster.
        clock: seconds, never stepping.

    Attributes:
        has_opened: whether the answer has ever been yes. Until then a rollout to this release must not go on: it would
            end the replicas of the release that can still lead.
    """

    def __init__(
        self, find_missing_fields: Callable[[], Awaitable[tuple[str, ...]]], *, clock: Callable[[], float]
    ) -> None:
        self._find_missing_fields = find_missing_fields
        self._clock = clock
        self._closed_until: float | None = None
        self._reported = ""
        self.has_opened = False

    async def may_lead(self) -> bool:
        """Return whether the cluster keeps every field that this release writes."""
        if self._closed_until is not None and self._clock() < self._closed_until:
            return False
        try:
            missing = await self._find_missing_fields()
        except ClusterError as error:
            return self._close(f"the CRDs cannot be read: {error}", for_seconds=REREAD_SECONDS)
        if missing:
            named = ", ".join(missing[:MAX_NAMED_FIELDS])
            problem = f"the CRDs are older than this release, they lack {named}; apply the crds/ of this release"
            return self._close(problem, for_seconds=RECHECK_SECONDS)
        self._closed_until, self._reported, self.has_opened = None, "", True
        return True

    def _close(self, problem: str, *, for_seconds: float) -> bool:
        self._closed_until = self._clock() + for_seconds
        if problem != self._reported:
            logger.warning("Did not try to lead: %s", problem)
        self._reported = problem
        return False
