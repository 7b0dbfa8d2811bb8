"""A model of the API server: one DiemJob by name, the Jobs around it, and the rules by which Kubernetes keeps them.

Modelled because decisions rest on it: resourceVersions and preconditions, generations, the status subresource, unique
names, admission before storage (a quota answers before "already exists" does), foreground deletion, the label
selector of a watch, owner references without owner. Objects are never changed in place, so a reference to one is a
version of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from diem_operator.cluster.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import ANNOTATION_RUN_ID, API_VERSION, DIEMJOB_KIND, LABEL_MANAGED_BY, MANAGED_BY, RunId
from diem_operator.planning.world import World
from tests.builders import NAME, NAMESPACE, NOW
from tests.simulation.trace import Request, Trace

Kind = Literal["DiemJob", "Job"]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """What a watch tells."""

    type: EventType
    raw: RawObject


class Watcher:
    """Is told of requests and writes before anybody else; the ledger."""

    def request_sent(self, request: Request, *, is_fenced: bool) -> None:
        """An operator asked for something; `is_fenced`: its lease was over by then."""

    def work_left(self, world: World) -> None:
        """An operator has looked at this, and left what it would have done next for later."""

    def job_created(self, raw: RawObject) -> None:
        """A Job was stored."""

    def job_deleted_by_operator(self, raw: RawObject, *, is_foreground: bool) -> None:
        """An operator's DELETE of this version of a Job was accepted."""

    def diemjob_changed(self, old: RawObject | None, new: RawObject | None) -> None:
        """A DiemJob was created, changed or removed."""


def merge(target: RawObject, patch: RawObject) -> RawObject:
    """Apply a JSON Merge Patch (RFC 7396)."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            old = merged.get(name)
            merged[name] = merge(old if isinstance(old, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def is_selected(job: RawObject) -> bool:
    """Whether the operator's label selector chooses a Job."""
    return bool(job["metadata"].get("labels", {}).get(LABEL_MANAGED_BY) == MANAGED_BY)


def find_owner(job: RawObject) -> RawObject | None:
    """Return the owner reference to a DiemJob."""
    references = job["metadata"].get("ownerReferences", [])
    return next((reference for reference in references if reference["kind"] == DIEMJOB_KIND), None)


def run_id_of(job: RawObject) -> RunId:
    """Return the id of the run that a Job says it was made for."""
    return RunId(job["metadata"].get("annotations", {}).get(ANNOTATION_RUN_ID, ""))


def is_finished(job: RawObject) -> bool:
    return bool(job.get("status", {}).get("conditions"))


def is_being_deleted(raw: RawObject) -> bool:
    return "deletionTimestamp" in raw["metadata"]


@dataclass
class ModelApiServer:
    """The objects, their history for watches, and what is refused at the moment.

    Args:
        watcher: is told of every write.
        is_quota_exceeded: refuses new Jobs for now (403).
        is_template_invalid: refuses new Jobs for good (422).
    """

    watcher: Watcher
    trace: Trace = field(default_factory=Trace)
    now: datetime = NOW
    is_quota_exceeded: bool = False
    is_template_invalid: bool = False
    diemjob: RawObject | None = None
    jobs: dict[str, RawObject] = field(default_factory=dict)
    journals: dict[Kind, list[WatchEvent]] = field(default_factory=lambda: {"DiemJob": [], "Job": []})
    _revision: int = 100
    _uids: int = 0

    # DiemJobs

    def create_diemjob(self, spec: RawObject, *, annotations: dict[str, str] | None = None) -> None:
        """Store a new DiemJob under the one name there is, with a uid that no other ever had."""
        if self.diemjob is not None:
            raise AlreadyExists(f"DiemJob {NAME} exists")
        metadata: RawObject = {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": self._next_uid("diemjob"),
            "generation": 1,
            "creationTimestamp": self._time(),
            "annotations": dict(annotations or {}),
        }
        raw = {"apiVersion": API_VERSION, "kind": DIEMJOB_KIND, "metadata": metadata, "spec": spec}
        self._store_diemjob("ADDED", raw)

    def get_diemjob(self) -> RawObject:
        if self.diemjob is None:
            raise NotFound(f"DiemJob {NAME} does not exist")
        return self.diemjob

    def patch_spec(self, changes: RawObject) -> None:
        """Replace whole fields of the spec, as kubectl does where a field is atomic; None removes one."""
        raw = self.get_diemjob()
        spec = {name: value for name, value in (raw["spec"] | changes).items() if value is not None}
        if spec != raw["spec"]:
            metadata = raw["metadata"] | {"generation": raw["metadata"]["generation"] + 1}
            self._store_diemjob("MODIFIED", raw | {"spec": spec, "metadata": metadata})

    def patch_json(self, operations: list[RawObject]) -> RawObject:
        """Apply what the HTTP API sends: a guard on the resourceVersion, then fields of the spec."""
        guard, *changes = operations
        assert guard["path"] == "/metadata/resourceVersion", "the API patches whatever version there is"
        self._check_version(self.get_diemjob(), guard["value"])
        self.patch_spec({change["path"].removeprefix("/spec/"): change["value"] for change in changes})
        return self.get_diemjob()

    def patch_metadata(self, patch: RawObject) -> RawObject:
        """Merge annotations."""
        raw = self.get_diemjob()
        self._check_version(raw, patch["metadata"]["resourceVersion"])
        annotations = merge(raw["metadata"]["annotations"], patch["metadata"]["annotations"])
        if annotations != raw["metadata"]["annotations"]:
            self._store_diemjob("MODIFIED", raw | {"metadata": raw["metadata"] | {"annotations": annotations}})
        return self.get_diemjob()

    def patch_status(self, patch: RawObject) -> RawObject:
        """Merge the status."""
        raw = self.get_diemjob()
        self._check_version(raw, patch["metadata"]["resourceVersion"])
        status = merge(raw.get("status", {}), patch["status"])
        if status != raw.get("status", {}):
            self._store_diemjob("MODIFIED", raw | {"status": status})
        return self.get_diemjob()

    def wipe_status(self) -> None:
        raw = dict(self.get_diemjob())
        if raw.pop("status", None):
            self._store_diemjob("MODIFIED", raw)

    def delete_diemjob(self, *, is_foreground: bool) -> None:
        """Delete the DiemJob: at once, or when the garbage collector has removed its Jobs."""
        raw = self.get_diemjob()
        if not is_foreground:
            self._remove_diemjob(raw)
        elif not is_being_deleted(raw):
            generation = raw["metadata"]["generation"] + 1
            metadata = raw["metadata"] | {"deletionTimestamp": self._time(), "generation": generation}
            self._store_diemjob("MODIFIED", raw | {"metadata": metadata})

    # Jobs

    def create_job(self, manifest: RawObject) -> RawObject:
        """Store a Job if admission lets it pass and its name is free."""
        if self.is_template_invalid:
            raise Invalid("the Job is invalid", message="spec.template: Invalid value")
        if self.is_quota_exceeded:
            raise Forbidden("the quota is exceeded", message="exceeded quota: jobs")
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            raise AlreadyExists(f"Job {name} exists")
        metadata = manifest["metadata"] | {"uid": self._next_uid("job"), "creationTimestamp": self._time()}
        raw = self._store_job("ADDED", manifest | {"metadata": metadata, "status": {}})
        self.watcher.job_created(raw)
        return raw

    def get_job(self, name: str) -> RawObject:
        if name not in self.jobs:
            raise NotFound(f"Job {name} does not exist")
        return self.jobs[name]

    def delete_job(
        self, name: str, *, uid: str | None, resource_version: str | None, is_foreground: bool
    ) -> RawObject | None:
        """Delete a Job; in the foreground it stays until `finish_deletion`."""
        raw = self.get_job(name)
        if uid is not None and raw["metadata"]["uid"] != uid:
            raise Conflict(f"Job {name} has another uid")
        if resource_version is not None:
            self._check_version(raw, resource_version)
        if not is_foreground:
            self._remove_job(raw)
            return None
        if not is_being_deleted(raw):
            metadata = raw["metadata"] | {"deletionTimestamp": self._time(), "finalizers": ["foregroundDeletion"]}
            return self._store_job("MODIFIED", raw | {"metadata": metadata})
        return raw

    def finish_deletion(self, name: str) -> None:
        """Remove a Job that is being deleted: its pods are gone."""
        self._remove_job(self.jobs[name])

    def update_job(self, name: str, change: Callable[[RawObject], RawObject]) -> None:
        raw = self.jobs[name]
        changed = change(raw)
        if changed != raw:
            self._store_job("MODIFIED", changed)

    def strip_label(self, name: str) -> None:
        """Remove the label by which the operator watches; its watch calls that a deletion."""
        raw = self.jobs[name]
        if not is_selected(raw):
            return
        stripped = self._with_version(raw | {"metadata": raw["metadata"] | {"labels": {}}})
        self.jobs[name] = stripped
        self.trace.note_write("MODIFIED", stripped)
        told = raw | {"metadata": raw["metadata"] | {"resourceVersion": stripped["metadata"]["resourceVersion"]}}
        self.journals["Job"].append(WatchEvent("DELETED", told))

    def collect_garbage(self) -> None:
        """Remove Jobs whose DiemJob is gone; and a DiemJob that is being deleted, after its Jobs."""
        for raw in list(self.jobs.values()):
            owner = find_owner(raw)
            if owner is None:
                continue
            is_orphan = self.diemjob is None or owner["uid"] != self.diemjob["metadata"]["uid"]
            if is_orphan or (self.diemjob is not None and is_being_deleted(self.diemjob)):
                self.finish_deletion(raw["metadata"]["name"])
        if self.diemjob is not None and is_being_deleted(self.diemjob):
            self._remove_diemjob(self.diemjob)

    def find_owned_jobs(self) -> list[RawObject]:
        """Return the Jobs of the DiemJob that exists."""
        if self.diemjob is None:
            return []
        uid = self.diemjob["metadata"]["uid"]
        return [job for job in self.jobs.values() if (find_owner(job) or {}).get("uid") == uid]

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def _time(self) -> str:
        return self.now.isoformat()

    def _next_uid(self, kind: str) -> str:
        self._uids += 1
        return f"{kind}-uid-{self._uids}"

    def _check_version(self, raw: RawObject, version: str) -> None:
        if raw["metadata"]["resourceVersion"] != version:
            raise Conflict("the object has been modified")

    def _with_version(self, raw: RawObject) -> RawObject:
        self._revision += 1
        return raw | {"metadata": raw["metadata"] | {"resourceVersion": str(self._revision)}}

    def _store_diemjob(self, event: EventType, raw: RawObject) -> None:
        old, self.diemjob = self.diemjob, self._with_version(raw)
        self.journals["DiemJob"].append(WatchEvent(event, self.diemjob))
        self.trace.note_write(event, self.diemjob)
        self.watcher.diemjob_changed(old, self.diemjob)

    def _remove_diemjob(self, raw: RawObject) -> None:
        self.diemjob = None
        self.journals["DiemJob"].append(WatchEvent("DELETED", self._with_version(raw)))
        self.trace.note_write("DELETED", raw)
        self.watcher.diemjob_changed(raw, None)

    def _store_job(self, event: EventType, raw: RawObject) -> RawObject:
        stored = self._with_version(raw)
        self.jobs[raw["metadata"]["name"]] = stored
        self.trace.note_write(event, stored)
        if is_selected(stored):
            self.journals["Job"].append(WatchEvent(event, stored))
        return stored

    def _remove_job(self, raw: RawObject) -> None:
        del self.jobs[raw["metadata"]["name"]]
        self.trace.note_write("DELETED", raw)
        if is_selected(raw):
            self.journals["Job"].append(WatchEvent("DELETED", self._with_version(raw)))
