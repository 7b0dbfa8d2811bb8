"""What each value adds to the release, changes in it or removes from it."""

from typing import Any

import pytest

from tests.chart.rendering import AUTOSCALING, DEPLOYMENT, NAMESPACE, RELEASE, TLS, Chart, Object, merge, set_value

API = f"{RELEASE}-api"
FROM: list[Object] = [{"namespaceSelector": {}}]


@pytest.mark.parametrize(
    ("before", "values", "added"),
    [
        pytest.param(
            {},
            DEPLOYMENT,
            {("Deployment", API), ("PodDisruptionBudget", API), ("NetworkPolicy", API)},
            id="API as a Deployment",
        ),
        pytest.param(DEPLOYMENT, AUTOSCALING, {("HorizontalPodAutoscaler", API)}, id="autoscaling"),
        pytest.param(
            {}, set_value("ingress", {"enabled": True, "hosts": ["a.example"]}), {("Ingress", API)}, id="ingress"
        ),
        pytest.param(
            {},
            set_value("httpRoute", {"enabled": True, "parentRefs": [{"name": "gateway"}]}),
            {("HTTPRoute", API)},
            id="route",
        ),
        pytest.param(
            TLS,
            set_value("api.tls.certificate", {"enabled": True, "issuerRef": {"name": "ca"}}),
            {("Certificate", API)},
            id="certificate",
        ),
        pytest.param({}, TLS, set(), id="TLS"),
        pytest.param({}, set_value("metrics.podMonitor.enabled", True), {("PodMonitor", RELEASE)}, id="monitor"),
        pytest.param({}, set_value("metrics.prometheusRule.enabled", True), {("PrometheusRule", RELEASE)}, id="alerts"),
        pytest.param(
            {}, set_value("metrics.dashboard.enabled", True), {("ConfigMap", f"{RELEASE}-dashboard")}, id="dashboard"
        ),
        pytest.param(
            {}, set_value("networkPolicy.api.from", FROM), {("NetworkPolicy", f"{RELEASE}-test")}, id="some callers"
        ),
        pytest.param(
            {},
            {
                "extraObjects": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-x"}}
                ]
            },
            {("ConfigMap", f"{RELEASE}-x")},
            id="extra object",
        ),
        pytest.param(
            {},
            {"extraObjects": ["apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Namespace }}-y\n"]},
            {("ConfigMap", f"{NAMESPACE}-y")},
            id="extra object as text",
        ),
    ],
)
def test_value_adds(chart: Chart, before: dict[str, Any], values: dict[str, Any], added: set[tuple[str, str]]) -> None:
    known, found = chart.render(before).identities, chart.render(merge(before, values)).identities

    assert {(kind, name) for kind, _, name in found - known} == added
    assert known - found == set()


@pytest.mark.parametrize(
    ("values", "removed"),
    [
        pytest.param(set_value("crds.enabled", False), {"CustomResourceDefinition"}, id="CRDs"),
        pytest.param(set_value("networkPolicy.enabled", False), {"NetworkPolicy"}, id="network policy"),
        pytest.param(set_value("operator.podDisruptionBudget.enabled", False), {"PodDisruptionBudget"}, id="budget"),
        pytest.param(
            set_value("admissionPolicy.enabled", False),
            {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"},
            id="admission policy",
        ),
        pytest.param(set_value("rbac.aggregateClusterRoles", False), {"ClusterRole"}, id="roles for people"),
        pytest.param(
            set_value("rbac.create", False), {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}, id="rights"
        ),
        pytest.param(
            merge(
                set_value("operator.serviceAccount", {"create": False, "name": "a"}),
                set_value("api.serviceAccount", {"create": False, "name": "b"}),
            ),
            {"ServiceAccount"},
            id="accounts",
        ),
        pytest.param(set_value("keys.signingSecret.existingSecret", "mine"), {"Secret"}, id="signing key"),
        pytest.param(
            set_value("tests.enabled", False),
            {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Pod"},
            id="test",
        ),
    ],
)
def test_value_removes(chart: Chart, values: dict[str, Any], removed: set[str]) -> None:
    known, found = chart.render().identities, chart.render(values).identities

    assert {kind for kind, _, _ in known - found} == removed
    assert found - known == set()


def test_crds_are_kept_unless_told_otherwise(chart: Chart) -> None:
    kept, dropped = (
        chart.render(values).of("CustomResourceDefinition") for values in ({}, set_value("crds.keep", False))
    )

    assert len(kept) == len(dropped) == 2
    assert all(each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for each in kept)
    assert all("annotations" not in each["metadata"] for each in dropped)


@pytest.mark.parametrize("values", [pytest.param({}, id="sidecar"), pytest.param(AUTOSCALING, id="deployment")])
def test_every_object_has_the_common_labels(chart: Chart, values: dict[str, Any]) -> None:
    everything = merge(
        values,
        {"commonLabels": {"team": "platform"}},
        set_value("ingress", {"enabled": True, "hosts": ["a.example"]}),
        set_value("httpRoute", {"enabled": True, "parentRefs": [{"name": "gateway"}]}),
        set_value("metrics", {name: {"enabled": True} for name in ("podMonitor", "prometheusRule", "dashboard")}),
        set_value("networkPolicy.api.from", FROM),
        TLS,
        set_value("api.tls.certificate", {"enabled": True, "issuerRef": {"name": "ca"}}),
    )

    usual = {"name": "diem-operator", "instance": RELEASE, "version": "0.1.0", "part-of": "diem", "managed-by": "Helm"}
    expected = {f"app.kubernetes.io/{name}": value for name, value in usual.items()}
    expected |= {"helm.sh/chart": "diem-operator-0.1.0", "team": "platform"}
    found = {
        (each["kind"], each["metadata"]["name"]): each["metadata"]["labels"]
        for each in chart.render(everything).objects
    }
    assert {which: labels for which, labels in found.items() if not expected.items() <= labels.items()} == {}


def test_pods_have_the_common_labels_and_their_selectors_do_not(chart: Chart) -> None:
    deployment = chart.render({"commonLabels": {"team": "platform"}}).get("Deployment")

    assert deployment["spec"]["template"]["metadata"]["labels"]["team"] == "platform"
    assert set(deployment["spec"]["selector"]["matchLabels"]) == {
        "app.kubernetes.io/name",
        "app.kubernetes.io/instance",
        "app.kubernetes.io/component",
    }


@pytest.mark.parametrize(
    ("values", "release", "name"),
    [
        pytest.param({}, "diem-operator", "diem-operator", id="release named as the chart"),
        pytest.param({}, "jobs", "jobs-diem-operator", id="another release"),
        pytest.param({}, "a.b", "a-b-diem-operator", id="release with a dot"),
        pytest.param({"nameOverride": "x"}, "jobs", "jobs-x", id="another chart name"),
        pytest.param({"fullnameOverride": "diem"}, "jobs", "diem", id="another name"),
        pytest.param({}, "r" * 53, "r" * 53, id="long release"),
    ],
)
def test_names_follow_the_release(chart: Chart, values: dict[str, Any], release: str, name: str) -> None:
    rendered = chart.render(values, release=release)

    assert rendered.get("Deployment")["metadata"]["name"] == name
    assert rendered.get("Service")["metadata"]["name"] == f"{name}-api"
    assert rendered.get("Lease")["metadata"]["name"] == name


def test_rendering_is_deterministic(chart: Chart) -> None:
    values = merge(AUTOSCALING, TLS, set_value("keys.tenants", {name: {} for name in "badc"}))

    again = Chart(helm=chart.helm)
    assert again.render(values).text == chart.render(values).text


@pytest.mark.parametrize("path", ["operator.serviceAccount", "api.serviceAccount"])
def test_accounts_have_their_annotations(chart: Chart, path: str) -> None:
    found = chart.render(set_value(f"{path}.annotations", {"a": "b"})).of("ServiceAccount")

    assert [each["metadata"]["annotations"] for each in found if each["metadata"].get("annotations", {}).get("a")] == [
        {"a": "b"}
    ]
