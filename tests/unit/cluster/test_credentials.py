"""In-cluster credentials, and what kopf logs in with."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
from diem_operator.handlers.watches import Connection
from tests.unit.handshake import BareServer, make_bare_server, shake_hands

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
    first = Connection(**await credentials_for_kopf(credentials, now=NOW))
    (service_account / "token").write_text("rotated")
    second = Connection(**await credentials_for_kopf(credentials, now=NOW))
    assert first.as_http_headers() == {"Authorization": "Bearer pod-token"}
    assert second.as_http_headers() == {"Authorization": "Bearer rotated"}
    assert second.default_namespace == "diem"


async def test_kopf_logs_in_again_with_what_a_passing_401_spoiled_but_not_in_a_loop() -> None:
    credentials = Credentials(server="https://x", authorization=FixedAuthorization("Bearer t"))

    async def login(now: datetime) -> Connection:
        return Connection(**await credentials_for_kopf(credentials, now=now))

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
    connection = Connection(**await credentials_for_kopf(credentials, now=NOW))
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


@pytest.fixture
def bare_server(tmp_path: Path) -> BareServer:
    """A server whose certificate lacks what RFC 5280 wants."""
    return make_bare_server(tmp_path)


@pytest.fixture
def strict_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own contexts are strict, as they are from 3.13 on."""
    create = ssl.create_default_context

    def create_strictly(*arguments: Any, **more: Any) -> ssl.SSLContext:
        context = create(*arguments, **more)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create_strictly)


@pytest.mark.usefixtures("strict_python")
def test_api_server_is_trusted_whose_certificate_lacks_key_identifiers(bare_server: BareServer) -> None:
    tls = TlsMaterial(ca=bare_server.ca)

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(ssl.create_default_context(cadata=bare_server.ca), bare_server.context, "kubernetes")
    shake_hands(tls.make_context(), bare_server.context, "kubernetes")
    shake_hands(Connection(server="https://kubernetes", tls=tls).as_ssl_context(), bare_server.context, "kubernetes")


@pytest.mark.usefixtures("strict_python")
def test_api_server_is_not_trusted_under_another_name_or_by_another_authority(
    bare_server: BareServer, tmp_path: Path
) -> None:
    other = make_bare_server(tmp_path)
    for ca, host in ((bare_server.ca, "elsewhere"), (other.ca, "kubernetes")):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(TlsMaterial(ca=ca).make_context(), bare_server.context, host)


async def test_kopf_connects_with_the_tls_of_our_own_client(bare_server: BareServer) -> None:
    tls = TlsMaterial(ca=bare_server.ca)
    connection = Connection(**await credentials_for_kopf(Credentials(server="https://x", tls=tls), now=NOW))
    shake_hands(connection.as_ssl_context(), bare_server.context, "kubernetes")
