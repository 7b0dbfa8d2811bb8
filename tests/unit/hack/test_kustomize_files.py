"""Rendered objects become a base and overlays that say the same."""

from typing import Any

import pytest
import yaml

from hack.kustomize_files import build_base, build_overlay, build_patch, find_shared, strip


def make(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "ops"}} | fields


def make_deployment(*environment: dict[str, str]) -> dict[str, Any]:
    containers = [{"name": "main", "image": "x", "env": list(environment)}, {"name": "other"}]
    return make("Deployment", "app", spec={"template": {"spec": {"containers": containers}}})


ACCOUNT = make("ServiceAccount", "app")
FIRST = [ACCOUNT, make("ClusterRole", "everywhere"), make_deployment()]
SECOND = [ACCOUNT, make("Role", "here"), make_deployment({"name": "WHERE", "value": "here"})]


def read(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def test_what_both_have_is_in_the_base_with_the_namespace() -> None:
    files = build_base(find_shared(FIRST, SECOND), namespace="ops")

    assert sorted(files) == ["deployment.yaml", "kustomization.yaml", "namespace.yaml", "serviceaccounts.yaml"]
    assert read(files["deployment.yaml"]) == [make_deployment()]
    (kustomization,) = read(files["kustomization.yaml"])
    assert kustomization["resources"] == ["deployment.yaml", "namespace.yaml", "serviceaccounts.yaml"]


def test_first_kind_adds_its_own_and_changes_nothing() -> None:
    files = build_overlay(FIRST, base=find_shared(FIRST, SECOND), title="Everywhere.")

    assert read(files["rbac.yaml"]) == [make("ClusterRole", "everywhere")]
    assert sorted(files) == ["kustomization.yaml", "rbac.yaml"]
    (kustomization,) = read(files["kustomization.yaml"])
    assert kustomization["resources"] == ["../../base", "rbac.yaml"]
    assert "patches" not in kustomization


def test_second_kind_patches_what_differs() -> None:
    files = build_overlay(SECOND, base=find_shared(FIRST, SECOND), title="Here.")

    containers = [{"name": "main", "env": [{"name": "WHERE", "value": "here"}]}]
    assert read(files["patch.yaml"]) == [
        make("Deployment", "app", spec={"template": {"spec": {"containers": containers}}})
    ]
    (kustomization,) = read(files["kustomization.yaml"])
    assert kustomization["patches"] == [{"path": "patch.yaml"}]


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="value"),
        pytest.param({"a": 1}, {}, {"a": None}, id="removed"),
        pytest.param({}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="added"),
        pytest.param({"a": [1]}, {"a": [2]}, {"a": [2]}, id="list"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"$patch": "delete", "name": "B"}]},
            id="removed-by-name",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "value": "3"}]},
            id="changed-by-name",
        ),
    ],
)
def test_patch_says_what_changes(before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any]) -> None:
    assert build_patch(make("Deployment", "app", spec=before), make("Deployment", "app", spec=after)) == make(
        "Deployment", "app", spec=patch
    )


def test_marks_of_helm_are_taken_off_everywhere() -> None:
    of_helm = {"helm.sh/chart": "x-1", "app.kubernetes.io/managed-by": "Helm", "app": "x"}
    metadata = {"name": "app", "labels": of_helm, "annotations": {"helm.sh/resource-policy": "keep"}}

    assert strip({"kind": "X", "metadata": metadata, "spec": [{"labels": of_helm}]}) == {
        "kind": "X",
        "metadata": {"name": "app", "labels": {"app": "x"}},
        "spec": [{"labels": {"app": "x"}}],
    }


def test_long_texts_stay_readable() -> None:
    files = build_base([make("Secret", "x", text="one\ntwo\n")], namespace="ops")

    assert "text: |\n  one\n  two\n" in files["secret.yaml"]
