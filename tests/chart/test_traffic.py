"""How the API is reached: Service, Ingress, HTTPRoute, certificate, NetworkPolicy; and how many pods answer."""

from typing import Any

import pytest

from tests.chart.rendering import AUTOSCALING, DEPLOYMENT, NAMESPACE, RELEASE, TLS, Chart, Object, merge, set_value

API = f"{RELEASE}-api"
FROM: list[Object] = [{"namespaceSelector": {}}]


@pytest.mark.parametrize(
    ("values", "port"),
    [
        pytest.param({}, {"port": 80, "appProtocol": "http"}, id="HTTP"),
        pytest.param(TLS, {"port": 443, "appProtocol": "https"}, id="HTTPS"),
        pytest.param(merge(TLS, set_value("service.port", 8443)), {"port": 8443, "appProtocol": "https"}, id="given"),
        pytest.param(
            set_value("service", {"type": "NodePort", "nodePort": 30080}),
            {"port": 80, "appProtocol": "http", "nodePort": 30080},
            id="node port",
        ),
    ],
)
def test_service_has_the_port(chart: Chart, values: dict[str, Any], port: dict[str, object]) -> None:
    ports = chart.render(values).get("Service")["spec"]["ports"]

    assert ports == [port | {"name": "api", "targetPort": "api", "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("clusterIP", "None", id="headless"),
        pytest.param("ipFamilyPolicy", "PreferDualStack", id="dual stack"),
        pytest.param("ipFamilies", ["IPv6", "IPv4"], id="families"),
        pytest.param("internalTrafficPolicy", "Local", id="inside"),
        pytest.param("trafficDistribution", "PreferClose", id="distribution"),
    ],
)
def test_service_has_the_field(chart: Chart, name: str, value: object) -> None:
    assert chart.render(set_value(f"service.{name}", value)).get("Service")["spec"][name] == value
    assert name not in chart.render().get("Service")["spec"]


def test_load_balancer_has_its_fields(chart: Chart) -> None:
    given = {
        "type": "LoadBalancer",
        "loadBalancerClass": "example.com/internal",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local",
    }
    annotations, labels = {"a": "b"}, {"exposed": "yes"}
    service = chart.render(set_value("service", given | {"annotations": annotations, "labels": labels})).get("Service")

    assert given.items() <= service["spec"].items()
    assert service["metadata"]["annotations"] == annotations
    assert labels.items() <= service["metadata"]["labels"].items()


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_outside_reaches_the_one_path_alone(chart: Chart, kind: str) -> None:
    values = merge(
        set_value("ingress", {"enabled": True, "hosts": ["a.example", "b.example"], "className": "nginx"}),
        set_value("httpRoute", {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["a.example"]}),
    )
    spec = chart.render(values).get(kind)["spec"]

    if kind == "Ingress":
        paths = [path for rule in spec["rules"] for path in rule["http"]["paths"]]
        backend = {"service": {"name": API, "port": {"name": "api"}}}
        assert paths == [{"path": "/etl-mgr/api", "pathType": "Prefix", "backend": backend}] * 2
        assert [rule["host"] for rule in spec["rules"]] == ["a.example", "b.example"]
        assert spec["ingressClassName"] == "nginx"
    else:
        [rule] = spec["rules"]
        assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/etl-mgr/api"}}]
        assert rule["backendRefs"] == [{"name": API, "port": 80}]
        assert spec["hostnames"] == ["a.example"]


def test_autoscaled_deployment_leaves_its_replicas_alone(chart: Chart) -> None:
    scaled, fixed = chart.render(AUTOSCALING), chart.render(DEPLOYMENT)

    assert "replicas" not in scaled.get("Deployment", API)["spec"]
    assert fixed.get("Deployment", API)["spec"]["replicas"] == 2
    autoscaler = scaled.get("HorizontalPodAutoscaler")["spec"]
    assert autoscaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": API}
    assert [metric["resource"]["name"] for metric in autoscaler["metrics"]] == ["cpu"]


def test_autoscaler_takes_memory_further_metrics_and_behaviour(chart: Chart) -> None:
    further = {"type": "Pods", "pods": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": 1}}}
    given = {
        "targetMemoryUtilizationPercentage": 70,
        "metrics": [further],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
    }
    found = chart.render(merge(AUTOSCALING, set_value("api.deployment.autoscaling", given)))

    spec = found.get("HorizontalPodAutoscaler")["spec"]
    assert [each.get("resource", {}).get("name") for each in spec["metrics"]] == ["cpu", "memory", None]
    assert spec["metrics"][-1] == further
    assert spec["behavior"] == given["behavior"]


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        pytest.param({}, {RELEASE: [[8080], [8081, 8082]]}, id="sidecar"),
        pytest.param(DEPLOYMENT, {RELEASE: [[8081]], API: [[8080], [8082]]}, id="deployment"),
    ],
)
def test_network_lets_in_calls_and_probes(
    chart: Chart, values: dict[str, Any], ports: dict[str, list[list[int]]]
) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in chart.render(values).of("NetworkPolicy")}

    found = {
        name: [[port["port"] for port in rule["ports"]] for rule in spec["ingress"]] for name, spec in policies.items()
    }
    assert found == ports
    assert all(spec["policyTypes"] == ["Ingress", "Egress"] for spec in policies.values())


def test_network_lets_out_to_the_api_server_alone(chart: Chart) -> None:
    address = [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    given = set_value("networkPolicy.apiServer", {"to": address, "ports": [6443]})

    [everywhere] = chart.render().get("NetworkPolicy")["spec"]["egress"]
    [narrow] = chart.render(given).get("NetworkPolicy")["spec"]["egress"]
    assert [port["port"] for port in everywhere["ports"]] == [443, 6443, 8443, 16443]
    assert narrow == {"ports": [{"port": 6443, "protocol": "TCP"}], "to": address}


def test_network_narrows_to_the_given_peers(chart: Chart) -> None:
    monitoring = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    extra = [{"from": FROM, "ports": [{"port": 9}]}]
    given = {
        "api": {"from": FROM},
        "probes": {"from": monitoring},
        "extraIngress": extra,
        "extraEgress": [{"to": FROM}],
    }
    spec = chart.render(set_value("networkPolicy", given)).get("NetworkPolicy", RELEASE)["spec"]

    assert [rule["from"] for rule in spec["ingress"]] == [FROM, monitoring, FROM]
    assert spec["egress"][-1] == {"to": FROM}


@pytest.mark.parametrize(
    ("values", "name"), [pytest.param({}, RELEASE, id="sidecar"), pytest.param(DEPLOYMENT, API, id="deployment")]
)
def test_narrowed_network_lets_the_test_call(chart: Chart, values: dict[str, Any], name: str) -> None:
    rendered = chart.render(merge(values, set_value("networkPolicy.api.from", FROM)))

    policy = rendered.get("NetworkPolicy", f"{RELEASE}-test")
    [rule] = policy["spec"]["ingress"]
    target = rendered.get("Deployment", name)["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= target.items()
    caller = rendered.get("Pod")["metadata"]["labels"]
    assert rule["from"][0]["podSelector"]["matchLabels"].items() <= caller.items()
    assert policy["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_budget_never_blocks_a_drain(chart: Chart) -> None:
    for budget in chart.render(DEPLOYMENT).of("PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_certificate_is_for_the_names_of_the_service(chart: Chart) -> None:
    given = {"enabled": True, "issuerRef": {"name": "ca", "kind": "ClusterIssuer"}, "dnsNames": ["a.example"]}
    spec = chart.render(merge(TLS, set_value("api.tls.certificate", given))).get("Certificate")["spec"]

    service = f"{API}.{NAMESPACE}"
    assert spec["dnsNames"] == [f"{service}.svc", f"{service}.svc.cluster.local", service, "a.example"]
    assert spec["secretName"] == "certificate"
    assert spec["issuerRef"] == given["issuerRef"]
