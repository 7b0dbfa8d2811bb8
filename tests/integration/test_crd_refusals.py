"""What the API server refuses of our resources, and the words in which it does."""

from typing import Any

import pytest

from tests.integration.manifests import (
    POD,
    POD_METADATA,
    SHA256,
    FieldPath,
    make_adopting_apikey,
    make_apikey,
    make_diemjob,
    with_field,
)
from tests.integration.namespaced import Namespaced
from tests.localcluster import LocalCluster


@pytest.fixture(scope="module")
def shared(cluster: LocalCluster) -> Namespaced:
    """The default namespace, for what is never stored."""
    return Namespaced(cluster=cluster, name="default")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param(("spec", "sate"), "running", 'unknown field "spec.sate"', id="misspelt field of ours"),
        pytest.param(
            ("spec", "run"), {"id": "1", "requestBy": "me"}, 'unknown field "spec.run.requestBy"', id="inside spec.run"
        ),
        pytest.param(
            (*POD, "restartpolicy"),
            "Never",
            'unknown field "spec.jobTemplate.spec.template.spec.restartpolicy"',
            id="misspelt field of a pod",
        ),
        pytest.param(
            (*POD, "containers", 0, "imagePullPolcy"),
            "Never",
            'unknown field "spec.jobTemplate.spec.template.spec.containers[0].imagePullPolcy"',
            id="misspelt field of a container",
        ),
        pytest.param(
            ("spec", "jobTemplate", "metadata"),
            {"name": "mine"},
            'unknown field "spec.jobTemplate.metadata.name"',
            id="name of the Job",
        ),
        pytest.param(
            (*POD, "ephemeralContainers"),
            [{"name": "debug"}],
            'unknown field "spec.jobTemplate.spec.template.spec.ephemeralContainers"',
            id="ephemeral containers",
        ),
    ],
)
def test_unknown_field_is_refused_by_its_path(
    shared: Namespaced, path: FieldPath, value: object, expected: str
) -> None:
    assert expected in shared.find_refusal(with_field(make_diemjob(), path, value))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("suspend", False, "remove it; set spec.state of the DiemJob to stopped or running instead"),
        ("suspend", True, "remove it; set spec.state of the DiemJob to stopped or running instead"),
        ("selector", {"matchLabels": {"a": "b"}}, "remove it; Kubernetes selects the pods of each run's Job"),
        ("manualSelector", True, "remove it; Kubernetes selects the pods of each run's Job"),
        ("ttlSecondsAfterFinished", 60, "remove it; set spec.ttlSecondsAfterFinished of the DiemJob instead"),
    ],
)
def test_what_the_operator_decides_is_forbidden_in_the_template(
    shared: Namespaced, field: str, value: object, expected: str
) -> None:
    manifest = with_field(make_diemjob(), ("spec", "jobTemplate", "spec", field), value)

    assert f"spec.jobTemplate.spec.{field}: Forbidden: {expected}" in shared.find_refusal(manifest)


@pytest.mark.parametrize("metadata", [("spec", "jobTemplate", "metadata"), POD_METADATA], ids=["Job", "pods"])
@pytest.mark.parametrize(
    ("kind", "key", "expected"),
    [
        ("labels", "diem.io/diemjob", "labels diem.io/* are the operator's"),
        ("annotations", "diem.io/run-id", "annotations diem.io/* are the operator's"),
        ("labels", "batch.kubernetes.io/job-name", "Kubernetes sets the labels batch.kubernetes.io/*"),
        ("labels", "controller-uid", "Kubernetes sets the labels batch.kubernetes.io/*"),
        ("labels", "job-name", "Kubernetes sets the labels batch.kubernetes.io/*"),
    ],
)
def test_reserved_label_or_annotation_is_forbidden(
    shared: Namespaced, metadata: FieldPath, kind: str, key: str, expected: str
) -> None:
    manifest = with_field(make_diemjob(), (*metadata, kind), {"app": "etl", key: "x"})

    refusal = shared.find_refusal(manifest)

    assert f"{'.'.join(map(str, metadata))}.{kind}: Forbidden: {expected}" in refusal


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param(
            ("spec", "state"),
            "paused",
            'spec.state: Unsupported value: "paused": supported values: "stopped", "running"',
            id="state",
        ),
        pytest.param(
            ("spec", "run"), {"id": "x" * 129}, "spec.run.id: Too long: may not be more than 128", id="long id"
        ),
        pytest.param(("spec", "run"), {"id": ""}, "spec.run.id in body should be at least 1 chars long", id="empty id"),
        pytest.param(("spec", "run"), {"requestedBy": "me"}, "spec.run.id: Required value", id="run without id"),
        pytest.param(
            ("spec", "run"),
            {"id": "1", "parameters": {"DAY": "x" * 4097}},
            "spec.run.parameters.DAY: Too long: may not be more than 4096",
            id="long value",
        ),
        pytest.param(
            ("spec", "requests"),
            [{"id": str(number), "action": "start"} for number in range(17)],
            "spec.requests: Too many: 17: must have at most 16 items",
            id="requests",
        ),
        pytest.param(
            ("spec", "aliases"), [f"{number}" for number in range(17)], "spec.aliases: Too many: 17", id="aliases"
        ),
        pytest.param(("spec", "aliases"), ["a", "a"], 'spec.aliases[1]: Duplicate value: "a"', id="alias twice"),
        pytest.param(("spec", "runHistoryLimit"), 51, "should be less than or equal to 50", id="run history"),
        pytest.param(
            ("spec", "runHistoryLimit"), -1, "should be greater than or equal to 0", id="negative run history"
        ),
        pytest.param(("spec", "jobHistoryLimit"), 21, "should be less than or equal to 20", id="job history"),
        pytest.param(
            ("spec", "startDeadlineSeconds"), 0, "should be greater than or equal to 1", id="no time to start"
        ),
        pytest.param(("spec", "schedule"), {"timeZone": "Etc/UTC"}, "spec.schedule.cron: Required value", id="no cron"),
        pytest.param(
            ("spec", "schedule"),
            {"cron": "CRON_TZ=Etc/UTC 0 1 * * *"},
            "write the time zone into spec.schedule.timeZone instead of TZ= or CRON_TZ=",
            id="time zone in cron",
        ),
        pytest.param(("spec", "jobTemplate"), {}, "spec.jobTemplate.spec: Required value", id="empty template"),
        pytest.param(
            ("spec", "jobTemplate", "spec", "template"),
            {},
            "spec.jobTemplate.spec.template.spec: Required value",
            id="empty pod template",
        ),
        pytest.param(
            POD,
            {"containers": [{"name": "main"}]},
            "restartPolicy: Required value: set it to Never or OnFailure; Always, which pods have by default, is not",
            id="no restart policy",
        ),
        pytest.param(
            (*POD, "restartPolicy"),
            "Always",
            'restartPolicy: Unsupported value: "Always": supported values: "Never", "OnFailure"',
            id="restart policy of services",
        ),
        pytest.param((*POD, "containers"), [], "should have at least 1 items", id="no container"),
        pytest.param(
            (*POD, "containers", 0, "resources"),
            {"limits": {"memory": "1GiB"}},
            "resources.limits.memory in body should match",
            id="quantity",
        ),
        pytest.param(
            (*POD, "containers", 0, "resources"),
            {"limits": {"cpu": 0.5}},
            'resources.limits.cpu in body must be of type integer,string: "number"',
            id="fraction that is not quoted",
        ),
    ],
)
def test_bad_value_is_refused_with_its_place_and_what_is_allowed(
    shared: Namespaced, path: FieldPath, value: object, expected: str
) -> None:
    assert expected in shared.find_refusal(with_field(make_diemjob(), path, value))


@pytest.mark.parametrize("name", ["PATH", "BASH_ENV", "LD_PRELOAD", "PYTHONPATH"])
def test_parameter_that_decides_which_code_runs_is_refused(shared: Namespaced, name: str) -> None:
    refusal = shared.find_refusal(make_diemjob(parameters=[{"name": name}]))

    assert "spec.parameters[0].name" in refusal
    assert "decide which code runs, so callers may not set them; choose another name" in refusal


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ({"name": "day"}, "should match '^[A-Z_][A-Z0-9_]*$'"),
        ({"name": "1ST"}, "should match '^[A-Z_][A-Z0-9_]*$'"),
        ({"name": "DAY", "enum": ["mon"], "default": "tue"}, "must be one of the values of enum; change the default"),
        ({"name": "DAY", "maxLength": 2, "default": "tue"}, "is longer than maxLength; shorten the default"),
    ],
)
def test_bad_parameter_is_refused(shared: Namespaced, parameter: dict[str, object], expected: str) -> None:
    assert expected in shared.find_refusal(make_diemjob(parameters=[parameter]))


def test_parameter_is_declared_once(shared: Namespaced) -> None:
    refusal = shared.find_refusal(make_diemjob(parameters=[{"name": "DAY"}, {"name": "DAY"}]))

    assert 'spec.parameters[1]: Duplicate value: {"name":"DAY"}' in refusal


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"jobs": ["a*b"]}, "spec.jobs[0]: Invalid value", id="star inside"),
        pytest.param({"jobs": ["**"]}, "may hold one *, as its last character", id="two stars"),
        pytest.param({"jobs": []}, "spec.jobs in body should have at least 1 items", id="no jobs"),
        pytest.param({"actions": []}, "spec.actions in body should have at least 1 items", id="no actions"),
        pytest.param(
            {"actions": ["status", "status"]}, 'spec.actions[1]: Duplicate value: "status"', id="action twice"
        ),
        pytest.param({"actions": ["kill"]}, 'supported values: "status", "start", "stop"', id="unknown action"),
        pytest.param({"expiresAt": "tomorrow"}, "spec.expiresAt in body must be of type date-time", id="expiry"),
        pytest.param({"revoke": True}, 'unknown field "spec.revoke"', id="misspelt field"),
        pytest.param({"compatibility": {"missingAction": "stop"}}, 'supported values: "status", "start"', id="stop"),
    ],
)
def test_bad_key_is_refused(shared: Namespaced, spec: dict[str, object], expected: str) -> None:
    assert expected in shared.find_refusal(make_apikey(**spec))


@pytest.mark.parametrize("wrong", [SHA256.upper(), SHA256[:-1], "g" * 64, f"{SHA256[:-1]}\n"])
def test_adopted_hash_is_64_lower_case_hexadecimal_digits(shared: Namespaced, wrong: str) -> None:
    refusal = shared.find_refusal(make_adopting_apikey(adoptTokenSHA256=wrong))

    assert "must be the SHA-256 of the token, as 64 lower-case hexadecimal digits" in refusal


@pytest.mark.parametrize("field", ["expiresAt", "compatibility"])
def test_adopted_token_needs_an_end_and_a_missing_action(shared: Namespaced, field: str) -> None:
    manifest = make_adopting_apikey()
    del manifest["spec"][field]

    assert "a key with adoptTokenSHA256 also needs expiresAt" in shared.find_refusal(manifest)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(make_adopting_apikey(), make_adopting_apikey(adoptTokenSHA256="f" * 64), id="change"),
        pytest.param(make_apikey(), make_adopting_apikey(), id="add"),
        pytest.param(make_adopting_apikey(), make_apikey(), id="remove"),
    ],
)
def test_adopted_hash_stays_as_it_is(here: Namespaced, before: dict[str, Any], after: dict[str, Any]) -> None:
    here.apply(before)

    refusal = here.find_refusal(after)

    assert "cannot be added, changed or removed later; create another DiemApiKey for another token" in refusal


def test_everything_else_of_an_adopting_key_may_change(here: Namespaced) -> None:
    here.apply(make_adopting_apikey())

    changed = here.apply(make_adopting_apikey(actions=["start"], revoked=True, expiresAt="2030-01-01T00:00:00Z"))

    assert changed["spec"]["revoked"] is True
