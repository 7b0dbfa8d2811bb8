"""What a person reads after the installation: the way to the first start, and what is risky."""

import re
from typing import Any

import pytest
import yaml

from tests.chart.rendering import DEPLOYMENT, NAMESPACED, TLS, Chart, Object, merge, set_value

MODES = [
    pytest.param({}, id="sidecar"),
    pytest.param(DEPLOYMENT, id="deployment"),
    pytest.param(TLS, id="TLS"),
    pytest.param(NAMESPACED, id="namespaced"),
    pytest.param(merge(DEPLOYMENT, TLS, NAMESPACED), id="all of it"),
]


def find_commands(notes: str) -> list[str]:
    """Return what follows each number, up to the next one or to the end of its block."""
    numbered = re.compile(r"^\d\. .*?:\n\n(.*?)(?=\n\n\d\. |\n\nThen )", re.MULTILINE | re.DOTALL)
    return [part.strip() for part in numbered.findall(notes)]


def find_applied(command: str) -> list[Object]:
    return list(yaml.safe_load_all(command.partition("<<'END'\n")[2].removesuffix("END")))


@pytest.mark.parametrize("values", MODES)
def test_four_commands_lead_to_the_first_start(chart: Chart, values: dict[str, Any]) -> None:
    commands = find_commands(chart.notes(values))

    assert [command.split()[0] for command in commands] == ["kubectl", "kubectl", "kubectl", "curl"]


@pytest.mark.parametrize("values", MODES)
def test_first_command_applies_a_restricted_job_and_a_key_for_it(chart: Chart, values: dict[str, Any]) -> None:
    applied = find_applied(find_commands(chart.notes(values))[0])

    watched = values.get("watchNamespaces")
    namespace = watched[0] if watched else "diem-demo"
    kinds = ["DiemJob", "DiemApiKey"] if watched else ["Namespace", "DiemJob", "DiemApiKey"]
    assert [each["kind"] for each in applied] == kinds
    assert {each["metadata"].get("namespace", each["metadata"]["name"]) for each in applied} == {namespace}
    diemjob, apikey = applied[-2:]
    pod = diemjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert apikey["spec"]["jobs"] == [diemjob["metadata"]["name"]]


@pytest.mark.parametrize(
    ("values", "forward", "call"),
    [
        pytest.param({}, "8080:80", "curl -X POST http://127.0.0.1:8080/etl-mgr/api/apijob", id="HTTP"),
        pytest.param(TLS, "8443:443", "curl --insecure -X POST https://127.0.0.1:8443/etl-mgr/api/apijob", id="HTTPS"),
        pytest.param(set_value("service.port", 9090), "8080:9090", "curl -X POST http://127.0.0.1:8080/", id="port"),
    ],
)
def test_call_goes_through_the_forwarded_port(chart: Chart, values: dict[str, Any], forward: str, call: str) -> None:
    _, forwarding, _, calling = find_commands(chart.notes(values))

    assert f"service/diem-operator-api {forward} " in forwarding
    assert calling.startswith(call)


@pytest.mark.parametrize("values", MODES)
def test_usual_installation_has_no_warnings(chart: Chart, values: dict[str, Any]) -> None:
    assert "WARNINGS" not in chart.notes(values)


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        pytest.param(set_value("service.type", "LoadBalancer"), "keys cross the network readable", id="no TLS"),
        pytest.param(
            set_value("ingress", {"enabled": True, "hosts": ["a"]}), "ingress.tls is empty", id="ingress without TLS"
        ),
        pytest.param(
            merge(TLS, set_value("ingress", {"enabled": True, "hosts": ["a"], "tls": [{}]})),
            "tell the Ingress controller so",
            id="ingress to HTTPS",
        ),
        pytest.param(
            merge(TLS, set_value("httpRoute", {"enabled": True, "parentRefs": [{"name": "a"}]})),
            "needs a BackendTLSPolicy",
            id="route to HTTPS",
        ),
        pytest.param(set_value("crds.enabled", False), "nothing works until", id="no CRDs"),
        pytest.param(set_value("crds.keep", False), "uninstalling deletes every DiemJob", id="CRDs not kept"),
        pytest.param(set_value("admissionPolicy.enabled", False), "steals the API's token", id="no policy"),
        pytest.param(set_value("networkPolicy.enabled", False), "reaches the probe ports", id="open network"),
        pytest.param(set_value("operator.serveOwnNamespace", True), "operator's ServiceAccount", id="own namespace"),
        pytest.param(set_value("rbac.create", False), "granted their rights", id="no rights"),
        pytest.param(set_value("operator.replicas", 1), "nobody takes over", id="one replica"),
        pytest.param(set_value("keys.maxDays", 0), "never end", id="endless keys"),
    ],
)
def test_risk_is_told(chart: Chart, values: dict[str, Any], warning: str) -> None:
    warnings = chart.notes(values).partition("\nWARNINGS\n")[2]

    assert warning in warnings
    assert len(re.findall("^- ", warnings, re.MULTILINE)) == 1
