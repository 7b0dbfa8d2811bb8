"""The API server as the reconciler meets it: requests in, Kubernetes' answers out, in memory.

It keeps what the reconciler relies on: one growing resourceVersion, preconditions, AlreadyExists, foreground deletion,
no write without a change, the status apart from the rest. Tests put upon it what can go wrong, by the count of a
request: an error before or after the write was stored, or something that happens meanwhile. Requests are named as
`POST jobs`, `LIST diemjobs`, `PATCH diemjobs/status`.

What a person or a controller does (`put`, `edit`, `run_job`, …) is no request and is not counted.
"""

import asyncio
import copy
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from diem_operator.cluster.answers import error_of
from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.errors import ClusterError, OutcomeUnknown
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.planning.merge_patch import build_merge_patch

CREATED_AT: Final = "2030-01-02T03:04:05Z"
KINDS: Final = {"diemjobs": "DiemJob", "jobs": "Job", "pods": "Pod", "events": "Event"}

Action = Callable[[], object]


class Place(NamedTuple):
    """Where an object is stored; without a name, or a namespace, all objects there."""

    plural: str
    namespace: str = ""
    name: str = ""


class WatchEvent(NamedTuple):
    """What a watch tells."""

    plural: str
    type: str
    raw: RawObject


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request."""

    method: str
    place: Place
    subresource: str
    query: Mapping[str, str]
    body: Any

    @property
    def what(self) -> str:
        method = "LIST" if self.method == "GET" and not self.place.name else self.method
        return f"{method} {'/'.join(filter(None, (self.place.plural, self.subresource)))}"


@dataclass(kw_only=True)
class Script:
    """What happens to one request."""

    before: list[Action] = field(default_factory=list)
    error: ClusterError | None = None
    is_stored: bool = False
    until: asyncio.Event | None = None
    after: list[Action] = field(default_factory=list)


def lost_reply() -> ClusterError:
    return OutcomeUnknown("POST: no answer within 5 s", status=None)


def refusal(code: int, reason: str, message: str = "", *, causes: tuple[str, ...] = ()) -> ClusterError:
    """Return the error of an answer that the API server would give."""
    status = {
        "code": code,
        "reason": reason,
        "message": message or reason,
        "details": {"causes": [{"reason": cause} for cause in causes]},
    }
    return error_of("REQUEST /path", code, msgspec.json.encode(status))


class FakeApiServer(ApiServer):
    """Behind `Cluster`, in place of a session with an API server."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.bodies: list[Any] = []
        self.pending_events: deque[WatchEvent] = deque()
        self._objects: dict[Place, RawObject] = {}
        self._version = 100
        self._counts: Counter[str] = Counter()
        self._scripts: dict[tuple[str, int], Script] = {}

    # What tests arrange

    def fail(self, what: str, error: ClusterError, *, at: int = 1, is_stored: bool = False) -> None:
        """Answer the `at`-th such request from now on with an error, before or after it was carried out."""
        script = self._script(what, at)
        script.error, script.is_stored = error, is_stored

    def meanwhile(self, what: str, action: Action, *, at: int = 1, is_answered: bool = False) -> None:
        """Do something when the request has arrived, or when its answer is on its way."""
        script = self._script(what, at)
        (script.after if is_answered else script.before).append(action)

    def hold(self, what: str, until: asyncio.Event, *, at: int = 1) -> None:
        """Let the `at`-th such request from now on wait."""
        self._script(what, at).until = until

    def put(self, plural: str, manifest: RawObject) -> RawObject:
        """Create an object as somebody else does."""
        return self._create(Place(plural, manifest["metadata"]["namespace"], manifest["metadata"]["name"]), manifest)

    def edit(self, plural: str, key: ObjectKey, change: Callable[[RawObject], object]) -> RawObject:
        """Change an object as somebody else does."""
        place = Place(plural, key.namespace, key.name)
        changed = copy.deepcopy(self._objects[place])
        change(changed)
        return self._store(place, changed)

    def remove(self, plural: str, key: ObjectKey) -> None:
        """Let an object be gone."""
        self._remove(Place(plural, key.namespace, key.name))

    def run_job(self, key: ObjectKey) -> None:
        """Let a Job's pod run."""
        self.edit("jobs", key, lambda raw: raw.update(status={"startTime": CREATED_AT, "active": 1, "ready": 1}))

    def finish_job(self, key: ObjectKey, condition: str = "Complete", *, reason: str = "") -> None:
        """Let a Job be over."""
        finish = {"type": condition, "status": "True", "reason": reason, "lastTransitionTime": CREATED_AT}
        status = {"startTime": CREATED_AT, "completionTime": CREATED_AT, "conditions": [finish]}
        self.edit("jobs", key, lambda raw: raw.update(status=status))

    def find(self, plural: str, key: ObjectKey) -> RawObject | None:
        return copy.deepcopy(self._objects.get(Place(plural, key.namespace, key.name)))

    def list_all(self, plural: str) -> list[RawObject]:
        return [copy.deepcopy(raw) for place, raw in self._objects.items() if place.plural == plural]

    def count(self, what: str) -> int:
        """Return how many such requests have come."""
        return self._counts[what]

    def back_up(self) -> Callable[[], None]:
        """Return what restores the present state, versions included, without telling any watch."""
        objects, version = copy.deepcopy(self._objects), self._version

        def restore() -> None:
            self._objects, self._version = copy.deepcopy(objects), version
            self.pending_events.clear()

        return restore

    # What the reconciler asks

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_seconds: float,
    ) -> bytes:
        assert timeout_seconds > 0
        call = _parse(method, path, query or {}, copy.deepcopy(body))
        self.calls.append(call.what)
        self.bodies.append(call.body)
        self._counts[call.what] += 1
        script = self._scripts.pop((call.what, self._counts[call.what]), Script())
        await asyncio.sleep(0)
        _do(script.before)
        if script.until is not None:
            await script.until.wait()
        if script.error is not None and not script.is_stored:
            raise script.error
        answer = msgspec.json.encode(self._carry_out(call))
        _do(script.after)
        if script.error is not None:
            raise script.error
        await asyncio.sleep(0)
        return answer

    def _script(self, what: str, at: int) -> Script:
        return self._scripts.setdefault((what, self._counts[what] + at), Script())

    def _carry_out(self, call: Call) -> RawObject:
        if call.what.startswith("LIST "):
            return self._list(call)
        if call.method == "POST":
            return self._create(call.place._replace(name=call.body["metadata"]["name"]), call.body)
        known = self._objects.get(call.place)
        if known is None:
            raise refusal(404, "NotFound", f"{call.place.name} not found")
        if call.method == "PATCH":
            return self._patch(call, known)
        if call.method == "DELETE":
            return self._delete(call, known)
        assert call.method == "GET"
        return known

    def _list(self, call: Call) -> RawObject:
        wanted = dict(pair.split("=") for pair in call.query.get("labelSelector", "").split(",") if pair)
        items = [
            raw
            for place, raw in self._objects.items()
            if place.plural == call.place.plural
            and call.place.namespace in {"", place.namespace}
            and wanted.items() <= raw["metadata"].get("labels", {}).items()
        ]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def _create(self, place: Place, manifest: RawObject) -> RawObject:
        if place in self._objects:
            raise refusal(409, "AlreadyExists", f"{place.plural} {place.name!r} already exists")
        raw = copy.deepcopy(manifest)
        metadata = {"uid": f"uid-{self._version + 1}", "creationTimestamp": CREATED_AT, "generation": 1}
        raw["metadata"] = metadata | raw["metadata"] | {"namespace": place.namespace}
        return self._store(place, raw)

    def _patch(self, call: Call, known: RawObject) -> RawObject:
        patch = call.body
        _check_version(patch.get("metadata", {}), known)
        merged = _merge(known, patch)
        changed = known | {"status": merged.get("status", {})} if call.subresource else merged
        if not call.subresource and "status" in known:
            changed["status"] = known["status"]
        return self._store(call.place, changed)

    def _delete(self, call: Call, known: RawObject) -> RawObject:
        preconditions = call.body["preconditions"]
        if preconditions["uid"] != known["metadata"]["uid"]:
            raise refusal(409, "Conflict", "the UID in the precondition is another one")
        _check_version(preconditions, known)
        if call.body["propagationPolicy"] == "Background" and not known["metadata"].get("finalizers"):
            self._remove(call.place)
            return {"kind": "Status", "status": "Success"}
        marked = copy.deepcopy(known)
        finalizers = marked["metadata"].setdefault("finalizers", [])
        if "deletionTimestamp" not in marked["metadata"]:
            finalizers.append("foregroundDeletion")
        marked["metadata"].setdefault("deletionTimestamp", CREATED_AT)
        return self._store(call.place, marked)

    def _store(self, place: Place, raw: RawObject) -> RawObject:
        known = self._objects.get(place)
        if known is not None and not build_merge_patch(known, raw):
            return known
        self._version += 1
        stored = copy.deepcopy(raw) | {"kind": KINDS[place.plural]}
        stored["metadata"]["resourceVersion"] = str(self._version)
        if known is not None and known.get("spec") != stored.get("spec"):
            stored["metadata"]["generation"] += 1
        self._objects[place] = stored
        self._tell(place.plural, "ADDED" if known is None else "MODIFIED", stored)
        return stored

    def _remove(self, place: Place) -> None:
        raw = self._objects.pop(place)
        self._version += 1
        raw["metadata"]["resourceVersion"] = str(self._version)
        self._tell(place.plural, "DELETED", raw)

    def _tell(self, plural: str, kind: str, raw: RawObject) -> None:
        self.pending_events.append(WatchEvent(plural, kind, copy.deepcopy(raw)))


def _parse(method: str, path: str, query: Mapping[str, str], body: object) -> Call:
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0] == "namespaces":
        namespace, parts = parts[1], parts[2:]
    plural, name, subresource = [*parts, "", ""][:3]
    return Call(method=method, place=Place(plural, namespace, name), subresource=subresource, query=query, body=body)


def _check_version(given: Mapping[str, Any], known: RawObject) -> None:
    if given.get("resourceVersion") not in {None, known["metadata"]["resourceVersion"]}:
        raise refusal(409, "Conflict", "the object has been modified")


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def _do(actions: list[Action]) -> None:
    for action in actions:
        action()
