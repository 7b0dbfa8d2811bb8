"""The coordination.k8s.io/v1 Lease, which says which replica leads."""

from datetime import datetime

from diem_operator.model.metadata import ObjectKey, ObjectMeta, Resource, key_of


class LeaseSpec(Resource, frozen=True, kw_only=True):
    """`spec`; an absent or empty holder has released the lease.

    `acquire_time` and `renew_time` are for people: another machine's wall clock proves nothing, so they stay text.
    """

    holder_identity: str = ""
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int = 0


class Lease(Resource, frozen=True, kw_only=True):
    """A Lease as read from the API server."""

    metadata: ObjectMeta
    spec: LeaseSpec = LeaseSpec()

    @property
    def key(self) -> ObjectKey:
        """The namespace and name of this Lease."""
        return key_of(self.metadata)


def micro_time(at: datetime) -> str:
    """Return an aware UTC time as a Kubernetes MicroTime, which always has six digits of a second."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
