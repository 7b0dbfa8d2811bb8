"""One Lease in memory, with the API server's preconditions and with faults."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import msgspec

from diem_operator.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound, OutcomeUnknown
from diem_operator.model.lease import Lease, LeaseSpec
from diem_operator.model.metadata import ObjectKey

LEASE_KEY = ObjectKey(namespace="diem", name="diem-operator")


@dataclass
class FakeLeases:
    """The Leases of one API server, seen by one replica or by several."""

    stored: Lease | None = None
    version: int = 0
    writes: list[str] = field(default_factory=list)

    def store(self, lease: Lease) -> Lease:
        self.version += 1
        metadata = msgspec.structs.replace(lease.metadata, resource_version=str(self.version))
        self.stored = msgspec.structs.replace(lease, metadata=metadata)
        self.writes.append(lease.spec.holder_identity)
        return self.stored

    def edit(self, **spec: object) -> None:
        """Change the lease as somebody with kubectl would."""
        assert self.stored is not None
        self.store(msgspec.structs.replace(self.stored, spec=msgspec.structs.replace(self.stored.spec, **spec)))

    def restore(self, snapshot: Lease) -> None:
        """Bring an older version back, as the restore of a whole data store does."""
        self.stored, self.version = snapshot, snapshot.metadata.version

    @property
    def spec(self) -> LeaseSpec:
        assert self.stored is not None
        return self.stored.spec


@dataclass
class LeaseConnection:
    """One replica's way to the Leases.

    Attributes:
        is_cut: requests get no answer, and are not carried out.
        loses_answers: writes are carried out, and get no answer.
        errors: raised instead, one for each request.
    """

    leases: FakeLeases
    is_cut: bool = False
    loses_answers: bool = False
    latency_seconds: float = 0.01
    errors: deque[ClusterError] = field(default_factory=deque)

    async def get(self, key: ObjectKey, *, timeout_seconds: float) -> Lease:
        await self._send(timeout_seconds)
        found = self.leases.stored
        await asyncio.sleep(self.latency_seconds / 2)
        if found is None:
            raise NotFound(f"no {key}")
        return found

    async def create(self, namespace: str, lease: Lease, *, timeout_seconds: float) -> Lease:
        await self._send(timeout_seconds)
        if self.leases.stored is not None:
            raise AlreadyExists("it exists")
        stored = self.leases.store(lease)
        await self._receive(timeout_seconds)
        return stored

    async def update(self, lease: Lease, *, timeout_seconds: float) -> Lease:
        await self._send(timeout_seconds)
        current = self.leases.stored
        if current is None:
            raise NotFound("it is gone")
        if current.metadata.resource_version != lease.metadata.resource_version:
            raise Conflict("it has changed")
        stored = self.leases.store(lease)
        await self._receive(timeout_seconds)
        return stored

    async def _send(self, timeout_seconds: float) -> None:
        if self.errors:
            raise self.errors.popleft()
        if self.is_cut:
            await self._time_out(timeout_seconds)
        await asyncio.sleep(self.latency_seconds / 2)

    async def _receive(self, timeout_seconds: float) -> None:
        if self.loses_answers:
            await self._time_out(timeout_seconds)
        await asyncio.sleep(self.latency_seconds / 2)

    async def _time_out(self, timeout_seconds: float) -> None:
        await asyncio.sleep(timeout_seconds)
        raise OutcomeUnknown("no answer")
