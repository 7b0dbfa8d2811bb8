"""Every object that the chart can render is accepted to its last field: by the API server, or by its own types."""

import json
import subprocess
from typing import Any

import pytest

from tests.chart.rendering import NAMESPACE, Chart, Object, merge
from tests.localcluster import LocalCluster, building, programs
from tests.localcluster.errors import KubectlError
from tests.localcluster.reporting import to_stderr

OTHERS = ("Certificate", "HTTPRoute", "PodMonitor", "PrometheusRule")

SERVING = {
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "hosts": ["a.example"],
        "tls": [{"secretName": "a", "hosts": ["a.example"]}],
    },
    "service": {"type": "LoadBalancer", "nodePort": 30080, "loadBalancerSourceRanges": ["192.0.2.0/24"]},
}
SCALING = {
    "api": {
        "mode": "deployment",
        "tls": {"secretName": "tls"},
        "deployment": {"autoscaling": {"enabled": True, "targetMemoryUtilizationPercentage": 80}},
    }
}
NARROW = {
    "watchNamespaces": ["team-a", "team-b"],
    "networkPolicy": {
        "api": {"from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
        "probes": {"from": [{"podSelector": {}}]},
        "apiServer": {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [6443]},
    },
}
PLACED = {
    "imagePullSecrets": [{"name": "registry"}],
    "commonLabels": {"team": "platform"},
    "operator": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "priorityClassName": "system-cluster-critical",
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
    },
    "metrics": {"dashboard": {"enabled": True}},
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"a": "b"}}],
}
FOREIGN = {
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "gateway"}],
        "hostnames": ["a.example"],
        "timeouts": {"request": "75s"},
    },
    "api": {
        "tls": {
            "secretName": "tls",
            "certificate": {"enabled": True, "issuerRef": {"name": "ca", "kind": "ClusterIssuer"}},
        }
    },
    "metrics": {
        "podMonitor": {
            "enabled": True,
            "interval": "30s",
            "scrapeTimeout": "10s",
            "labels": {"release": "prometheus"},
            "relabelings": [{"action": "labeldrop", "regex": "pod"}],
        },
        "prometheusRule": {
            "enabled": True,
            "extraGroups": [{"name": "mine", "rules": [{"record": "a", "expr": "vector(1)"}]}],
        },
    },
}


@pytest.fixture(scope="module")
def chart() -> Chart:
    return Chart(helm=building.obtain([programs.HELM], to_stderr)["helm"])


@pytest.fixture(scope="module")
def prepared(cluster: LocalCluster) -> LocalCluster:
    """The cluster with the namespaces that the objects are for."""
    for name in (NAMESPACE, "team-a", "team-b", f"{NAMESPACE}-helm-test"):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        cluster.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(namespace))
    return cluster


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="defaults"),
        pytest.param(SERVING, id="ways-in"),
        pytest.param(SCALING, id="deployment-that-scales"),
        pytest.param(NARROW, id="namespaced-and-narrow"),
        pytest.param(PLACED, id="placed"),
        pytest.param(merge(SERVING, SCALING, NARROW, PLACED), id="everything"),
    ],
)
def test_api_server_accepts_what_the_chart_renders(
    prepared: LocalCluster, chart: Chart, values: dict[str, Any]
) -> None:
    # The pod of `helm test` needs its ServiceAccount to be there already.
    objects = [each for each in chart.render(values).objects if each["kind"] not in {*OTHERS, "Pod"}]
    names = [f"{each['kind']} {each['metadata']['name']}" for each in objects]

    printed = dry_run(prepared, objects)

    assert len(objects) == len(
        set(zip(names, (str(each["metadata"].get("namespace")) for each in objects), strict=True))
    )
    assert len(printed.splitlines()) == len(objects)


def dry_run(cluster: LocalCluster, objects: list[Object]) -> str:
    everything = {"apiVersion": "v1", "kind": "List", "items": objects}
    flags = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    return cluster.kubectl("apply", *flags, "--filename=-", input=json.dumps(everything))


def test_objects_with_a_misspelt_field_would_be_noticed(prepared: LocalCluster, chart: Chart) -> None:
    service = chart.render().get("Service")

    with pytest.raises(KubectlError, match="protcol"):
        dry_run(prepared, [{**service, "spec": {**service["spec"], "protcol": "TCP"}}])


def decode(objects: list[Object]) -> subprocess.CompletedProcess[str]:
    program = building.obtain([programs.STRICT_DECODE], to_stderr)[programs.STRICT_DECODE.name]
    documents = "\n---\n".join(map(json.dumps, objects))
    return subprocess.run([program], input=documents, capture_output=True, text=True, check=False)


def test_types_of_others_accept_what_the_chart_renders_for_them(chart: Chart) -> None:
    objects = chart.render(FOREIGN).of(*OTHERS)

    decoded = decode(objects)

    assert {each["kind"] for each in objects} == set(OTHERS)
    assert (decoded.returncode, decoded.stdout.strip()) == (0, str(len(objects))), decoded.stderr


def test_types_of_others_notice_a_misspelt_field(chart: Chart) -> None:
    monitor = chart.render(FOREIGN).get("PodMonitor")

    decoded = decode([{**monitor, "spec": {**monitor["spec"], "podMetricEndpoints": []}}])

    assert decoded.returncode == 1
    assert 'unknown field "podMetricEndpoints"' in decoded.stderr
