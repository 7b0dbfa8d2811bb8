"""Flags and variables mean what --help says; what cannot work is refused before anything starts."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from diem_operator.cli import main
from diem_operator.cli.api_command import api, count_connections
from diem_operator.cli.api_command import read_settings as read_api_settings
from diem_operator.cli.operator_command import operator
from diem_operator.cli.operator_command import read_settings as read_operator_settings
from diem_operator.cli.options import DEFAULT_OPERATOR_NAMESPACE, find_operator_namespace, load_credentials
from diem_operator.cluster.credentials import Credentials
from diem_operator.settings import (
    ApiSettings,
    CertificateSettings,
    HandoverSettings,
    KeySettings,
    LeaseSettings,
    OperatorSettings,
    RateSettings,
    Tenant,
)

NO_SETTINGS = {"kubeconfig", "context", "token_file", "log_format", "log_level"}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("DIEM_", "KUBE")):
            monkeypatch.delenv(name)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "local", "namespace": "team-a"}}],
        "clusters": [{"name": "local", "cluster": {"server": "http://127.0.0.1:1"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(content))
    return path


def read_given(command: click.Command, *arguments: str) -> dict[str, Any]:
    """Return what click would call the command with, less what does not become a setting."""
    context = command.make_context("diem-operator", list(arguments))
    return {name: value for name, value in context.params.items() if name not in NO_SETTINGS}


def read_operator(*arguments: str) -> OperatorSettings:
    return read_operator_settings(Credentials(server="https://localhost"), **read_given(operator, *arguments))


def read_api(*arguments: str) -> ApiSettings:
    return read_api_settings(Credentials(server="https://localhost"), **read_given(api, *arguments))


def test_defaults_of_the_flags_are_those_of_the_settings() -> None:
    assert read_operator() == OperatorSettings(operator_namespace=DEFAULT_OPERATOR_NAMESPACE)
    assert read_api() == ApiSettings(excluded_namespaces=(DEFAULT_OPERATOR_NAMESPACE,))


def test_flags_of_the_operator() -> None:
    settings = read_operator(
        *("--namespace", "team-a", "--namespace", "team-b", "--operator-namespace", "ops"),
        *("--lease-name", "other", "--lease-duration", "20", "--lease-renew", "4", "--lease-poll", "1"),
        *(
            "--workers",
            "3",
            "--resync",
            "60",
            "--signing-secret",
            "mine",
            "--probe-host",
            "127.0.0.1",
            "--probe-port",
            "0",
        ),
        *("--key-max-days", "30", "--tenants", '{"team-a": {"org": "leap"}}'),
        *("--api-service-account", "diem-api", "--api-token-file", "/run/token", "--api-token-lifetime", "600"),
    )
    assert settings == OperatorSettings(
        operator_namespace="ops",
        namespaces=("team-a", "team-b"),
        workers=3,
        resync_seconds=60,
        keys=KeySettings(max_lifetime_seconds=30 * 86400, tenants={"team-a": Tenant(org="leap")}),
        signing_secret_name="mine",
        lease=LeaseSettings(name="other", duration_seconds=20, renew_seconds=4, poll_seconds=1),
        probe_host="127.0.0.1",
        probe_port=0,
        handover=HandoverSettings(service_account="diem-api", file=Path("/run/token"), lifetime_seconds=600),
    )


def test_flags_of_the_api() -> None:
    settings = read_api(
        *("--host", "127.0.0.1", "--port", "0", "--missing-key-status", "403", "--drain", "0"),
        *("--namespace", "team-a", "--serve-own-namespace"),
        *("--tls-certificate-file", "tls.crt", "--tls-key-file", "tls.key"),
        *("--probe-host", "127.0.0.1", "--probe-port", "0"),
        *("--failed-keys-rate", "0.5", "--failed-keys-burst", "7", "--key-rate", "20", "--key-burst", "40"),
        *("--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "2001:db8::/32"),
        *("--max-operations", "8", "--max-queued-operations", "9", "--max-connections", "10"),
    )
    assert settings == ApiSettings(
        host="127.0.0.1",
        port=0,
        certificate=CertificateSettings(certificate_file=Path("tls.crt"), key_file=Path("tls.key")),
        probe_host="127.0.0.1",
        probe_port=0,
        missing_key_status=403,
        drain_seconds=0,
        namespaces=("team-a",),
        failed_keys=RateSettings(per_second=0.5, burst=7),
        key_requests=RateSettings(per_second=20, burst=40),
        trusted_proxies=("10.0.0.0/8", "2001:db8::/32"),
        max_operations=8,
        max_queued_operations=9,
        max_connections=10,
    )


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example.com"])
def test_proxies_that_are_no_address_range_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=text):
        read_api("--trusted-proxy", text)


def test_proxies_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIEM_API_TRUSTED_PROXIES", "10.0.0.0/8 192.0.2.1")

    assert read_api().trusted_proxies == ("10.0.0.0/8", "192.0.2.1")


def test_watches_and_operations_all_have_a_connection() -> None:
    assert count_connections(ApiSettings()) == 50
    served = ApiSettings(namespaces=tuple(f"team-{number}" for number in range(40)), max_operations=8)
    assert count_connections(served) >= 2 * 40 + 8


@pytest.mark.parametrize("flag", ["--tls-certificate-file", "--tls-key-file"])
def test_certificate_without_its_key_is_refused(flag: str) -> None:
    with pytest.raises(click.BadParameter, match="a certificate needs its key"):
        read_api(flag, "tls.pem")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--api-service-account", "diem-api"), id="no file"),
        pytest.param(("--api-token-file", "/run/token"), id="no account"),
    ],
)
def test_half_a_handover_is_refused(arguments: tuple[str, str]) -> None:
    with pytest.raises(click.BadParameter, match="whose token goes where"):
        read_operator(*arguments)


def test_every_flag_has_a_variable() -> None:
    for command in (operator, api):
        unnamed = [parameter.name for parameter in command.params if not parameter.envvar]
        assert unnamed == []


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIEM_NAMESPACES", "team-a team-b")
    monkeypatch.setenv("DIEM_SERVE_OWN_NAMESPACE", "true")
    monkeypatch.setenv("DIEM_WORKERS", "2")
    settings = read_operator()
    assert (settings.namespaces, settings.workers) == (("team-a", "team-b"), 2)
    assert settings.excluded_namespaces == ()


def test_own_namespace_is_not_served_unless_told() -> None:
    assert read_operator().excluded_namespaces == (DEFAULT_OPERATOR_NAMESPACE,)
    with pytest.raises(click.BadParameter, match="is the operator's own namespace"):
        read_operator("--namespace", DEFAULT_OPERATOR_NAMESPACE)
    own = ("--namespace", DEFAULT_OPERATOR_NAMESPACE, "--serve-own-namespace")
    assert read_operator(*own).namespaces == (DEFAULT_OPERATOR_NAMESPACE,)


def test_lease_that_one_failure_would_lose_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="more than half of --lease-duration"):
        read_operator("--lease-duration", "6", "--lease-renew", "3.5")


@pytest.mark.parametrize("text", ["{", '{"team-a": {"namespace": "b"}}', '{"team-a": {"namespaces": "b"}}', "[]"])
def test_tenants_of_a_wrong_form_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="see --help for the form"):
        read_operator("--tenants", text)


def test_namespace_of_a_kubeconfig_is_not_the_operators(kubeconfig: Path) -> None:
    credentials = load_credentials(kubeconfig, None)
    assert credentials.namespace == "team-a"
    assert find_operator_namespace(None, credentials) == DEFAULT_OPERATOR_NAMESPACE


def test_namespace_of_the_pod_is_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    credentials = Credentials(server="https://localhost", namespace="ops")
    assert find_operator_namespace(None, credentials) == "ops"
    assert find_operator_namespace("given", credentials) == "given"


def test_kubeconfig_is_found_by_flag_or_by_its_usual_variable(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_credentials(kubeconfig, None).server == "http://127.0.0.1:1"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert load_credentials(None, None).server == "http://127.0.0.1:1"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("command", ["operator", "api"])
def test_missing_kubeconfig_is_explained(command: str, tmp_path: Path) -> None:
    result = invoke(command, "--kubeconfig", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "No kubeconfig at" in result.output
    assert "Traceback" not in result.output


def test_help_names_both_processes() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert "operator" in result.output
    assert "api" in result.output


def test_version_is_told() -> None:
    result = invoke("--version")
    assert result.exit_code == 0
    assert version("diem-operator") in result.output
