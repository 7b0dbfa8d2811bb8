"""The simulation's model of the API server, held against a real one: the same operations, and what each shows of them.

After every operation the outcome, the generation, whether the resourceVersion changed, the marks of a deletion and the
uids are compared; at the end, what watches told of each object, in order. Not modelled, and so not compared: when the
garbage collector works (the simulation lets it wait as long as it likes), finalizers other than that of a foreground
deletion, defaults and validation of fields, the Job controller's writes, the generation of Jobs.
"""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, Final, Literal

import pytest

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.errors import ClusterError, NotFound
from diem_operator.cluster.kubeconfig import from_kubeconfig
from diem_operator.cluster.resources import Cluster
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import LABEL_MANAGED_BY, MANAGED_BY
from tests.builders import NAME
from tests.integration.namespaced import Namespaced
from tests.localcluster import LocalCluster
from tests.simulation.api_server import ModelApiServer, Watcher
from tests.simulation.real_api_server import (
    DELETED_IN_FOREGROUND,
    SENTINEL,
    RealApiServer,
    Told,
    eventually,
    make_job,
    make_spec,
)

SEQUENCES: Final = 36
OPERATIONS: Final = 25
JOBS: Final = ("one", "two")
WRONG_UID: Final = "00000000-0000-4000-8000-000000000000"

Version = Literal["right", "stale", "none"]
Arguments = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One operation of both servers, how often it is drawn, and what may be given to it."""

    name: str
    weight: int
    choices: dict[str, tuple[Any, ...]] = field(default_factory=dict)


VERSIONS: Final = ("right", "right", "stale")
KINDS: Final = (
    Kind("create_diemjob", 3, {"state": (None, "running")}),
    Kind("get_diemjob", 1),
    Kind("patch_state", 3, {"state": ("running", "stopped", None)}),
    Kind("patch_run", 2, {"run_id": ("r1", "r2")}),
    Kind("patch_json", 3, {"version": VERSIONS, "state": ("running", "stopped")}),
    Kind("patch_metadata", 2, {"version": VERSIONS, "value": ("1", "2", None)}),
    Kind("patch_status", 4, {"version": VERSIONS, "starts": (1, 2, None)}),
    Kind("wipe_status", 1),
    Kind("delete_diemjob", 2, {"is_foreground": (False, True)}),
    Kind("create_job", 7, {"name": JOBS, "is_invalid": (False, False, False, False, True)}),
    Kind("get_job", 1, {"name": JOBS}),
    Kind("annotate_job", 2, {"name": JOBS, "value": ("1", "2")}),
    Kind(
        "delete_job",
        6,
        {
            "name": JOBS,
            "has_uid": (True, True, True, False),
            "version": (*VERSIONS, "none"),
            "is_foreground": (True, False),
        },
    ),
    Kind("finish_deletion", 2, {"name": JOBS}),
    Kind("strip_label", 1, {"name": JOBS}),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be seen of one object, whichever server has it."""

    uid: str
    version: str
    generation: int
    is_being_deleted: bool
    is_selected: bool


@dataclass
class Side:
    """One of the two servers, and what has been seen of its objects."""

    server: Any
    seen: dict[str, Seen] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    uids: dict[str, list[str]] = field(default_factory=dict)

    async def call(self, method: str, /, *arguments: Any, **options: Any) -> Any:
        result = getattr(self.server, method)(*arguments, **options)
        return await result if isawaitable(result) else result

    async def do(self, operation: str, arguments: Arguments) -> str:
        """Carry an operation out and return its outcome in words."""
        try:
            answer = await getattr(self, f"_{operation}", self.call_by_name(operation))(**arguments)
        except ClusterError as error:
            return type(error).__name__
        return f"done{'' if answer is None else f', {answer}'}"

    def call_by_name(self, operation: str) -> Any:
        """Return an operation that both servers have by that name; what it answers is looked at elsewhere."""

        async def call(**arguments: Any) -> None:
            await self.call(operation, **arguments)

        return call

    async def look(self) -> dict[str, tuple[Any, ...]]:
        """Return what is to be the same on both sides after an operation."""
        shown = {}
        for name in (NAME, *JOBS):
            before, now = self.seen.pop(name, None), await self._see(name)
            if now is not None:
                self.seen[name] = now
                _add(self.versions.setdefault(name, []), now.version)
                _add(self.uids.setdefault(name, []), now.uid)
                is_changed = before is None or before.version != now.version
                place = len(self.uids[name])
                shown[name] = (place, is_changed, now.generation, now.is_being_deleted, now.is_selected)
        return shown

    async def _see(self, name: str) -> Seen | None:
        try:
            found = await (self.call("get_diemjob") if name == NAME else self.call("get_job", name))
        except NotFound:
            return None
        metadata = _metadata_of(found)
        return Seen(
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            generation=metadata["generation"] if name == NAME else 0,
            is_being_deleted=metadata.get("deletionTimestamp") is not None,
            is_selected=metadata.get("labels", {}).get(LABEL_MANAGED_BY) == MANAGED_BY,
        )

    def _find_version(self, name: str, version: Version) -> str | None:
        if version == "none":
            return None
        known = self.versions.get(name, [])
        present = self.seen[name].version if name in self.seen else "1"
        return present if version == "right" else next((old for old in known if old != present), "1")

    async def _create_diemjob(self, state: str | None) -> None:
        await self.call("create_diemjob", make_spec(state))

    async def _patch_state(self, state: str | None) -> None:
        await self.call("patch_spec", {"state": state})

    async def _patch_run(self, run_id: str) -> None:
        await self.call("patch_spec", {"run": {"id": run_id}})

    async def _patch_json(self, version: Version, state: str) -> None:
        guard = {"op": "test", "path": "/metadata/resourceVersion", "value": self._find_version(NAME, version)}
        await self.call("patch_json", [guard, {"op": "add", "path": "/spec/state", "value": state}])

    async def _patch_metadata(self, version: Version, value: str | None) -> None:
        metadata = {"resourceVersion": self._find_version(NAME, version), "annotations": {"example.com/note": value}}
        await self.call("patch_metadata", {"metadata": metadata})

    async def _patch_status(self, version: Version, starts: int | None) -> None:
        metadata = {"resourceVersion": self._find_version(NAME, version)}
        await self.call("patch_status", {"metadata": metadata, "status": {"stateStarts": starts, "phase": "Stopped"}})

    async def _delete_diemjob(self, is_foreground: bool) -> None:
        await self.call("delete_diemjob", is_foreground=is_foreground)
        await self.call("collect_garbage")

    async def _create_job(self, name: str, is_invalid: bool) -> None:
        if isinstance(self.server, ModelApiServer):
            self.server.is_template_invalid = is_invalid
        owner = self.seen[NAME].uid if NAME in self.seen else None
        await self.call("create_job", make_job(name, owner_uid=owner, is_invalid=is_invalid))

    async def _annotate_job(self, name: str, value: str) -> None:
        if isinstance(self.server, RealApiServer):
            await self.server.annotate_job(name, value)
            return

        def annotate(raw: RawObject) -> RawObject:
            annotations = raw["metadata"].get("annotations", {}) | {"example.com/seen": value}
            return raw | {"metadata": raw["metadata"] | {"annotations": annotations}}

        self.server.get_job(name)
        self.server.update_job(name, annotate)

    async def _delete_job(self, name: str, has_uid: bool, version: Version, is_foreground: bool) -> str:
        uid = self.seen[name].uid if name in self.seen and has_uid else WRONG_UID
        found = self._find_version(name, version)
        remaining = await self.call("delete_job", name, uid=uid, resource_version=found, is_foreground=is_foreground)
        if remaining is None:
            return "gone"
        return f"kept by {[each for each in remaining['metadata']['finalizers'] if each == DELETED_IN_FOREGROUND]}"

    async def _finish_deletion(self, name: str) -> None:
        if name in self.seen and self.seen[name].is_being_deleted:
            await self.call("finish_deletion", name)

    async def _strip_label(self, name: str) -> None:
        if name in self.seen:
            await self.call("strip_label", name)


def _add(known: list[str], value: str) -> None:
    if value not in known:
        known.append(value)


def _metadata_of(found: RawObject | DiemJob | Job) -> RawObject:
    if isinstance(found, dict):
        raw: RawObject = found["metadata"]
        return raw
    metadata = found.metadata
    return {
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "generation": metadata.generation,
        "deletionTimestamp": metadata.deletion_timestamp,
        "labels": metadata.labels,
    }


@pytest.fixture
async def real(cluster: LocalCluster, here: Namespaced) -> AsyncIterator[RealApiServer]:
    resources = Cluster(ApiServer(from_kubeconfig(environ={"KUBECONFIG": str(cluster.admin_kubeconfig)})))
    yield RealApiServer(resources, here.name)
    await resources.close()


def draw(seed: int) -> list[tuple[str, Arguments]]:
    chance = random.Random(seed)
    kinds = chance.choices(KINDS, weights=[kind.weight for kind in KINDS], k=OPERATIONS)
    drawn = [(kind.name, {name: chance.choice(given) for name, given in kind.choices.items()}) for kind in kinds]
    return [("create_diemjob", {"state": None}), *drawn]


def tell(model: ModelApiServer) -> list[Told]:
    journals = model.journals.items()
    return [(kind, event.type, event.raw["metadata"]["name"]) for kind, events in journals for event in events]


def by_object(told: list[Told]) -> dict[tuple[str, str], list[str]]:
    events: dict[tuple[str, str], list[str]] = {}
    for kind, event, name in told:
        events.setdefault((kind, name), []).append(event)
    return events


@pytest.mark.parametrize("seed", range(SEQUENCES))
async def test_model_answers_and_tells_what_the_real_server_does(real: RealApiServer, seed: int) -> None:
    model = ModelApiServer(watcher=Watcher())
    sides = Side(real), Side(model)
    done: list[str] = []
    async with real.watching():
        for operation, arguments in draw(seed):
            done.append(f"{operation} {arguments}")
            expected, outcome = [await side.do(operation, arguments) for side in sides]
            assert outcome == expected, "\n".join(done)
            expected_sight, sight = [await side.look() for side in sides]
            assert sight == expected_sight, "\n".join(done)
        expected_told = await real.hear_all(make_job(SENTINEL), make_spec(None))
    assert by_object(tell(model)) == by_object(expected_told), "\n".join(done)


async def test_refusals_come_in_the_real_order(real: RealApiServer, here: Namespaced) -> None:
    """An invalid Job is called so first; then a quota answers; and only then is the name looked at."""
    model = ModelApiServer(watcher=Watcher())
    sides = Side(real), Side(model)
    outcomes = [[await side.do("create_job", {"name": "one", "is_invalid": False})] for side in sides]
    here.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")
    model.is_quota_exceeded = True

    async def is_in_force() -> bool:
        return "0" in here.kubectl("get", "quota", "none", "--output=jsonpath={.status.hard}")

    await eventually(is_in_force)
    for side, known in zip(sides, outcomes, strict=True):
        known += [
            await side.do("create_job", {"name": name, "is_invalid": is_invalid})
            for name in JOBS
            for is_invalid in (True, False)
        ]
    assert outcomes[0] == ["done", "Invalid", "Forbidden", "Invalid", "Forbidden"]
    assert outcomes[1] == outcomes[0]
