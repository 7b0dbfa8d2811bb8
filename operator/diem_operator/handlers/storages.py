"""Storages for kopf that keep nothing.

kopf's own write annotations and status fields, and for each event they copy the whole object in search of a difference,
which is half the cost of receiving it; and they remember something of each object there is. `on.event` handlers need
none of that.
"""

from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory


class NoDifference(kopf.DiffBaseStorage):
    """Knows of no earlier state, and finds nothing in the present one."""

    def build(self, **_: Any) -> kopf.BodyEssence:  # noqa: ANN401 - whatever kopf passes is ignored
        """Return the nothing that later states would be compared with."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:  # noqa: ANN401 - whatever kopf passes is ignored
        """Return no earlier state."""

    def store(self, **_: Any) -> None:  # noqa: ANN401 - whatever kopf passes is ignored
        """Keep nothing."""


class NoProgress(kopf.ProgressStorage):
    """Keeps no record of handlers, so that nothing can ever be written into an object on their behalf."""

    def fetch(self, **_: Any) -> None:  # noqa: ANN401 - whatever kopf passes is ignored
        """Return no record."""

    def store(self, **_: Any) -> None:  # noqa: ANN401 - whatever kopf passes is ignored
        """Keep nothing."""

    def purge(self, **_: Any) -> None:  # noqa: ANN401 - whatever kopf passes is ignored
        """Remove nothing."""

    def touch(self, **_: Any) -> None:  # noqa: ANN401 - whatever kopf passes is ignored
        """Write nothing, not even to provoke another event."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """Return what was given: nothing of ours is in it."""
        return essence


class NoMemories(ResourceMemories):
    """Remembers no object; a kilobyte of each, which daemons, timers and retries would need.

    kopf takes another container as a documented argument, but exports neither its type nor that of a memory.
    """

    async def recall(self, raw_body: kopf.RawBody, **options: Any) -> ResourceMemory:  # noqa: ANN401 - kopf's
        """Return a memory that is forgotten with the event."""
        return await super().recall(raw_body, **options | {"ephemeral": True})
