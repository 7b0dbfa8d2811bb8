"""In-cluster credentials, and what kopf logs in with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import kopf
import pytest

from diem_operator.cluster.credentials import (
    KOPF_LIFETIME,
    Credentials,
    CredentialsError,
    TlsMaterial,
    credentials_for_kopf,
    in_cluster,
    is_in_cluster,
)
from diem_operator.cluster.tokens import FixedAuthorization

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    (tmp_path / "ca.crt").write_text("PEM")
    (tmp_path / "token").write_text("pod-token")
    (tmp_path / "namespace").write_text("diem\n")
    return tmp_path


async def test_pod_uses_its_service_account(service_account: Path) -> None:
    credentials = in_cluster(environ=ENVIRON, directory=service_account)
    assert credentials.server == "https://10.96.0.1:443"
    assert credentials.tls.ca == "PEM"
    assert credentials.namespace == "diem"
    assert await credentials.authorization.current() == "Bearer pod-token"


async def test_sidecar_uses_another_identity_than_its_pods(service_account: Path, tmp_path: Path) -> None:
    (tmp_path / "api-token").write_text("api")
    credentials = in_cluster(environ=ENVIRON, directory=service_account, token_file=tmp_path / "api-token")
    assert await credentials.authorization.current() == "Bearer api"


def test_ipv6_addresses_are_bracketed(service_account: Path) -> None:
    environ = ENVIRON | {"KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert in_cluster(environ=environ, directory=service_account).server == "https://[fd00::1]:443"


def test_outside_of_a_pod_the_error_says_what_to_do() -> None:
    assert not is_in_cluster({})
    with pytest.raises(CredentialsError, match="set KUBECONFIG"):
        in_cluster(environ={})


def test_missing_certificate_authority_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"ca\.crt"):
        in_cluster(environ=ENVIRON, directory=tmp_path)


async def test_kopf_gets_a_fresh_token_at_each_login(service_account: Path) -> None:
    credentials = in_cluster(environ=ENVIRON, directory=service_account)
    first = kopf.ConnectionInfo(**await credentials_for_kopf(credentials, now=NOW))
    (service_account / "token").write_text("rotated")
    second = kopf.ConnectionInfo(**await credentials_for_kopf(credentials, now=NOW))
    assert first.as_http_headers() == {"Authorization": "Bearer pod-token"}
    assert second.as_http_headers() == {"Authorization": "Bearer rotated"}
    assert second.default_namespace == "diem"


async def test_kopf_logs_in_again_with_what_a_passing_401_spoiled_but_not_in_a_loop() -> None:
    credentials = Credentials(server="https://x", authorization=FixedAuthorization("Bearer t"))

    async def login(now: datetime) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(**await credentials_for_kopf(credentials, now=now))

    spoiled = await login(NOW)
    assert await login(NOW + timedelta(seconds=5)) == spoiled
    assert await login(NOW + timedelta(minutes=1)) != spoiled


async def test_kopf_is_told_to_come_back_before_a_rotated_token_expires() -> None:
    connection = await credentials_for_kopf(Credentials(server="https://x"), now=NOW)
    expiration = connection["expiration"]
    assert expiration is not None
    assert timedelta(minutes=5) < expiration - NOW <= KOPF_LIFETIME


async def test_kopf_gets_passwords_in_the_form_it_sends() -> None:
    credentials = Credentials(server="https://x", authorization=FixedAuthorization("Basic YTpi"))
    connection = kopf.ConnectionInfo(**await credentials_for_kopf(credentials, now=NOW))
    assert connection.as_http_headers() == {"Authorization": "Basic YTpi"}


def test_repr_shows_no_secret() -> None:
    credentials = Credentials(
        server="https://x",
        tls=TlsMaterial(private_key="KEY"),
        authorization=FixedAuthorization("Bearer SECRET"),
        proxy_url="http://user:SECRET@proxy",
    )
    assert "KEY" not in repr(credentials)
    assert "SECRET" not in repr(credentials)
