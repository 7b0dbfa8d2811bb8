"""The real API server, with the operations that its model offers: so that both can be asked the same.

Kubernetes' own controllers work on the real one whenever they like, and on the model when a history says so. So:

- Jobs name another controller (`spec.managedBy`), and nobody touches them but who is asked to;
- a Job that is deleted in the foreground is held by a finalizer of our own, as its pods would hold it;
- what the garbage collector does to a finalizer is waited for, and left out of what watches told.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from diem_operator.cluster.endpoint import MERGE_PATCH, Endpoint
from diem_operator.cluster.errors import NotFound
from diem_operator.cluster.resources import DIEMJOBS, JOBS, Cluster
from diem_operator.cluster.watch import Changed
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import API_VERSION, DIEMJOB_KIND, JOB_LABEL_SELECTOR, LABEL_MANAGED_BY, MANAGED_BY
from tests.builders import NAME, make_template
from tests.simulation.api_server import Kind

TIMEOUT_SECONDS = 10.0
LONG_SECONDS = 60.0
HOLD = "example.com/pods"
SENTINEL = "sentinel"
DELETED_IN_FOREGROUND = "foregroundDeletion"

Told = tuple[Kind, str, str]
"""What a watch told: of which kind, with which event, of which object."""


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONG_SECONDS):
        while not await is_so():  # noqa: ASYNC110 - another program changes it
            await asyncio.sleep(0.01)


def make_spec(state: str | None) -> RawObject:
    return {"jobTemplate": make_template()} | ({} if state is None else {"state": state})


def make_job(name: str, *, owner_uid: str | None = None, is_invalid: bool = False) -> RawObject:
    owner = {"apiVersion": API_VERSION, "kind": DIEMJOB_KIND, "name": NAME, "uid": owner_uid}
    references = [] if owner_uid is None else [owner | {"controller": True, "blockOwnerDeletion": True}]
    pod = make_template()["spec"]["template"]["spec"] | {"restartPolicy": "Always" if is_invalid else "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {LABEL_MANAGED_BY: MANAGED_BY}, "ownerReferences": references},
        "spec": {"managedBy": "example.com/nobody", "template": {"spec": pod}},
    }


class RealApiServer:
    """One namespace of a real API server."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.told: list[Told] = []
        self._last: dict[tuple[Kind, str], DiemJob | Job] = {}

    def key(self, name: str) -> ObjectKey:
        return ObjectKey(namespace=self._namespace, name=name)

    # DiemJobs

    async def create_diemjob(self, spec: RawObject, name: str = NAME) -> None:
        manifest = {"apiVersion": "diem.io/v1", "kind": "DiemJob", "metadata": {"name": name}, "spec": spec}
        await self._request("POST", DIEMJOBS.collection(self._namespace), manifest)

    async def get_diemjob(self) -> DiemJob:
        return await self._cluster.diemjobs.get(self.key(NAME))

    async def patch_spec(self, changes: RawObject) -> None:
        await self._cluster.diemjobs.patch(self.key(NAME), {"spec": changes}, timeout_seconds=TIMEOUT_SECONDS)

    async def patch_json(self, operations: list[RawObject]) -> None:
        await self._cluster.diemjobs.patch_json(self.key(NAME), operations, timeout_seconds=TIMEOUT_SECONDS)

    async def patch_metadata(self, patch: RawObject) -> None:
        await self._cluster.diemjobs.patch(self.key(NAME), patch, timeout_seconds=TIMEOUT_SECONDS)

    async def patch_status(self, patch: RawObject) -> None:
        await self._cluster.diemjobs.patch_status(self.key(NAME), patch, timeout_seconds=TIMEOUT_SECONDS)

    async def wipe_status(self) -> None:
        path = DIEMJOBS.item(self._namespace, NAME, subresource="status")
        await self._request("PATCH", path, {"status": None}, MERGE_PATCH)

    async def delete_diemjob(self, *, is_foreground: bool) -> None:
        """Delete the DiemJob; the garbage collector begins at once."""
        options = {"propagationPolicy": "Foreground" if is_foreground else "Background"}
        await self._request("DELETE", DIEMJOBS.item(self._namespace, NAME), options)

    async def collect_garbage(self) -> None:
        """Wait until the garbage collector has nothing left to do, and no pod holds a Job."""
        for job in (await self._list_jobs()).values():
            await self._release(job.metadata.name)
        await eventually(self._is_collected)

    async def _is_collected(self) -> bool:
        diemjobs = {item.metadata.name: item for item in (await self._cluster.diemjobs.list(self._namespace)).items}
        uids = {diemjob.metadata.uid for diemjob in diemjobs.values() if not diemjob.metadata.is_being_deleted}
        has_orphan = any(job.owner and job.owner.uid not in uids for job in (await self._list_jobs()).values())
        return not has_orphan and (NAME not in diemjobs or not diemjobs[NAME].metadata.is_being_deleted)

    # Jobs

    async def create_job(self, manifest: RawObject) -> None:
        await self._cluster.jobs.create(self._namespace, manifest, timeout_seconds=TIMEOUT_SECONDS)

    async def get_job(self, name: str) -> Job:
        return await self._cluster.jobs.get(self.key(name))

    async def delete_job(
        self, name: str, *, uid: str | None, resource_version: str | None, is_foreground: bool
    ) -> RawObject | None:
        """Delete a Job; in the foreground it stays until `finish_deletion`."""
        before = await self._find_job(name)
        is_held = is_foreground and before is not None and _is_met(before, uid, resource_version)
        if is_held:
            await self._set_finalizers(name, [HOLD])
        if is_held and resource_version is not None:
            resource_version = (await self.get_job(name)).metadata.resource_version
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options = {
            "propagationPolicy": "Foreground" if is_foreground else "Background",
            "preconditions": {field: value for field, value in wanted.items() if value is not None},
        }
        answer = await self._request("DELETE", JOBS.item(self._namespace, name), options)
        await self._settle_deletion(name, is_foreground=is_foreground)
        remaining: RawObject = msgspec.json.decode(answer)
        return remaining if remaining["kind"] == "Job" and is_foreground else None

    async def _settle_deletion(self, name: str, *, is_foreground: bool) -> None:
        if not is_foreground:
            await self._release(name)
            return

        async def is_left_to_pods() -> bool:
            return (await self.get_job(name)).metadata.finalizers == (HOLD,)

        await eventually(is_left_to_pods)

    async def finish_deletion(self, name: str) -> None:
        """The pods are gone."""
        await self._release(name)

    async def annotate_job(self, name: str, value: str) -> None:
        await self._patch_job(name, {"metadata": {"annotations": {"example.com/seen": value}}})

    async def strip_label(self, name: str) -> None:
        await self._patch_job(name, {"metadata": {"labels": None}})

    async def _list_jobs(self) -> dict[str, Job]:
        listing = await Endpoint(self._cluster.server, JOBS, Job).list(self._namespace)
        return {job.metadata.name: job for job in listing.items}

    async def _find_job(self, name: str) -> Job | None:
        try:
            return await self.get_job(name)
        except NotFound:
            return None

    async def _release(self, name: str) -> None:
        job = await self._find_job(name)
        if job is not None and HOLD in job.metadata.finalizers:
            await self._set_finalizers(name, [other for other in job.metadata.finalizers if other != HOLD])

    async def _set_finalizers(self, name: str, finalizers: list[str]) -> None:
        await self._patch_job(name, {"metadata": {"finalizers": finalizers}})

    async def _patch_job(self, name: str, patch: RawObject) -> None:
        await self._request("PATCH", JOBS.item(self._namespace, name), patch, MERGE_PATCH)

    async def _request(self, method: str, path: str, body: object, content_type: str = "application/json") -> bytes:
        return await self._cluster.server.request(
            method, path, body=body, content_type=content_type, timeout_seconds=TIMEOUT_SECONDS
        )

    # Watches

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Take down what the operator's two watches tell."""
        begin = int((await self._cluster.diemjobs.list(self._namespace)).resource_version)
        async with asyncio.TaskGroup() as tasks:
            watches = [
                tasks.create_task(self._watch("DiemJob", self._cluster.diemjobs, begin)),
                tasks.create_task(self._watch("Job", self._cluster.jobs, begin, JOB_LABEL_SELECTOR)),
            ]
            yield
            for watch in watches:
                watch.cancel()

    async def _watch(
        self, kind: Kind, endpoint: Endpoint[DiemJob] | Endpoint[Job], begin: int, selector: str | None = None
    ) -> None:
        async with endpoint.watch(
            self._namespace, resource_version=begin, inactivity_seconds=LONG_SECONDS, label_selector=selector
        ) as changes:
            async for change in changes:
                if isinstance(change, Changed):
                    self._note(kind, change.type, change.item)

    def _note(self, kind: Kind, event: str, item: DiemJob | Job) -> None:
        place = kind, item.metadata.name
        before = self._last.pop(place, None)
        if event != "DELETED":
            self._last[place] = item
        if event == "MODIFIED" and before is not None and _without_finalizers(before) == _without_finalizers(item):
            return
        self.told.append((kind, event, item.metadata.name))

    async def hear_all(self, manifest: RawObject, spec: RawObject) -> list[Told]:
        """Return what the watches have told, once they have told of two objects that are made now."""
        await self.create_diemjob(spec, SENTINEL)
        await self.create_job(manifest)

        async def has_heard() -> bool:
            return {kind for kind, _, name in self.told if name == SENTINEL} == {"DiemJob", "Job"}

        await eventually(has_heard)
        return [told for told in self.told if told[2] != SENTINEL]


def _is_met(job: Job, uid: str | None, resource_version: str | None) -> bool:
    """Whether the preconditions of a deletion that begins now are met; if not, nothing may change."""
    metadata = job.metadata
    is_same = uid in {None, metadata.uid} and resource_version in {None, metadata.resource_version}
    return is_same and not metadata.is_being_deleted


def _without_finalizers(item: DiemJob | Job) -> DiemJob | Job:
    metadata = msgspec.structs.replace(item.metadata, finalizers=(), resource_version="")
    return msgspec.structs.replace(item, metadata=metadata)
