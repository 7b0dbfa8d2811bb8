"""The cluster's certificate authority, and the keys and certificates that come from it.

Writes files of mode 600 into one folder. It is not for clusters that outlive a test: nothing ever expires.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# A span that holds today on any machine, however wrong its clock: no clock is read.
_NOT_BEFORE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_NOT_AFTER = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)

_CA_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Credential:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class ServiceAccountKeys:
    """What ServiceAccount tokens are signed and checked with, as files."""

    private: Path
    public: Path


class Authority:
    """A new certificate authority of its own in `folder`, which must exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = folder / "ca.crt"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = build_name("localcluster", ())
        unsigned = begin_certificate(self._name, self._key.public_key()).issuer_name(self._name)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        unsigned = unsigned.add_extension(constraints, critical=True).add_extension(_CA_USAGE, critical=True)
        ca = unsigned.add_extension(identifier, critical=False).sign(self._key, hashes.SHA256())
        _write(self.ca_file, ca.public_bytes(serialization.Encoding.PEM))

    def issue_client(self, file_name: str, user: str, groups: Sequence[str] = ()) -> Credential:
        """Issue what authenticates `user`, a member of `groups`, to the API server."""
        return self._issue(file_name, build_name(user, groups), ())

    def issue_server(self, file_name: str, hosts: Sequence[str]) -> Credential:
        """Issue what a server shows that is reached by any of `hosts`, names or addresses."""
        return self._issue(file_name, build_name(file_name, ()), hosts)

    def issue_service_account_keys(self) -> ServiceAccountKeys:
        """Make a key pair for ServiceAccount tokens."""
        keys = ServiceAccountKeys(self.folder / "sa.key", self.folder / "sa.pub")
        private = ec.generate_private_key(ec.SECP256R1())
        _write(keys.private, encode_key(private))
        public_format = serialization.PublicFormat.SubjectPublicKeyInfo
        _write(keys.public, private.public_key().public_bytes(serialization.Encoding.PEM, public_format))
        return keys

    def _issue(self, file_name: str, subject: x509.Name, hosts: Sequence[str]) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        unsigned = begin_certificate(subject, key.public_key()).issuer_name(self._name)
        unsigned = unsigned.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        unsigned = unsigned.add_extension(identifier, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_as_general_name(host) for host in hosts])
            unsigned = unsigned.add_extension(names, critical=False)
        credential = Credential(self.folder / f"{file_name}.crt", self.folder / f"{file_name}.key")
        signed = unsigned.sign(self._key, hashes.SHA256())
        _write(credential.certificate, signed.public_bytes(serialization.Encoding.PEM))
        _write(credential.key, encode_key(key))
        return credential


def build_name(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    """Return who a certificate is for."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def begin_certificate(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    """Return what every certificate begins with; its issuer is still to be named."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
    )


def _as_general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def encode_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM, unencrypted."""
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, layout, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
