"""Turns every await of the operator on the API server into a request that somebody else lets land, loses or delays.

A coroutine of the operator runs until it needs the API server; what it asks then comes out of `coroutine.send(None)`,
and the answer goes back in. There is no event loop and no thread, so an order of events that failed fails again.
"""

import types
from collections.abc import Generator
from typing import TypeVar

import msgspec

from diem_operator.cluster.endpoint import Listing
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.event import Event
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import LABEL_DIEMJOB, LABEL_JOB_NAME, Uid
from diem_operator.model.pod import Pod
from tests.builders import NAME
from tests.simulation.api_server import ModelApiServer, find_owner, is_finished, is_selected, run_id_of
from tests.simulation.trace import Request

T = TypeVar("T")


@types.coroutine
def _ask(request: Request) -> Generator[Request, object, object]:
    answer = yield request
    return answer


class ModelCluster:
    """Stands in for `diem_operator.cluster.resources.Cluster`."""

    def __init__(self, server: ModelApiServer) -> None:
        self.diemjobs = ModelDiemJobs(server)
        self.jobs = ModelJobs(server)
        self.pods = ModelPods(server)
        self.events = ModelEvents()


class ModelDiemJobs:
    def __init__(self, server: ModelApiServer) -> None:
        self._server = server

    async def get(self, key: ObjectKey) -> DiemJob:
        return _decode(DiemJob, await _ask(Request("GET DiemJob", False, self._server.get_diemjob)))

    async def list(self, namespace: str | None = None, *, begun_since: float | None = None) -> Listing[DiemJob]:
        def carry_out() -> object:
            return [] if self._server.diemjob is None else [self._server.diemjob]

        return _decode_list(DiemJob, await _ask(Request("LIST DiemJobs", False, carry_out)))

    async def patch_status(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> DiemJob:
        request = Request("PATCH DiemJob status", True, lambda: self._server.patch_status(patch))
        return _decode(DiemJob, await _ask(request))

    async def patch(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> DiemJob:
        request = Request("PATCH DiemJob", True, lambda: self._server.patch_metadata(patch))
        return _decode(DiemJob, await _ask(request))


class ModelJobs:
    def __init__(self, server: ModelApiServer) -> None:
        self._server = server

    async def get(self, key: ObjectKey) -> Job:
        return _decode(Job, await _ask(Request(f"GET Job {key.name}", False, lambda: self._server.get_job(key.name))))

    async def list(self, namespace: str | None = None, *, label_selector: str) -> Listing[Job]:
        assert label_selector.split("=", maxsplit=1)[0] in {LABEL_DIEMJOB, "app.kubernetes.io/managed-by"}
        return _decode_list(Job, await _ask(Request("LIST Jobs", False, self._list)))

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> Job:
        text = f"POST Job {manifest['metadata']['name']}"
        request = Request(text, True, lambda: self._server.create_job(manifest), posts=run_id_of(manifest))
        return _decode(Job, await _ask(request))

    async def delete(
        self, key: ObjectKey, *, uid: Uid, resource_version: str | None, propagation: str, timeout_seconds: float
    ) -> Job | None:
        def carry_out() -> object:
            is_foreground, before = propagation == "Foreground", self._server.jobs.get(key.name)
            after = self._server.delete_job(
                key.name, uid=uid, resource_version=resource_version, is_foreground=is_foreground
            )
            if before is not None:
                self._server.watcher.job_deleted_by_operator(before, is_foreground=is_foreground)
            return after

        remaining = await _ask(Request(f"DELETE Job {key.name}", True, carry_out))
        return None if remaining is None else _decode(Job, remaining)

    def _list(self) -> object:
        jobs = [job for job in self._server.jobs.values() if is_selected(job)]
        return [job for job in jobs if (find_owner(job) or {"name": NAME})["name"] == NAME]


class ModelPods:
    """One pod for every Job that has begun and is not over."""

    def __init__(self, server: ModelApiServer) -> None:
        self._server = server

    async def list(self, namespace: str, *, label_selector: str) -> tuple[Pod, ...]:
        name = label_selector.removeprefix(f"{LABEL_JOB_NAME}=")
        answer = await _ask(Request(f"LIST Pods of {name}", False, lambda: self._list(name)))
        return msgspec.convert(answer, tuple[Pod, ...])

    def _list(self, name: str) -> object:
        job = self._server.jobs.get(name)
        if job is None or is_finished(job) or not job["status"].get("active"):
            return []
        is_running = job["status"].get("ready", 0) > 0
        condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
        status: RawObject = {"phase": "Running"} if is_running else {"phase": "Pending", "conditions": [condition]}
        return [{"metadata": {"name": f"{name}-pod"}, "status": status}]


class ModelEvents:
    async def list_for(self, namespace: str, *, kind: str, name: str, uid: str) -> tuple[Event, ...]:
        await _ask(Request(f"LIST Events of {name}", False, list))
        return ()


def _decode(kind: type[T], raw: object) -> T:
    return msgspec.convert(raw, kind)


def _decode_list(kind: type[T], raw: object) -> Listing[T]:
    assert isinstance(raw, list)
    return Listing(items=tuple(_decode(kind, item) for item in raw), resource_version=1)
