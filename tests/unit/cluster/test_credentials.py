"""In-cluster credentials, and which API servers are trusted."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from diem_operator.cluster.credentials import (
    Credentials,
    CredentialsError,
    TlsMaterial,
    in_cluster,
    is_in_cluster,
)
from diem_operator.cluster.tokens import FixedAuthorization
from tests.unit.handshake import BareServer, make_bare_server, shake_hands

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


def test_api_server_is_trusted_whose_authority_is_but_not_its_root(tmp_path: Path) -> None:
    server = make_bare_server(tmp_path, has_root=True)
    shake_hands(TlsMaterial(ca=server.ca).make_context(), server.context, "kubernetes")


def test_api_server_is_trusted_under_the_name_that_is_expected_instead_of_its_host(bare_server: BareServer) -> None:
    for name in ("kubernetes", "kubernetes."):
        tunnelled = TlsMaterial(ca=bare_server.ca, server_name=name)
        shake_hands(tunnelled.make_context(), bare_server.context, "localhost")

    other = TlsMaterial(ca=bare_server.ca, server_name="elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(other.make_context(), bare_server.context, "kubernetes")


def test_authorities_of_the_system_are_trusted_where_no_others_are_given(
    bare_server: BareServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system.pem"
    system.write_text(bare_server.ca)
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    shake_hands(TlsMaterial().make_context(), bare_server.context, "kubernetes")


def test_any_server_is_trusted_where_that_is_asked_for(bare_server: BareServer) -> None:
    shake_hands(TlsMaterial(is_unverified=True).make_context(), bare_server.context, "elsewhere")


def test_api_server_is_not_trusted_under_another_name_or_by_another_authority(
    bare_server: BareServer, tmp_path: Path
) -> None:
    other = make_bare_server(tmp_path)
    for ca, host in ((bare_server.ca, "elsewhere"), (other.ca, "kubernetes")):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(TlsMaterial(ca=ca).make_context(), bare_server.context, host)
