"""What the two processes are told: the variables of their containers."""

from typing import Any

import pytest

from tests.chart.rendering import DEPLOYMENT, NAMESPACE, NAMESPACED, TLS, Chart, set_value

PROXIES = set_value("api.trustedProxies", ["10.0.0.0/8"])


@pytest.mark.parametrize(
    ("values", "variable", "value"),
    [
        pytest.param({}, "DIEM_NAMESPACES", None, id="all namespaces"),
        pytest.param(NAMESPACED, "DIEM_NAMESPACES", "team-a team-b", id="some namespaces"),
        pytest.param(set_value("operator.serveOwnNamespace", True), "DIEM_SERVE_OWN_NAMESPACE", "true", id="own too"),
        pytest.param(set_value("keys.maxDays", 1_000_000), "DIEM_KEY_MAX_DAYS", "1000000", id="days of a key"),
        pytest.param(
            set_value("keys.tenants", {"team-a": {"org": "leap", "namespaces": ["team-b"]}}),
            "DIEM_TENANTS",
            '{"team-a":{"namespaces":["team-b"],"org":"leap"}}',
            id="tenants",
        ),
        pytest.param(set_value("log.format", "text"), "DIEM_LOG_FORMAT", "text", id="log format"),
        pytest.param(set_value("log.level", "debug"), "DIEM_LOG_LEVEL", "debug", id="log level"),
    ],
)
def test_both_processes_are_told(chart: Chart, values: dict[str, Any], variable: str, value: str | None) -> None:
    rendered = chart.render(values)

    assert [rendered.environment(name).get(variable) for name in ("operator", "api")] == [value] * 2


@pytest.mark.parametrize(
    ("container", "path", "value", "variable", "expected"),
    [
        pytest.param("operator", "operator.workers", 4, "DIEM_WORKERS", "4", id="workers"),
        pytest.param("operator", "operator.resyncSeconds", 60, "DIEM_RESYNC", "60", id="comparisons"),
        pytest.param("operator", "operator.lease.durationSeconds", 15, "DIEM_LEASE_DURATION", "15", id="duration"),
        pytest.param("operator", "operator.lease.renewSeconds", 2.5, "DIEM_LEASE_RENEW", "2.5", id="renewals"),
        pytest.param("operator", "operator.lease.pollSeconds", 2, "DIEM_LEASE_POLL", "2", id="polls"),
        pytest.param("operator", "operator.probePort", 9001, "DIEM_PROBE_PORT", "9001", id="operator's probes"),
        pytest.param("operator", "fullnameOverride", "mine", "DIEM_LEASE_NAME", "mine", id="name of the Lease"),
        pytest.param("operator", "fullnameOverride", "mine", "DIEM_SIGNING_SECRET", "mine-signing", id="signing key"),
        pytest.param("operator", "api.tokenLifetimeSeconds", 600, "DIEM_API_TOKEN_LIFETIME", "600", id="token"),
        pytest.param("api", "api.port", 9000, "DIEM_API_PORT", "9000", id="port"),
        pytest.param("api", "api.probePort", 9002, "DIEM_API_PROBE_PORT", "9002", id="API's probes"),
        pytest.param("api", "api.missingKeyStatus", 403, "DIEM_MISSING_KEY_STATUS", "403", id="missing key"),
        pytest.param("api", "api.limits.failedKeys.perSecond", 0.5, "DIEM_API_FAILED_KEYS_RATE", "0.5", id="failures"),
        pytest.param("api", "api.limits.failedKeys.burst", 5, "DIEM_API_FAILED_KEYS_BURST", "5", id="their burst"),
        pytest.param("api", "api.limits.keyRequests.perSecond", 50, "DIEM_API_KEY_RATE", "50", id="requests of a key"),
        pytest.param("api", "api.limits.keyRequests.burst", 500, "DIEM_API_KEY_BURST", "500", id="burst of a key"),
        pytest.param("api", "api.limits.operations", 8, "DIEM_API_MAX_OPERATIONS", "8", id="operations"),
        pytest.param("api", "api.limits.queuedOperations", 9, "DIEM_API_MAX_QUEUED_OPERATIONS", "9", id="queued ones"),
        pytest.param("api", "api.resyncSeconds", 60, "DIEM_API_RESYNC", "60", id="comparisons of keys"),
        pytest.param("api", "api.limits.connections", 9, "DIEM_API_MAX_CONNECTIONS", "9", id="connections"),
        pytest.param(
            *("api", "api.trustedProxies", ["10.0.0.0/8", "2001:db8::/32"]),
            *("DIEM_API_TRUSTED_PROXIES", "10.0.0.0/8 2001:db8::/32"),
            id="proxies",
        ),
    ],
)
def test_one_process_is_told(
    chart: Chart, container: str, path: str, value: object, variable: str, expected: str
) -> None:
    assert chart.render(set_value(path, value)).environment(container)[variable] == expected


@pytest.mark.parametrize("path", ["api.limits", "api.limits.failedKeys", "api.limits.keyRequests"])
def test_limits_that_are_taken_out_are_those_of_the_program(chart: Chart, path: str) -> None:
    environment = chart.render(set_value(path, None)).environment("api")

    assert "DIEM_API_PORT" in environment
    assert not {"DIEM_API_FAILED_KEYS_RATE", "DIEM_API_KEY_RATE"} <= set(environment)


@pytest.mark.parametrize("name", ["operator", "api"])
def test_variables_are_those_of_the_command_line(chart: Chart, name: str) -> None:
    from diem_operator.cli import main  # noqa: PLC0415 - its import takes a second

    known = {each.envvar for each in main.commands[name].params if each.envvar}
    given = {
        variable
        for values in ({}, DEPLOYMENT, TLS, NAMESPACED, PROXIES)
        for variable in chart.render(values).environment(name)
    }
    assert given - known == set()


@pytest.mark.parametrize("container", ["operator", "api"])
def test_extra_environment_is_for_one_container(chart: Chart, container: str) -> None:
    variable = {"name": "HTTPS_PROXY", "value": "http://proxy"}
    rendered = chart.render(set_value(f"{container}.extraEnv", [variable]))

    other = {"operator": "api", "api": "operator"}[container]
    assert variable in rendered.container(container)["env"]
    assert variable not in rendered.container(other)["env"]


def test_release_namespace_is_told_by_the_pod_itself(chart: Chart) -> None:
    [variable] = [each for each in chart.render().container("api")["env"] if each["name"] == "DIEM_OPERATOR_NAMESPACE"]

    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert NAMESPACE not in str(variable)
