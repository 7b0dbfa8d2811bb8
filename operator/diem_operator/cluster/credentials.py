"""Where the API server is and how to prove who we are; kubeconfig.py reads the same from a kubeconfig."""

import os
import ssl
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from diem_operator.cluster.tokens import Authorization, FixedAuthorization, TokenFile

SERVICE_ACCOUNT_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class CredentialsError(Exception):
    """No usable credentials; the text says which file or variable is missing or wrong."""


class _TlsObject(ssl.SSLObject):
    """The TLS of one connection, which ends with our word alone.

    Event loops wait up to 30 s for the server's, and meanwhile keep the connection; an API server that stands still has
    none. RFC 8446 (6.1) asks nobody to wait, and who closes has read all that matters.
    """

    def unwrap(self) -> None:
        """Say that nothing follows; what the server has to say to that is not waited for."""
        with suppress(ssl.SSLWantReadError):
            super().unwrap()


class _TlsContext(ssl.SSLContext):
    """A client context that can expect another name in the server's certificate than the one it connects to.

    As with kubectl, it is then expected of a proxy that is spoken to over TLS, too.

    Attributes:
        server_name: that name, if there is one.
    """

    sslobject_class = _TlsObject
    server_name: str | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature of what it overrides
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection, as event loops do."""
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name or server_hostname, session)


@dataclass(frozen=True, kw_only=True)
class TlsMaterial:
    """What TLS is made of, as PEM text.

    Attributes:
        ca: the authorities that are trusted; None means the system's own.
        server_name: expected in the server's certificate instead of the host's name.
    """

    ca: str | None = None
    certificate: str | None = None
    private_key: str | None = field(default=None, repr=False)
    server_name: str | None = None
    is_unverified: bool = False

    def make_context(self) -> ssl.SSLContext:
        """Return a client context; Python loads a client certificate only from a file, which exists for a moment.

        It takes what Kubernetes' own clients take. Python's default context does not: from 3.13 on it also wants what
        RFC 5280 does, such as the identifier of the authority's key, which certificates of API servers may lack (those
        of EKS do), and before 3.13 it trusts no authority that another one has certified, without that one.
        """
        context = _TlsContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = self.server_name and self.server_name.rstrip(".")
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if self.ca:
            context.load_verify_locations(cadata=self.ca)
        else:
            context.load_default_certs()
        if self.is_unverified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.private_key:
            with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".pem") as chain:
                chain.write(f"{self.private_key}\n{self.certificate}\n")
                chain.flush()
                context.load_cert_chain(chain.name)
        return context


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Everything `ApiServer` needs.

    Attributes:
        server: scheme, host and port, without a trailing slash.
        namespace: the pod's own, or the kubeconfig context's; None if neither says.
    """

    server: str
    tls: TlsMaterial = TlsMaterial()
    authorization: Authorization = field(default_factory=FixedAuthorization, repr=False)
    namespace: str | None = None
    proxy_url: str | None = field(default=None, repr=False)


def in_cluster(
    *,
    environ: Mapping[str, str] = os.environ,
    directory: Path = SERVICE_ACCOUNT_DIRECTORY,
    token_file: Path | None = None,
) -> Credentials:
    """Return the credentials of the pod we run in.

    Args:
        environ: for KUBERNETES_SERVICE_HOST and _PORT, which the kubelet sets.
        directory: holds `ca.crt` and, in most pods, `token` and `namespace`.
        token_file: another identity's token; it may appear later than this process.

    Raises:
        CredentialsError: this is no pod, or its ServiceAccount volume is missing.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise CredentialsError("KUBERNETES_SERVICE_HOST and _PORT are not set: this is no pod; set KUBECONFIG instead")
    return Credentials(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        tls=TlsMaterial(ca=_read(directory / "ca.crt")),
        authorization=TokenFile(token_file or directory / "token"),
        namespace=_read_if_there(directory / "namespace"),
    )


def is_in_cluster(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs in a pod that may talk to its cluster."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(
            f"Cannot read {path} ({type(error).__name__}); check that it is mounted and readable"
        ) from error


def _read_if_there(path: Path) -> str | None:
    return _read(path).strip() or None if path.exists() else None
