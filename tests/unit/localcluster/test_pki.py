import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.localcluster.pki import Authority
from tests.unit.handshake import shake_hands


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def _load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_client_certificate_names_user_and_groups(authority: Authority) -> None:
    subject = _load(authority.issue_client("kubelet", "system:node:one", ["system:nodes"]).certificate).subject

    assert [one.value for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:one"]
    assert [one.value for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]


def test_certificates_are_signed_by_the_authority(authority: Authority) -> None:
    issued = _load(authority.issue_client("admin", "admin").certificate)

    issued.verify_directly_issued_by(_load(authority.ca_file))


def test_certificates_hold_what_strict_clients_want(authority: Authority) -> None:
    """As Python's own are from 3.13 on."""
    server = authority.issue_server("apiserver", ["localhost"])
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listening.load_cert_chain(server.certificate, server.key)
    trusting = ssl.create_default_context(cafile=str(authority.ca_file))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT

    shake_hands(trusting, listening, "localhost")


def test_server_certificate_holds_names_and_addresses(authority: Authority) -> None:
    issued = _load(authority.issue_server("apiserver", ["localhost", "127.0.0.1"]).certificate)
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]


def test_nobody_else_may_read_keys(authority: Authority, tmp_path: Path) -> None:
    authority.issue_client("admin", "admin")
    authority.issue_service_account_keys()

    assert {path.name: path.stat().st_mode & 0o077 for path in tmp_path.glob("*.key")} == {"admin.key": 0, "sa.key": 0}
