"""Values that contradict each other are refused with a sentence that says what to do."""

from typing import Any

import pytest

from tests.chart.rendering import AUTOSCALING, DEPLOYMENT, NAMESPACE, Chart, merge, set_value


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param(
            set_value("watchNamespaces", ["team-a", NAMESPACE]),
            "leave it out, or set operator.serveOwnNamespace",
            id="own namespace watched and not served",
        ),
        pytest.param(
            set_value("operator.lease.renewSeconds", 3.1),
            "lower the first or raise the second",
            id="renewals too far apart",
        ),
        pytest.param(
            set_value("api.serviceAccount.create", False),
            "api.serviceAccount.name must say which ServiceAccount to use",
            id="no ServiceAccount",
        ),
        pytest.param(
            merge(set_value("api.serviceAccount.name", "same"), set_value("operator.serviceAccount.name", "same")),
            "which would give the API the operator's rights",
            id="one ServiceAccount for both",
        ),
        pytest.param(set_value("api.port", 8081), "give each its own", id="ports of a sidecar pod clash"),
        pytest.param(
            set_value("api.deployment.autoscaling.enabled", True), "needs api.mode=deployment", id="scaled sidecar"
        ),
        pytest.param(
            merge(AUTOSCALING, set_value("api.deployment.autoscaling.minReplicas", 9)),
            "minReplicas is more than maxReplicas",
            id="scaled between wrong bounds",
        ),
        pytest.param(
            merge(AUTOSCALING, set_value("api.deployment.autoscaling.targetCPUUtilizationPercentage", None)),
            "needs something to scale by",
            id="scaled by nothing",
        ),
        pytest.param(
            merge(AUTOSCALING, set_value("api.resources.requests.cpu", None)),
            "set api.resources.requests.cpu",
            id="scaled by a share of nothing",
        ),
        pytest.param(
            set_value("operator.podDisruptionBudget.minAvailable", 1), "set the other to null", id="budget with both"
        ),
        pytest.param(
            set_value("api.deployment.podDisruptionBudget.maxUnavailable", None),
            "needs one of minAvailable and maxUnavailable",
            id="budget with neither",
        ),
        pytest.param(
            set_value("operator.terminationGracePeriodSeconds", 11),
            "less than the 12 seconds that the API needs to drain",
            id="no time to drain",
        ),
        pytest.param(
            set_value("api.tls.certificate", {"enabled": True, "issuerRef": {"name": "x"}}),
            "name the Secret that cert-manager is to write",
            id="certificate without a Secret",
        ),
        pytest.param(
            set_value("api.tls", {"secretName": "x", "certificate": {"enabled": True}}),
            "needs api.tls.certificate.issuerRef.name",
            id="certificate without an issuer",
        ),
        pytest.param(set_value("service.nodePort", 30080), "needs service.type NodePort", id="node port nowhere"),
        pytest.param(
            set_value("service.externalTrafficPolicy", "Local"),
            "needs service.type NodePort or LoadBalancer",
            id="outside traffic to a ClusterIP",
        ),
        pytest.param(
            set_value("service", {"type": "NodePort", "loadBalancerClass": "x"}),
            "need service.type LoadBalancer",
            id="load balancer class without one",
        ),
        pytest.param(
            set_value("service", {"type": "NodePort", "clusterIP": "None"}),
            "needs service.type ClusterIP",
            id="headless node port",
        ),
        pytest.param(set_value("ingress.enabled", True), "name at least one host", id="ingress without a host"),
        pytest.param(set_value("httpRoute.enabled", True), "name at least one Gateway", id="route without a gateway"),
        pytest.param(
            set_value("tests.namespace", NAMESPACE),
            "is the release's own namespace, which is not served",
            id="test where nothing starts",
        ),
        pytest.param(
            merge(set_value("tests.namespace", "other"), set_value("watchNamespaces", ["team-a"])),
            "is not in watchNamespaces",
            id="test where nobody watches",
        ),
        pytest.param(
            set_value("operator.extraEnv", [{"name": "DIEM_WORKERS", "value": "1"}]),
            "use the value of the chart that sets it",
            id="variable that the chart sets",
        ),
        pytest.param(
            set_value("api.extraEnv", [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
            "name each variable once",
            id="variable twice",
        ),
    ],
)
def test_contradiction_is_refused(chart: Chart, values: dict[str, Any], sentence: str) -> None:
    refusal = chart.find_refusal(values)

    assert "these values cannot be used together" in refusal
    assert sentence in refusal


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(
            merge(set_value("watchNamespaces", [NAMESPACE]), set_value("operator.serveOwnNamespace", True)),
            id="own namespace watched and served",
        ),
        pytest.param(merge(DEPLOYMENT, set_value("api.port", 8081)), id="same ports in different pods"),
        pytest.param(set_value("operator.terminationGracePeriodSeconds", 12), id="just enough time to drain"),
        pytest.param(
            set_value("operator.podDisruptionBudget", {"minAvailable": "50%", "maxUnavailable": None}),
            id="budget by minAvailable",
        ),
    ],
)
def test_what_fits_is_accepted(chart: Chart, values: dict[str, Any]) -> None:
    assert chart.find_refusal(values) == ""


def test_all_contradictions_are_told_at_once(chart: Chart) -> None:
    refusal = chart.find_refusal(merge(set_value("ingress.enabled", True), set_value("httpRoute.enabled", True)))

    assert "needs ingress.hosts" in refusal
    assert "needs httpRoute.parentRefs" in refusal


def test_release_name_that_no_service_can_have_is_refused(chart: Chart) -> None:
    assert "choose another release name, or set fullnameOverride" in chart.find_refusal({}, release="1st")
