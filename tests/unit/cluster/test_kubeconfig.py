"""Kubeconfigs are read as kubectl reads them."""

import base64
import os
import stat
import textwrap
from pathlib import Path

import pytest

from diem_operator.cluster.credentials import CredentialsError
from diem_operator.cluster.errors import RequestNotSent
from diem_operator.cluster.kubeconfig import from_kubeconfig


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def environ(*paths: Path) -> dict[str, str]:
    return {"KUBECONFIG": os.pathsep.join(str(path) for path in paths)}


def config_with_user(path: Path, user: str) -> Path:
    return write(
        path,
        f"""
        current-context: here
        contexts: [{{name: here, context: {{cluster: c, user: u, namespace: team-a}}}}]
        clusters: [{{name: c, cluster: {{server: "https://one:6443/"}}}}]
        users: [{{name: u, user: {user}}}]
        """,
    )


async def test_current_context_is_used(tmp_path: Path) -> None:
    credentials = from_kubeconfig(environ=environ(config_with_user(tmp_path / "config", "{token: abc}")))
    assert credentials.server == "https://one:6443"
    assert credentials.namespace == "team-a"
    assert await credentials.authorization.current() == "Bearer abc"


TWO_CONTEXTS = """
    current-context: one
    contexts:
    - {name: one, context: {cluster: one}}
    - {name: two, context: {cluster: two}}
    clusters:
    - {name: one, cluster: {server: "https://one"}}
    - {name: two, cluster: {server: "https://two", insecure-skip-tls-verify: true, tls-server-name: k, proxy-url: "http://p"}}
    users: null
"""


def test_another_context_can_be_chosen(tmp_path: Path) -> None:
    credentials = from_kubeconfig(context="two", environ=environ(write(tmp_path / "config", TWO_CONTEXTS)))
    assert credentials.server == "https://two"
    assert credentials.tls.is_unverified
    assert credentials.tls.server_name == "k"
    assert credentials.proxy_url == "http://p"


async def test_context_without_a_user_is_anonymous(tmp_path: Path) -> None:
    credentials = from_kubeconfig(environ=environ(write(tmp_path / "config", TWO_CONTEXTS)))
    assert await credentials.authorization.current() is None


def test_of_several_files_the_first_wins_and_some_may_be_missing(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "current-context: two\nclusters: [{name: two, cluster: {server: 'https://first'}}]")
    second = write(tmp_path / "b", TWO_CONTEXTS)
    assert from_kubeconfig(environ=environ(tmp_path / "absent", first, second)).server == "https://first"


def test_data_may_be_inline(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"PEM").decode()
    user = f"{{client-certificate-data: {encoded}, client-key-data: {encoded}}}"
    credentials = from_kubeconfig(environ=environ(config_with_user(tmp_path / "config", user)))
    assert (credentials.tls.certificate, credentials.tls.private_key) == ("PEM", "PEM")


async def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    write(tmp_path / "dir" / "cert", "CERT")
    write(tmp_path / "dir" / "key", "KEY")
    write(tmp_path / "dir" / "tok", "from-file\n")
    user = "{client-certificate: cert, client-key: ./key, tokenFile: tok}"
    credentials = from_kubeconfig(environ=environ(config_with_user(tmp_path / "dir" / "config", user)))
    assert (credentials.tls.certificate, credentials.tls.private_key) == ("CERT", "KEY")
    assert await credentials.authorization.current() == "Bearer from-file"


async def test_password_becomes_basic_authentication(tmp_path: Path) -> None:
    user = "{username: a, password: b}"
    credentials = from_kubeconfig(environ=environ(config_with_user(tmp_path / "config", user)))
    assert await credentials.authorization.current() == "Basic YTpi"


def program(path: Path, output: str, *, code: int = 0) -> str:
    write(path, f"#!/bin/sh\necho '{output}'\nexit {code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: {path}}}}}"


async def test_program_gives_the_token(tmp_path: Path) -> None:
    output = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"made"}}'
    path = config_with_user(tmp_path / "config", program(tmp_path / "plugin", output))
    assert await from_kubeconfig(environ=environ(path)).authorization.current() == "Bearer made"


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("hunter2", 0),
        ("hunter2", 3),
        ('{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}', 0),
    ],
    ids=["no JSON", "exit code", "no token"],
)
async def test_failing_program_is_named_and_not_quoted(tmp_path: Path, output: str, code: int) -> None:
    path = config_with_user(tmp_path / "config", program(tmp_path / "plugin", output, code=code))
    with pytest.raises(RequestNotSent, match="plugin") as caught:
        await from_kubeconfig(environ=environ(path)).authorization.current()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("contexts: []", "no current-context", id="no context"),
        pytest.param("current-context: x", "no entry 'x' in contexts", id="unknown context"),
        pytest.param(
            "{current-context: x, contexts: [{name: x, context: {cluster: y}}]}", "'y' in clusters", id="no cluster"
        ),
        pytest.param("users: [{name: x, user: {token: {a: hunter2}}}]", r"users\[0\].user.token", id="wrong type"),
        pytest.param("users: [{name: x, user: {client-key-data: hunter2!}}]", "client-key-data", id="no base64"),
        pytest.param("{unclosed: hunter2", "malformed", id="no YAML"),
    ],
)
def test_mistakes_are_named_without_the_values(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path / "config", text)
    with pytest.raises(CredentialsError, match=expected) as caught:
        from_kubeconfig(environ=environ(path))
    assert "hunter2" not in str(caught.value)


def test_removed_auth_providers_are_refused(tmp_path: Path) -> None:
    path = config_with_user(tmp_path / "config", "{auth-provider: {name: gcp}}")
    with pytest.raises(CredentialsError, match="use an exec plugin"):
        from_kubeconfig(environ=environ(path))


def test_missing_kubeconfig_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="set KUBECONFIG"):
        from_kubeconfig(environ=environ(tmp_path / "absent"))


def test_missing_certificate_file_is_named(tmp_path: Path) -> None:
    path = config_with_user(tmp_path / "config", "{client-certificate: nowhere.pem}")
    with pytest.raises(CredentialsError, match=r"nowhere\.pem"):
        from_kubeconfig(environ=environ(path))
