"""The parts of core/v1 Events that explain why a Job has no pods."""

from datetime import datetime

from diem_operator.model.metadata import ObjectMeta, Resource


class Event(Resource, frozen=True, kw_only=True):
    """An Event; newer writers fill `event_time` instead of the two timestamps."""

    metadata: ObjectMeta
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int = 0
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None

    @property
    def last_seen_at(self) -> datetime | None:
        """When it last happened, by the writer's clock."""
        return self.last_timestamp or self.event_time or self.metadata.creation_timestamp
