"""Every field of a spec is added, changed, made invalid, removed and rolled back: afterwards all is as it was before.

No change of a description may start, stop or touch a run; only `state` and `run` ask for anything.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import CRDS
from tests.integration.manifests import FieldPath, with_field
from tests.localcluster import LocalCluster
from tests.reliability.history import list_runs
from tests.reliability.installation import KEY, make_key
from tests.reliability.kube import KubeError, Raw
from tests.reliability.matrix import long_form
from tests.reliability.people import make_diemjob
from tests.reliability.playing import Theatre, conclude
from tests.reliability.stage import Stage

TEMPLATE = ("jobTemplate", "spec")
POD = (*TEMPLATE, "template", "spec")

REFUSED = r"^(400|422|500): "
"""500 is what the API server itself says where a value has another type than its schema."""


@dataclass(frozen=True)
class Field:
    """A field below spec.

    Attributes:
        added, changed: values that it may have.
        invalid: one that it may not have.
    """

    path: FieldPath
    added: object
    changed: object
    invalid: object

    def put(self, manifest: Raw, value: object) -> Raw:
        """Return a manifest with this value."""
        return with_field(manifest, ("spec", *self.path), value)

    def list_paths(self, value: object) -> Iterator[str]:
        """Give the paths of the fields that it tries with a value, its own included."""
        names = [step for step in self.path if isinstance(step, str)]
        for depth in range(1, len(names)):
            yield ".".join(names[:depth])
        yield from list_value_paths(value, ".".join(names))

    def __str__(self) -> str:
        return ".".join(map(str, self.path))


ACCOUNTED_AT_ONCE = Field(
    ("run",),
    {"id": "asked-for", "targetUID": "another", "requestedBy": "a", "requestedAt": "now", "parameters": {"A": "1"}},
    {"id": "asked-for-too", "stop": {"requestedBy": "b", "requestedAt": "later"}},
    {"id": "asked-for", "stop": "yes"},
)

FIELDS = [
    Field(("state",), "stopped", "stopped", "paused"),
    Field(("run",), {"id": "asked-for"}, {"id": "asked-for-too"}, {"id": "x" * 129}),
    ACCOUNTED_AT_ONCE,
    Field(("parameters",), [{"name": "DAY"}], [{"name": "DAY", "default": "1"}, {"name": "CITY"}], [{"name": "day"}]),
    Field(
        ("parameters",),
        [{"name": "DAY", "required": True, "enum": ["1", "2"], "maxLength": 1, "description": "of the month"}],
        [{"name": "DAY", "required": False, "enum": ["1"], "maxLength": 2, "default": "1"}],
        [{"name": "DAY", "enum": ["1"], "default": "2"}],
    ),
    Field(("aliases",), ["old-id"], ["old-id", "older-id"], [f"id-{place}" for place in range(17)]),
    Field(("schedule",), {"cron": "0 3 * * *"}, {"cron": "0 4 * * *", "timeZone": "Europe/Rome"}, {"timeZone": "UTC"}),
    Field(
        ("schedule",),
        {"cron": "0 3 * * *", "suspend": True},
        {"cron": "0 3 * * *", "suspend": False, "startingDeadlineSeconds": 60},
        {"cron": "0 3 * * *", "startingDeadlineSeconds": -1},
    ),
    Field(("startDeadlineSeconds",), 600, 900, -1),
    Field(("runHistoryLimit",), 20, 5, 51),
    Field(("jobHistoryLimit",), 5, 2, 21),
    Field(("ttlSecondsAfterFinished",), 86_400, 90_000, -1),
    Field(
        ("jobTemplate", "metadata"),
        {"labels": {"team": "a"}},
        {"annotations": {"a": "b"}},
        {"labels": {"diem.io/x": "y"}},
    ),
    Field((*TEMPLATE, "backoffLimit"), 1, 2, "many"),
    Field((*TEMPLATE, "activeDeadlineSeconds"), 3600, 7200, "long"),
    Field((*TEMPLATE, "parallelism"), 1, 2, "wide"),
    Field((*TEMPLATE, "suspend"), None, None, True),
    Field((*POD, "nodeSelector"), {"disk": "ssd"}, {"disk": "hdd"}, "ssd"),
    Field((*POD, "serviceAccountName"), "default", "other", 7),
    Field((*POD, "containers", 0, "env"), [{"name": "A", "value": "1"}], [{"name": "A", "value": "2"}], {"A": "1"}),
    Field((*POD, "containers", 0, "image"), "localhost/diem/busybox:local", "localhost/diem/busybox:other", 7),
]

KEY_FIELDS = [
    Field(("name",), "Callers", "Other callers", 7),
    Field(("email",), "callers@example.com", "others@example.com", "x" * 255),
    Field(("actions",), ["status"], ["status", "stop"], ["delete"]),
    Field(("jobs",), ["etl"], ["etl", "other-*"], ["*etl"]),
    Field(("expiresAt",), "2031-01-01T00:00:00Z", "2031-02-01T00:00:00Z", "tomorrow"),
    Field(("revoked",), True, True, "yes"),
    Field(("adoptTokenSHA256",), None, None, "0" * 64),
    Field(
        ("compatibility",),
        {"missingAction": "start", "statusCodes": "legacy"},
        {"missingAction": "status", "statusCodes": "standard"},
        {"missingAction": "stop"},
    ),
]

NOT_ROLLED_BACK = {"requests"}
"""The record of what callers asked for: each entry is accounted for in the history, and stays there."""

LEFT_TO_KUBERNETES = "jobTemplate.spec"
"""Its hundreds of fields are the same to us, which the ones above stand for."""


@pytest.mark.parametrize(
    ("crd", "fields"), [("diemjob", FIELDS), ("diemapikey", KEY_FIELDS)], ids=["diemjob", "diemapikey"]
)
def test_every_field_is_tried(story_cluster: LocalCluster, crd: str, fields: list[Field]) -> None:
    file = CRDS / f"{crd}.yaml"
    printed = story_cluster.kubectl("create", "--dry-run=client", "--output=json", f"--filename={file}")
    schema = json.loads(printed)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    there = set(list_schema_paths(schema["properties"]["spec"]))
    tried = {path for field in fields for value in (field.added, field.changed) for path in field.list_paths(value)}

    assert {path for path in there if path.split(".")[0] not in NOT_ROLLED_BACK} <= tried


def list_schema_paths(schema: Raw, above: str = "") -> Iterator[str]:
    """Give the paths of a schema's fields, such as parameters.name."""
    schema = schema.get("items", schema)
    for name, field in schema.get("properties", {}).items():
        path = f"{above}.{name}".lstrip(".")
        yield path
        if path != LEFT_TO_KUBERNETES:
            yield from list_schema_paths(field, path)


def list_value_paths(value: object, above: str) -> Iterator[str]:
    """Give the paths of the fields that a value has, such as parameters.name."""
    yield above
    if isinstance(value, list):
        for item in value:
            yield from list_value_paths(item, above)
    if isinstance(value, dict):
        for name, item in value.items():
            yield from list_value_paths(item, f"{above}.{name}")


def describe(stage: Stage) -> dict[str, Any]:
    """Return everything that must be as before, but for generations and versions, which only grow."""
    diemjob = stage.read("etl")
    jobs = [(job["metadata"]["uid"], job["metadata"].get("deletionTimestamp")) for job in stage.list_jobs("etl")]
    return {"spec": diemjob["spec"], "status": forget_generations(diemjob["status"]), "jobs": sorted(jobs)}


def describe_key(stage: Stage) -> dict[str, Any]:
    """Return everything that must be as before; when a condition last changed may differ."""
    key = stage.read(KEY, resource="diemapikeys")
    status = forget_generations(key["status"])
    for condition in status["conditions"]:
        del condition["lastTransitionTime"]
    secret = stage.kube.get("secrets", stage.namespace, status["secretName"])
    return {"spec": key["spec"], "status": status, "secret": (secret["metadata"]["uid"], secret["data"])}


def forget_generations(status: Raw) -> Raw:
    """Return a status without the generations that it is about."""
    status = copy.deepcopy(status)
    for part in (status, *status.get("conditions", [])):
        part.pop("observedGeneration", None)
    return status


LOOKS: Mapping[str, Callable[[Stage], dict[str, Any]]] = {"diemjobs": describe, "diemapikeys": describe_key}


def apply(stage: Stage, manifest: Raw, *, resource: str = "diemjobs") -> None:
    """Apply a manifest, and return when the operator has answered it."""
    stage.reapply(manifest, resource=resource)
    stage.wait_answered(manifest["metadata"]["name"], resource=resource)


def go_through(stage: Stage, manifest: Raw, field: Field, *, resource: str = "diemjobs") -> None:
    """Let a field live its life."""
    look = LOOKS[resource]
    before = look(stage)
    for value in (field.added, field.changed):
        if value is not None:
            apply(stage, field.put(manifest, value), resource=resource)
    with pytest.raises(KubeError, match=REFUSED):
        stage.kube.apply(resource, stage.namespace, field.put(manifest, field.invalid))
    stage.wait_answered(manifest["metadata"]["name"], resource=resource)
    apply(stage, manifest, resource=resource)

    assert look(stage) == before, field


@pytest.mark.parametrize("is_running", [False, pytest.param(True, marks=long_form)], ids=["run-over", "run-live"])
def test_fields_come_and_go_without_a_trace(theatre: Theatre, is_running: bool) -> None:
    manifest = make_diemjob("etl")
    with theatre.stage() as stage:
        apply(stage, manifest)
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")
        if not is_running:
            stage.finish_pods("etl")
            stage.wait_run("etl", "Completed", "first")
            stage.wait_recorded("etl")
        for field in FIELDS:
            if field.path[0] not in {"state", "run"}:
                go_through(stage, manifest, field)

        assert conclude(stage).complaints == []


def test_requests_that_are_taken_back_before_anything_runs_leave_no_trace(theatre: Theatre) -> None:
    """But for those that are over at once: one for another DiemJob, and one that is stopped; the history has them."""
    manifest = make_diemjob("etl")
    with theatre.stage() as stage:
        apply(stage, manifest)
        for field in FIELDS:
            if field is not ACCOUNTED_AT_ONCE:
                go_through(stage, manifest, field)

        assert conclude(stage).complaints == []


def test_fields_of_a_key_come_and_go_without_a_trace(theatre: Theatre) -> None:
    """It is revoked, narrowed and given another end, and afterwards the same token opens the same."""
    with theatre.stage() as stage:
        stage.create(make_diemjob("etl"))
        stage.wait_answered("etl")
        manifest = make_key(KEY)
        apply(stage, manifest, resource="diemapikeys")
        for field in KEY_FIELDS:
            go_through(stage, manifest, field, resource="diemapikeys")
        stage.wait_until("the key is known to be as it was", stage.installation.is_let_in)
        stage.start("etl", "first")
        stage.wait_run("etl", "Running", "first")


def test_requests_that_are_over_at_once_are_accounted_for_and_start_nothing(theatre: Theatre) -> None:
    with theatre.stage() as stage:
        apply(stage, make_diemjob("etl"))
        for value in (ACCOUNTED_AT_ONCE.added, ACCOUNTED_AT_ONCE.changed):
            apply(stage, ACCOUNTED_AT_ONCE.put(make_diemjob("etl"), value))

        runs = {run["id"]: (run["phase"], run["reason"]) for run in list_runs(stage.status_of("etl"))}
        assert runs == {"asked-for": ("Stopped", "RestoredRequest"), "asked-for-too": ("Stopped", "NeverStarted")}
        assert stage.list_jobs("etl") == []
        assert conclude(stage).complaints == []
