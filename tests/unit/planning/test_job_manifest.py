"""The Job of a run: the user's template, and what makes it this run's Job and nobody else's."""

import msgspec
import pytest

from diem_operator.model.diemjob import DiemJob, JobTemplate, ParameterDeclaration
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import (
    ANNOTATION_REQUESTED_AT,
    ANNOTATION_REQUESTED_BY,
    ANNOTATION_RUN_ID,
    ANNOTATION_RUN_NUMBER,
    LABEL_DIEMJOB,
    LABEL_MANAGED_BY,
    RunId,
)
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.job_manifest import build_job, build_label_value
from diem_operator.planning.rules import StartRequest
from tests.builders import NAME, NAMESPACE, UID, make_diemjob, make_job_from, make_template

REQUEST = StartRequest(id=RunId("r1"))
OUR_LABELS = {LABEL_MANAGED_BY: "diem-operator", LABEL_DIEMJOB: NAME}


def build(template: RawObject, request: StartRequest = REQUEST, *parameters: ParameterDeclaration) -> RawObject:
    diemjob = make_diemjob(job_template=msgspec.convert(template, JobTemplate), parameters=parameters)
    return build_job(diemjob, request, number=7)


def with_pod_spec(pod_spec: RawObject) -> RawObject:
    return {"spec": {"template": {"spec": pod_spec}}}


def pod_spec_of(manifest: RawObject) -> RawObject:
    spec: RawObject = manifest["spec"]["template"]["spec"]
    return spec


def test_job_bears_the_one_name_its_run_can_have() -> None:
    metadata = build(make_template())["metadata"]

    assert (metadata["namespace"], metadata["name"]) == (NAMESPACE, build_job_name(NAME, UID, RunId("r1")))


def test_job_belongs_to_its_diemjob_and_its_run() -> None:
    job = make_job_from(build(make_template()))

    assert (job.run_id, job.run_number) == ("r1", 7)
    assert job.owner is not None
    assert (job.owner.name, job.owner.uid) == (NAME, UID)


def test_deletion_of_the_diemjob_waits_for_its_job() -> None:
    (reference,) = build(make_template())["metadata"]["ownerReferences"]

    assert reference == {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "name": NAME,
        "uid": UID,
        "controller": True,
        "blockOwnerDeletion": True,
    }


@pytest.mark.parametrize(
    ("request_", "annotations"),
    [
        pytest.param(REQUEST, {}, id="nobody noted who and when"),
        pytest.param(
            StartRequest(id=RunId("r1"), requested_by="apikey/ci", requested_at="noon"),
            {ANNOTATION_REQUESTED_BY: "apikey/ci", ANNOTATION_REQUESTED_AT: "noon"},
            id="who and when",
        ),
    ],
)
def test_run_can_be_recorded_from_its_job_alone(request_: StartRequest, annotations: dict[str, str]) -> None:
    manifest = build(make_template(), request_)

    expected = {ANNOTATION_RUN_ID: "r1", ANNOTATION_RUN_NUMBER: "7"} | annotations
    assert manifest["metadata"]["annotations"] == expected
    assert manifest["spec"]["template"]["metadata"]["annotations"] == {ANNOTATION_RUN_ID: "r1"}


def test_labels_of_the_template_stay_beside_ours_and_never_replace_them() -> None:
    theirs = {"labels": {"team": "a", LABEL_MANAGED_BY: "me"}, "annotations": {"a": "b", ANNOTATION_RUN_ID: "me"}}
    manifest = build({"metadata": theirs, "spec": {"template": {"metadata": theirs}}})

    for metadata in (manifest["metadata"], manifest["spec"]["template"]["metadata"]):
        assert metadata["labels"] == {"team": "a"} | OUR_LABELS
        assert metadata["annotations"].items() >= {"a": "b", ANNOTATION_RUN_ID: "r1"}.items()


@pytest.mark.parametrize(
    "template",
    [
        pytest.param({}, id="empty"),
        pytest.param(
            {"metadata": {"labels": None, "annotations": None}, "spec": {"template": None}}, id="null template"
        ),
        pytest.param({"spec": {"template": {"metadata": None, "spec": None}}}, id="null metadata and spec"),
        pytest.param({"spec": {"template": {"metadata": {"labels": None, "annotations": None}}}}, id="null labels"),
    ],
)
def test_template_with_gaps_still_makes_a_job_of_ours(template: RawObject) -> None:
    manifest = build(template)

    assert manifest["metadata"]["labels"] == OUR_LABELS
    pods = {"labels": OUR_LABELS, "annotations": {ANNOTATION_RUN_ID: "r1"}}
    assert manifest["spec"]["template"] == {"metadata": pods, "spec": {}}


def test_all_else_is_as_the_user_wrote_it() -> None:
    template = make_template(command=["sleep", "1"], env=[{"name": "A", "value": "$(B)"}])
    template["spec"] |= {"backoffLimit": 3, "suspend": True}

    manifest = build(template)

    assert pod_spec_of(manifest) == template["spec"]["template"]["spec"]
    assert (manifest["spec"]["backoffLimit"], manifest["spec"]["suspend"]) == (3, True)


def test_parameters_come_before_the_variables_of_every_container() -> None:
    pod_spec = {
        "initContainers": [{"name": "init", "env": None}],
        "containers": [{"name": "a", "env": [{"name": "GREETING", "value": "$(DAY)"}]}, {"name": "b"}],
    }
    request = StartRequest(id=RunId("r1"), parameters={"DAY": "$1"})

    changed = pod_spec_of(build(with_pod_spec(pod_spec), request, ParameterDeclaration(name="DAY")))

    day = {"name": "DAY", "value": "$$1"}
    assert changed == {
        "initContainers": [{"name": "init", "env": [day]}],
        "containers": [
            {"name": "a", "env": [day, {"name": "GREETING", "value": "$(DAY)"}]},
            {"name": "b", "env": [day]},
        ],
    }


@pytest.mark.parametrize("pod_spec", [{"containers": None}, {"containers": [], "initContainers": []}])
def test_parameters_need_a_container(pod_spec: RawObject) -> None:
    request = StartRequest(id=RunId("r1"), parameters={"DAY": "1"})

    assert pod_spec_of(build(with_pod_spec(pod_spec), request, ParameterDeclaration(name="DAY"))) == pod_spec


def test_run_without_parameters_adds_no_env() -> None:
    pod_spec = {"containers": [{"name": "a"}]}

    assert pod_spec_of(build(with_pod_spec(pod_spec), REQUEST, ParameterDeclaration(name="DAY"))) == pod_spec


def test_template_itself_is_never_changed() -> None:
    template = make_template(env=[{"name": "A"}]) | {"metadata": {"labels": {"team": "a"}}}
    diemjob: DiemJob = make_diemjob(
        job_template=msgspec.convert(template, JobTemplate), parameters=(ParameterDeclaration(name="DAY", default="1"),)
    )
    before = msgspec.json.encode(diemjob)

    build_job(diemjob, REQUEST, number=1)

    assert msgspec.json.encode(diemjob) == before


def test_same_run_has_the_same_manifest() -> None:
    assert build(make_template()) == build(make_template())


@pytest.mark.parametrize("length", [1, 63])
def test_name_that_fits_is_the_label_value(length: int) -> None:
    assert build_label_value("a" * length) == "a" * length


def test_long_names_get_short_label_values_that_differ() -> None:
    first, second = (build_label_value("a" * 200 + end) for end in "bc")

    assert len(first) == len(second) == 63
    assert first[:47] == second[:47] == "a" * 46 + "-"
    assert first != second
