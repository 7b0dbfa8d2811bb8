"""Every field of a spec is added, changed, made invalid, removed and rolled back: afterwards all is as it was before.

No change of a description may start, stop or touch a run; only `state` and `run` ask for anything.
"""

import copy
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import CRDS
from tests.integration.manifests import FieldPath, with_field
from tests.localcluster import LocalCluster
from tests.reliability.kube import KubeError, Raw
from tests.reliability.people import make_diemjob
from tests.reliability.playing import Theatre, conclude
from tests.reliability.stage import Stage

TEMPLATE = ("jobTemplate", "spec")
POD = (*TEMPLATE, "template", "spec")


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

    def __str__(self) -> str:
        return ".".join(map(str, self.path))


FIELDS = [
    Field(("state",), "stopped", "stopped", "paused"),
    Field(("run",), {"id": "asked-for"}, {"id": "asked-for-too"}, {"id": "x" * 129}),
    Field(("parameters",), [{"name": "DAY"}], [{"name": "DAY", "default": "1"}, {"name": "CITY"}], [{"name": "day"}]),
    Field(("aliases",), ["old-id"], ["old-id", "older-id"], [f"id-{place}" for place in range(17)]),
    Field(("schedule",), {"cron": "0 3 * * *"}, {"cron": "0 4 * * *", "timeZone": "Europe/Rome"}, {"timeZone": "UTC"}),
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

NOT_ROLLED_BACK = {"requests"}
"""The record of what callers asked for: each entry is accounted for in the history, and stays there."""


def test_every_field_is_tried(story_cluster: LocalCluster) -> None:
    printed = story_cluster.kubectl(
        "create", "--dry-run=client", "--output=json", f"--filename={CRDS / 'diemjob.yaml'}"
    )
    schema = json.loads(printed)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    tried = {str(field.path[0]) for field in FIELDS}

    assert tried | NOT_ROLLED_BACK == set(schema["properties"]["spec"]["properties"])


def describe(stage: Stage) -> dict[str, Any]:
    """Return everything that must be as before, but for generations and versions, which only grow."""
    diemjob = stage.read("etl")
    status = copy.deepcopy(diemjob["status"])
    status.pop("observedGeneration", None)
    for condition in status.get("conditions", []):
        condition.pop("observedGeneration", None)
    jobs = [(job["metadata"]["uid"], job["metadata"].get("deletionTimestamp")) for job in stage.list_jobs("etl")]
    return {"spec": diemjob["spec"], "status": status, "jobs": sorted(jobs)}


def apply(stage: Stage, manifest: Raw) -> None:
    stage.reapply(manifest)
    stage.wait_answered("etl")


def go_through(stage: Stage, manifest: Raw, field: Field) -> None:
    """Let a field live its life."""
    before = describe(stage)
    path = ("spec", *field.path)
    for value in (field.added, field.changed):
        if value is not None:
            apply(stage, with_field(manifest, path, value))
    # 500 is what the API server itself says where a value has another type than its schema.
    with pytest.raises(KubeError, match=r"^(400|422|500): "):
        stage.kube.apply("diemjobs", stage.namespace, with_field(manifest, path, field.invalid))
    stage.wait_answered("etl")
    apply(stage, manifest)

    assert describe(stage) == before, field


@pytest.mark.parametrize("is_running", [False, True], ids=["run-over", "run-live"])
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
    manifest = make_diemjob("etl")
    with theatre.stage() as stage:
        apply(stage, manifest)
        for field in FIELDS:
            go_through(stage, manifest, field)

        assert conclude(stage).complaints == []
