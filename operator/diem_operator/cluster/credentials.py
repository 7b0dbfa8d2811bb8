"""Where the API server is and how to prove who we are; kubeconfig.py reads the same from a kubeconfig."""

import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypedDict

from diem_operator.cluster.tokens import Authorization, FixedAuthorization, TokenFile

SERVICE_ACCOUNT_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KOPF_LIFETIME: Final = timedelta(minutes=10)


class CredentialsError(Exception):
    """No usable credentials; the text says which file or variable is missing or wrong."""


@dataclass(frozen=True, kw_only=True)
class TlsMaterial:
    """What TLS is made of, as PEM text; `ca` None means the system's own authorities."""

    ca: str | None = None
    certificate: str | None = None
    private_key: str | None = field(default=None, repr=False)
    is_unverified: bool = False

    def make_context(self) -> ssl.SSLContext:
        """Return a client context; Python loads a client certificate only from a file, which exists for a moment.

        It takes what Kubernetes' own clients take. From 3.13 on, Python also wants what RFC 5280 does, such as the
        identifier of the authority's key, which certificates of API servers may lack: those of EKS do.
        """
        context = ssl.create_default_context(cadata=self.ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
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
        tls_server_name: expected in the server's certificate instead of the host's name.
    """

    server: str
    tls: TlsMaterial = TlsMaterial()
    authorization: Authorization = field(default_factory=FixedAuthorization, repr=False)
    namespace: str | None = None
    proxy_url: str | None = field(default=None, repr=False)
    tls_server_name: str | None = None


class KopfConnection(TypedDict, total=False):
    """Keyword arguments of `handlers.watches.Connection`."""

    server: str
    tls: TlsMaterial
    scheme: str | None
    token: str | None
    default_namespace: str | None
    proxy_url: str | None
    expiration: datetime | None


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


async def credentials_for_kopf(credentials: Credentials, *, now: datetime) -> KopfConnection:
    """Return the arguments of the connection that kopf logs in with; call it at each login.

    kopf asks for a login at the start, after a 401 and at `expiration`. It refuses, for good, credentials equal to ones
    that a 401 has spoiled, so a single 401 by mistake would end the operator: the moving expiration makes them differ.
    It moves by whole minutes, or a 401 that stays would become a tight loop of logins. It also bounds how long a token
    is used on after its rotation.
    """
    spoiled = await credentials.authorization.current()
    await credentials.authorization.renew(spoiled)
    scheme, _, token = (await credentials.authorization.current() or "").partition(" ")
    return KopfConnection(
        server=credentials.server,
        tls=credentials.tls,
        scheme=scheme or None,
        token=token or None,
        default_namespace=credentials.namespace,
        proxy_url=credentials.proxy_url,
        expiration=now.replace(second=0, microsecond=0) + KOPF_LIFETIME,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(
            f"Cannot read {path} ({type(error).__name__}); check that it is mounted and readable"
        ) from error


def _read_if_there(path: Path) -> str | None:
    return _read(path).strip() or None if path.exists() else None
