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
"""The schemas are a large document, and tries to take a free Lease are frequent."""

MAX_NAMED_FIELDS: Final = 5


class SchemaGate:
    """Remembers a no for a moment, a yes never: CRDs may be replaced while another replica leads.

    Args:
        find_missing_fields: asks the cluster.
        clock: seconds, never stepping.
    """

    def __init__(
        self, find_missing_fields: Callable[[], Awaitable[tuple[str, ...]]], *, clock: Callable[[], float]
    ) -> None:
        self._find_missing_fields = find_missing_fields
        self._clock = clock
        self._closed_until: float | None = None
        self._reported = ""

    async def may_lead(self) -> bool:
        """Return whether the cluster keeps every field that this release writes."""
        if self._closed_until is not None and self._clock() < self._closed_until:
            return False
        problem = await self._find_problem()
        self._report(problem)
        self._closed_until = self._clock() + RECHECK_SECONDS if problem else None
        return not problem

    async def _find_problem(self) -> str:
        try:
            missing = await self._find_missing_fields()
        except ClusterError as error:
            return f"the CRDs cannot be read: {error}"
        if not missing:
            return ""
        named = ", ".join(missing[:MAX_NAMED_FIELDS])
        return f"the CRDs are older than this release, they lack {named}; apply the crds/ of this release"

    def _report(self, problem: str) -> None:
        if problem and problem != self._reported:
            logger.warning("Did not try to lead: %s", problem)
        self._reported = problem
