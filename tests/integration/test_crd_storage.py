"""What the API server stores of our resources: as it was written, merged as it should be, and status apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.manifests import POD, POD_METADATA, SHA256, make_apikey, make_diemjob, with_field
from tests.integration.namespaced import Namespaced
from tests.localcluster.errors import KubectlError


def test_state_has_no_default(here: Namespaced) -> None:
    stored = here.apply(make_diemjob())

    assert stored["spec"].keys() == {"jobTemplate", "runHistoryLimit", "jobHistoryLimit"}
    assert (stored["spec"]["runHistoryLimit"], stored["spec"]["jobHistoryLimit"]) == (10, 3)


def test_applying_without_state_and_run_leaves_those_of_others(here: Namespaced) -> None:
    here.apply(make_diemjob(), "--server-side", "--field-manager=gitops")
    request = {"spec": {"state": "running", "run": {"id": "1", "requestedBy": "me"}}}
    here.kubectl("patch", "diemjob/nightly-load", "--type=merge", "--patch", json.dumps(request))

    stored = here.apply(make_diemjob(jobHistoryLimit=5), "--server-side", "--field-manager=gitops")

    assert (stored["spec"]["state"], stored["spec"]["run"]["id"]) == ("running", "1")


def test_run_is_replaced_as_a_whole(here: Namespaced) -> None:
    first = {"id": "1", "requestedBy": "me", "stop": {"requestedBy": "you"}}
    here.apply(make_diemjob(run=first), "--server-side", "--field-manager=a")

    stored = here.apply(make_diemjob(run={"id": "2"}), "--server-side", "--force-conflicts", "--field-manager=b")

    assert stored["spec"]["run"] == {"id": "2"}


def test_everything_a_diemjob_can_say_is_stored(here: Namespaced) -> None:
    spec: dict[str, Any] = {
        "state": "stopped",
        "run": {
            "id": "x" * 128,
            "targetUID": "uid",
            "requestedBy": "apikey/1",
            "requestedAt": "2030-01-01T00:00:00Z",
            "parameters": {"DAY": "mon"},
            "stop": {"requestedBy": "me", "requestedAt": "now"},
        },
        "requests": [{"id": "1", "action": "start", "by": "me", "at": "now", "fingerprint": "f"}] * 16,
        "parameters": [
            {
                "name": "DAY",
                "required": True,
                "default": "mon",
                "enum": ["mon", "tue"],
                "maxLength": 3,
                "description": "Which day.",
            }
        ],
        "aliases": ["5fd3a340b15cc4d3b71b7cc7", "Old Job/1"],
        "schedule": {
            "cron": "0 1 * * *",
            "timeZone": "Europe/Brussels",
            "suspend": True,
            "startingDeadlineSeconds": 60,
        },
        "startDeadlineSeconds": 600,
        "runHistoryLimit": 50,
        "jobHistoryLimit": 0,
        "ttlSecondsAfterFinished": 0,
    }

    stored = here.apply(make_diemjob(**spec))

    assert stored["spec"] == make_diemjob(**spec)["spec"]


def test_name_of_253_characters_is_fine(here: Namespaced) -> None:
    name = f"{'a' * 250}.bc"

    stored = here.apply(with_field(make_diemjob(), ("metadata", "name"), name))

    assert stored["metadata"]["name"] == name


def test_null_is_absent(here: Namespaced) -> None:
    nulls = {"creationTimestamp": None, "labels": None}
    manifest = with_field(make_diemjob(state=None), POD_METADATA, nulls)

    stored = here.apply(manifest)

    assert "state" not in stored["spec"]
    assert stored["spec"]["jobTemplate"]["spec"]["template"]["metadata"] == {}


REALISTIC_TEMPLATE = json.loads((Path(__file__).parent / "realistic_job_template.json").read_text())


def test_realistic_template_comes_back_unchanged(here: Namespaced) -> None:
    stored = here.apply(make_diemjob(jobTemplate=REALISTIC_TEMPLATE))

    assert stored["spec"]["jobTemplate"] == REALISTIC_TEMPLATE


def test_realistic_template_is_a_job_to_kubernetes(here: Namespaced) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load"}, "spec": REALISTIC_TEMPLATE["spec"]}

    here.apply(job, "--dry-run=server")


def test_port_without_protocol_gets_the_one_that_kubernetes_gives(here: Namespaced) -> None:
    manifest = with_field(make_diemjob(), (*POD, "containers", 0, "ports"), [{"containerPort": 80}])

    pod = here.apply(manifest)["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    assert pod["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


def test_template_has_one_owner_and_is_replaced_as_a_whole(here: Namespaced) -> None:
    """A second field manager is told of the first; by force it takes over all of the template, not a field of it."""
    here.apply(make_diemjob(), "--server-side", "--field-manager=a")
    other = with_field(make_diemjob(), (*POD, "containers"), [{"name": "main", "workingDir": "/data"}])

    with pytest.raises(KubectlError, match=r"conflict with \"a\": \.spec\.jobTemplate"):
        here.apply(other, "--server-side", "--field-manager=b")
    stored = here.apply(other, "--server-side", "--field-manager=b", "--force-conflicts")

    assert stored["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"] == [
        {"name": "main", "workingDir": "/data"}
    ]


def test_status_has_one_owner(here: Namespaced) -> None:
    here.apply(make_diemjob())

    patch_status(here, FULL_STATUS)

    stored = json.loads(here.kubectl("get", "diemjob/nightly-load", "--show-managed-fields", "--output", "json"))
    (entry,) = [each for each in stored["metadata"]["managedFields"] if each.get("subresource") == "status"]
    assert entry["fieldsV1"] == {"f:status": {}}


def patch_status(here: Namespaced, status: dict[str, object], resource: str = "diemjob/nightly-load") -> dict[str, Any]:
    patch = json.dumps({"spec": {"state": "running"}, "status": status})
    arguments = ("--subresource=status", "--type=merge", "--patch", patch, "--output", "json")
    return dict(json.loads(here.kubectl("patch", resource, *arguments)))


FULL_STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "observedState": "running",
    "phase": "Completed",
    "stateStarts": 2,
    "run": {
        "number": 7,
        "id": "state-2",
        "phase": "Completed",
        "reason": "Completed",
        "message": "done",
        "jobName": "nightly-load-abc",
        "jobUid": "uid",
        "requestedBy": "spec.state",
        "requestedAt": "now",
        "startedAt": "2020-01-01T00:00:00Z",
        "completedAt": "2020-01-01T00:01:00Z",
    },
    "runs": [{"number": 7, "id": "state-2", "phase": "Completed"}],
    "recentRunIds": ["abcdefghijklmnop"],
    "schedule": {"hash": "abc", "lastDue": "2020-01-01T00:00:00Z", "next": "2020-01-02T00:00:00Z"},
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Idle",
            "message": "",
            "lastTransitionTime": "2020-01-01T00:00:00Z",
            "observedGeneration": 1,
        }
    ],
}


def test_status_is_written_through_its_subresource_and_changes_nothing_else(here: Namespaced) -> None:
    created = here.apply(make_diemjob())

    stored = patch_status(here, FULL_STATUS)

    assert stored["status"] == FULL_STATUS
    assert stored["spec"] == created["spec"]
    assert stored["metadata"]["generation"] == created["metadata"]["generation"]


def test_status_in_a_manifest_is_ignored(here: Namespaced) -> None:
    assert "status" not in here.apply(make_diemjob() | {"status": {"phase": "Running"}})


def test_status_of_a_key_is_stored(here: Namespaced) -> None:
    here.apply(make_apikey())
    status: dict[str, object] = {
        "observedGeneration": 1,
        "keyId": "uid",
        "secretName": "etl-tool-12345678",
        "tokenSHA256": SHA256,
        "issuedAt": "2020-01-01T00:00:00Z",
        "conditions": FULL_STATUS["conditions"],
    }

    patch = json.dumps({"status": status})
    here.kubectl("patch", "dak/etl-tool", "--subresource=status", "--type=merge", "--patch", patch)

    assert json.loads(here.kubectl("get", "dak/etl-tool", "--output", "json"))["status"] == status


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Done"}, 'status.phase: Unsupported value: "Done"'),
        ({"recentRunIds": ["a"] * 257}, "status.recentRunIds: Too many: 257: must have at most 256 items"),
        ({"run": {"id": "1", "phase": "Running"}}, "status.run.number: Required value"),
    ],
)
def test_wrong_status_is_refused(here: Namespaced, status: dict[str, object], expected: str) -> None:
    here.apply(make_diemjob())

    with pytest.raises(KubectlError) as refusal:
        patch_status(here, status)

    assert expected in str(refusal.value)


def read_table(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


def test_printer_columns_of_a_diemjob(here: Namespaced) -> None:
    here.apply(make_diemjob(state="running", schedule={"cron": "@daily"}))
    patch_status(here, FULL_STATUS)

    header, row = read_table(here.kubectl("get", "dj"))
    wide_header, wide_row = read_table(here.kubectl("get", "diemjobs", "--output", "wide"))

    assert header == ["NAME", "STATE", "PHASE", "RUN", "STARTED", "COMPLETED", "AGE"]
    assert row[:4] == ["nightly-load", "running", "Completed", "7"]
    assert all(age[0].isdigit() for age in row[4:7])
    assert wide_header[-2:] == ["SCHEDULE", "AGE"]
    assert wide_row[-2] == "@daily"


def test_printer_columns_of_a_key(here: Namespaced) -> None:
    here.apply(make_apikey(name="Leap", expiresAt="2099-01-01T00:00:00Z", revoked=False))
    status = {"keyId": "uid-1", "conditions": FULL_STATUS["conditions"]}
    patch = json.dumps({"status": status})
    here.kubectl("patch", "dak/etl-tool", "--subresource=status", "--type=merge", "--patch", patch)

    header, row = read_table(here.kubectl("get", "dak"))
    wide_header, wide_row = read_table(here.kubectl("get", "dak", "--output", "wide"))

    assert header == ["NAME", "HOLDER", "READY", "EXPIRES", "REVOKED", "AGE"]
    assert row[:5] == ["etl-tool", "Leap", "True", "2099-01-01T00:00:00Z", "false"]
    assert (wide_header[2], wide_row[2]) == ("ID", "uid-1")


def test_category_lists_both_resources(here: Namespaced) -> None:
    here.apply(make_diemjob())
    here.apply(make_apikey())

    printed = here.kubectl("get", "diem", "--output", "name")

    assert sorted(printed.split()) == ["diemapikey.diem.io/etl-tool", "diemjob.diem.io/nightly-load"]
