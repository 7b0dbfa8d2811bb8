"""What is written into a Lease, and what can be told from having seen one; no I/O, no clock."""

from dataclasses import dataclass

import msgspec

from diem_operator.model.lease import Lease, LeaseSpec
from diem_operator.model.metadata import ObjectKey, ObjectMeta


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a holder writes.

    Attributes:
        key: of the Lease.
        identity: of the holder.
        duration_seconds: without a renewal for so long, the lease is free.
    """

    key: ObjectKey
    identity: str
    duration_seconds: int

    def is_held_in(self, lease: Lease) -> bool:
        """Whether the lease is this holder's."""
        return lease.spec.holder_identity == self.identity

    def first(self, *, stamp: str) -> Lease:
        """Return the Lease to create where there is none; `stamp` is the time, for people."""
        metadata = ObjectMeta(name=self.key.name, namespace=self.key.namespace)
        return Lease(metadata=metadata, spec=self._spec(LeaseSpec(), acquire_time=stamp, stamp=stamp))

    def following(self, lease: Lease, *, stamp: str) -> Lease:
        """Return what replaces the lease: renewed if it is ours, else taken over."""
        if self.is_held_in(lease):
            return replace_spec(lease, self._spec(lease.spec, acquire_time=lease.spec.acquire_time, stamp=stamp))
        taken = msgspec.structs.replace(lease.spec, lease_transitions=lease.spec.lease_transitions + 1)
        return replace_spec(lease, self._spec(taken, acquire_time=stamp, stamp=stamp))

    def _spec(self, before: LeaseSpec, *, acquire_time: str | None, stamp: str) -> LeaseSpec:
        return LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=self.duration_seconds,
            acquire_time=acquire_time,
            renew_time=stamp,
            lease_transitions=before.lease_transitions,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """A lease as last read or written, and when its content was first seen, on our own clock."""

    lease: Lease
    since: float

    def followed_by(self, lease: Lease, *, seen_at: float) -> "Sighting":
        """Return the sighting after the lease was seen again; only a change of its content proves a living holder."""
        is_unchanged = lease.spec == self.lease.spec
        return Sighting(lease=lease, since=self.since if is_unchanged else seen_at)

    def is_newer_than(self, lease: Lease) -> bool:
        """Whether the API server's data has gone back in time since, as when a snapshot is restored."""
        return self.lease.metadata.version > lease.metadata.version

    def proves_holder(self, lease: Lease) -> bool:
        """Whether somebody who lives holds the lease as it is now: it has a holder, and was written since."""
        return bool(lease.spec.holder_identity) and lease.spec != self.lease.spec

    def seconds_until_free(self, at: float, *, usual_duration_seconds: int) -> float:
        """Return how long the holder may still rely on the lease; its own duration counts, if it has written one."""
        if not self.lease.spec.holder_identity:
            return 0.0
        duration = self.lease.spec.lease_duration_seconds or usual_duration_seconds
        return max(self.since + duration - at, 0.0)


def release(lease: Lease, *, stamp: str) -> Lease:
    """Return the lease without a holder."""
    return replace_spec(lease, msgspec.structs.replace(lease.spec, holder_identity="", renew_time=stamp))


def replace_spec(lease: Lease, spec: LeaseSpec) -> Lease:
    """Return the lease with another spec; its metadata carries the resourceVersion that makes the write conditional."""
    return msgspec.structs.replace(lease, spec=spec)
