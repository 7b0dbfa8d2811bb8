"""The samples that are there to be copied are what they say; whether the API server takes them is asked elsewhere."""

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from diem_operator.model.diemapikey import Action, DiemApiKey, StatusCodes
from diem_operator.model.diemjob import DiemJob
from diem_operator.planning.parameters import check_parameters, check_template

SAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "samples"
NAMES = ("etl-load", "kueue-queued", "legacy-key", "long-running")
OLD_JOB_ID = re.compile(r"[0-9a-f]{24}")


def read_sample(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SAMPLES / f"{name}.yaml").read_text(encoding="utf-8")))


def find_sample(name: str, kind: str) -> dict[str, Any]:
    (found,) = (document for document in read_sample(name) if document["kind"] == kind)
    return found


def read_diemjob(name: str) -> DiemJob:
    return msgspec.convert(find_sample(name, "DiemJob"), DiemJob)


def read_pod(name: str) -> dict[str, Any]:
    return dict(find_sample(name, "DiemJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"])


@pytest.mark.parametrize("name", NAMES)
def test_applying_it_starts_nothing(name: str) -> None:
    assert {"state", "run", "schedule", "requests"} & find_sample(name, "DiemJob")["spec"].keys() == set()


@pytest.mark.parametrize("name", NAMES)
def test_it_stays_in_the_namespace_for_trying_things(name: str) -> None:
    assert {document["metadata"]["namespace"] for document in read_sample(name)} == {"demo"}


@pytest.mark.parametrize("name", NAMES)
def test_its_parameters_can_be_passed_on(name: str) -> None:
    spec = read_diemjob(name).spec

    assert check_template(spec.parameters, spec.job_template) == ()


@pytest.mark.parametrize("name", NAMES)
def test_its_pods_are_what_pod_security_restricted_asks_for(name: str) -> None:
    pod = read_pod(name)
    contexts = [container["securityContext"] for container in pod["containers"]]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert [context["allowPrivilegeEscalation"] for context in contexts] == [False]
    assert [context["readOnlyRootFilesystem"] for context in contexts] == [True]
    assert [context["capabilities"] for context in contexts] == [{"drop": ["ALL"]}]


@pytest.mark.parametrize("name", NAMES)
def test_its_pods_have_no_token_and_say_what_they_need(name: str) -> None:
    pod = read_pod(name)

    assert pod["automountServiceAccountToken"] is False
    assert [container["resources"].keys() for container in pod["containers"]] == [{"requests", "limits"}]


def test_the_etl_job_takes_the_parameters_that_its_comment_sends() -> None:
    parameters = read_diemjob("etl-load").spec.parameters

    assert check_parameters(parameters, {"BUSINESS_DATE": "2026-11-23", "REGION": "us"}) == ()
    assert check_parameters(parameters, {"REGION": "us"}) != ()


def test_the_etl_job_reads_its_password_from_the_secret_beside_it() -> None:
    secret = find_sample("etl-load", "Secret")
    pod = read_pod("etl-load")
    references = [entry["valueFrom"]["secretKeyRef"] for entry in pod["containers"][0]["env"]]

    assert [volume["secret"]["secretName"] for volume in pod["volumes"]] == [secret["metadata"]["name"]]
    assert {reference["name"] for reference in references} == {secret["metadata"]["name"]}
    assert {reference["key"] for reference in references} | {"password"} == secret["stringData"].keys()


def test_the_queued_job_bears_the_label_where_kueue_looks() -> None:
    template = find_sample("kueue-queued", "DiemJob")["spec"]["jobTemplate"]

    assert template["metadata"]["labels"].keys() == {"kueue.x-k8s.io/queue-name"}
    assert template["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"].keys() == {"cpu", "memory"}


def test_the_long_job_gets_time_to_save_its_state() -> None:
    assert read_pod("long-running")["terminationGracePeriodSeconds"] == 300
    assert "trap" in read_pod("long-running")["containers"][0]["command"][-1]
    assert read_diemjob("long-running").spec.start_deadline_seconds == 3600


def test_the_old_program_finds_its_job_under_the_id_it_knows() -> None:
    (alias,) = read_diemjob("legacy-key").spec.aliases

    assert OLD_JOB_ID.fullmatch(alias)


def test_the_old_key_is_adopted_with_the_manners_of_the_old_server() -> None:
    spec = msgspec.convert(find_sample("legacy-key", "DiemApiKey"), DiemApiKey).spec

    assert spec.jobs == (find_sample("legacy-key", "DiemJob")["metadata"]["name"],)
    assert spec.expires_at is not None
    assert spec.compatibility is not None
    assert spec.compatibility.missing_action is Action.START
    assert spec.compatibility.status_codes is StatusCodes.LEGACY


def test_nobody_can_call_with_the_text_whose_hash_the_sample_shows() -> None:
    text = "made up: two lines,\nwhich no HTTP header can hold"

    assert repr(text) in (SAMPLES / "legacy-key.yaml").read_text(encoding="utf-8")
    assert find_sample("legacy-key", "DiemApiKey")["spec"]["adoptTokenSHA256"] == (
        hashlib.sha256(text.encode()).hexdigest()
    )
