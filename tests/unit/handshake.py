"""TLS handshakes in memory, and a server as some clusters have it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.localcluster.pki import begin_certificate, build_name, encode_key


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """Connect a client to a server.

    Raises:
        ssl.SSLError: one of them does not trust the other.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


@dataclass(frozen=True)
class BareServer:
    """A server whose certificate has no key identifiers, as those of some clusters; and its authority."""

    context: ssl.SSLContext
    ca: str


def make_bare_server(directory: Path, *, host: str = "kubernetes", has_root: bool = False) -> BareServer:
    """Make one, and its keys in files there; its authority is certified by itself or by a root that nobody knows."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = build_name("authority")
    root, root_key = (
        (build_name("root"), ec.generate_private_key(ec.SECP256R1())) if has_root else (issuer, authority_key)
    )
    ca = begin_certificate(issuer, authority_key.public_key()).issuer_name(root)
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    issued = begin_certificate(build_name(host), key.public_key()).issuer_name(issuer)
    certificate = (
        issued.add_extension(names, critical=False).sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    chain = directory / "chain.pem"
    chain.write_bytes(encode_key(key) + certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    return BareServer(context, ca.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode())
