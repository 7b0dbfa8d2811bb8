"""A cluster in memory: DiemJobs and DiemApiKeys with resourceVersions, watches, and failures on demand."""

import asyncio
import copy
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar, cast

import msgspec

from diem_operator.cluster.endpoint import Listing
from diem_operator.cluster.errors import AlreadyExists, Conflict, Forbidden, NotFound
from diem_operator.cluster.resources import Cluster
from diem_operator.cluster.watch import Bookmark, Changed, EventType, Undecodable
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.secret import Secret

T = TypeVar("T", DiemJob, DiemApiKey)

Change = Changed[T] | Undecodable | Bookmark


class FakeEndpoint(Generic[T]):
    """Objects of one kind.

    Attributes:
        gets: the keys that were read, in order.
        failures: raised by the next calls, one each; None lets one through.
        late_failures: raised by the next writes after they were stored.
        gate: reads wait until it is set.
        refused: namespaces in which lists and new watches are forbidden.
    """

    def __init__(self, item_type: type[T]) -> None:
        self._item_type: type[T] = item_type
        self._objects: dict[ObjectKey, T] = {}
        self._version = 100
        self._watches: list[asyncio.Queue[Change[T]]] = []
        self._held: list[Change[T]] | None = None
        self.gets: list[ObjectKey] = []
        self.patches: list[Sequence[RawObject]] = []
        self.failures: deque[Exception | None] = deque()
        self.late_failures: deque[Exception] = deque()
        self.gate = asyncio.Event()
        self.gate.set()
        self.refused: set[str | None] = set()

    def __repr__(self) -> str:
        return f"FakeEndpoint({self._item_type.__name__})"

    # What a test does to the cluster.

    def store(self, item: T) -> T:
        self._version += 1
        event_type = EventType.MODIFIED if item.key in self._objects else EventType.ADDED
        metadata = msgspec.structs.replace(item.metadata, resource_version=str(self._version))
        stored = msgspec.structs.replace(item, metadata=metadata)
        self._objects[item.key] = stored
        self.tell(Changed(type=event_type, item=stored, resource_version=self._version))
        return stored

    def change(self, key: ObjectKey, **fields: object) -> T:
        return self.store(msgspec.structs.replace(self._objects[key], **fields))

    def remove(self, key: ObjectKey) -> None:
        self._version += 1
        self.tell(Changed(type=EventType.DELETED, item=self._objects.pop(key), resource_version=self._version))

    def stored(self, key: ObjectKey) -> T:
        return self._objects[key]

    def hold_watch(self) -> None:
        self._held = []

    def release_watch(self) -> None:
        held, self._held = self._held or [], None
        for change in held:
            self.tell(change)

    def tell(self, change: Change[T]) -> None:
        if self._held is not None:
            self._held.append(change)
            return
        for watch in self._watches:
            watch.put_nowait(change)

    # What the product calls.

    async def get(self, key: ObjectKey, *, timeout_seconds: float = 10.0) -> T:
        self.gets.append(key)
        found = self._objects.get(key)
        await self.gate.wait()
        self._maybe_fail()
        if found is None:
            raise NotFound("not found")
        return found

    async def list(self, namespace: str | None = None, **_: object) -> Listing[T]:
        self._maybe_fail()
        self._maybe_refuse(namespace)
        items = tuple(item for item in self._objects.values() if namespace in {None, item.metadata.namespace})
        return Listing(items=items, resource_version=self._version)

    @asynccontextmanager
    async def watch(self, namespace: str | None = None, **_: object) -> AsyncIterator[AsyncIterator[Change[T]]]:
        self._maybe_refuse(namespace)
        changes: asyncio.Queue[Change[T]] = asyncio.Queue()
        self._watches.append(changes)

        async def read() -> AsyncIterator[Change[T]]:
            while True:
                change = await changes.get()
                is_elsewhere = isinstance(change, Changed) and namespace not in {None, change.item.metadata.namespace}
                if not is_elsewhere:
                    yield change

        try:
            yield read()
        finally:
            self._watches.remove(changes)

    async def patch_json(self, key: ObjectKey, operations: Sequence[RawObject], *, timeout_seconds: float) -> T:
        self._maybe_fail()
        guard, *changes = operations
        if guard["value"] != self._objects[key].metadata.resource_version:
            raise Conflict("the object has been modified")
        self.patches.append(operations)
        raw: dict[str, Any] = msgspec.to_builtins(self._objects[key])
        for operation in copy.deepcopy(changes):
            *parents, last = operation["path"].strip("/").split("/")
            place = raw
            for parent in parents:
                place = place[parent]
            place[last] = operation["value"]
        stored = self.store(msgspec.convert(raw, self._item_type))
        if self.late_failures:
            raise self.late_failures.popleft()
        return stored

    async def patch_status(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> T:
        self._maybe_fail()
        if key not in self._objects:
            raise NotFound("not found")
        if patch["metadata"]["resourceVersion"] != self._objects[key].metadata.resource_version:
            raise Conflict("the object has been modified")
        raw: dict[str, Any] = msgspec.to_builtins(self._objects[key])
        status = raw.get("status", {}) | patch["status"]
        raw["status"] = {name: value for name, value in status.items() if value is not None}
        self.patches.append([patch])
        return self.store(msgspec.convert(raw, self._item_type))

    def _maybe_refuse(self, namespace: str | None) -> None:
        if namespace in self.refused:
            raise Forbidden(f"may not be read in {namespace}")

    def _maybe_fail(self) -> None:
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            raise failure


class FakeSecrets:
    """Secrets by namespace and name; `failures` are raised by the next calls."""

    def __init__(self) -> None:
        self.manifests: dict[ObjectKey, RawObject] = {}
        self.creations = 0
        self.failures: deque[Exception] = deque()

    async def get(self, key: ObjectKey) -> Secret:
        self._maybe_fail()
        if key not in self.manifests:
            raise NotFound("not found")
        return msgspec.convert(self.manifests[key], Secret)

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> None:
        self.creations += 1
        self._maybe_fail()
        key = ObjectKey(namespace=namespace, name=manifest["metadata"]["name"])
        if key in self.manifests:
            raise AlreadyExists("already exists")
        self.manifests[key] = manifest

    async def patch(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> None:
        self._maybe_fail()
        stored = self.manifests[key]
        if patch["metadata"]["resourceVersion"] != stored["metadata"].get("resourceVersion", ""):
            raise Conflict("it has changed")
        self.manifests[key] = stored | {name: value for name, value in patch.items() if name != "metadata"}

    def _maybe_fail(self) -> None:
        if self.failures:
            raise self.failures.popleft()


class FakeCluster:
    def __init__(self) -> None:
        self.secrets = FakeSecrets()
        self.diemjobs = FakeEndpoint(DiemJob)
        self.apikeys = FakeEndpoint(DiemApiKey)

    def as_cluster(self) -> Cluster:
        return cast("Cluster", self)
