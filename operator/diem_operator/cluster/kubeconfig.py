"""Reads kubeconfig files as kubectl does: several files merged, contexts, data inline or in files, tokens, programs.

The loader of the `kubernetes` package is not used for all of it: it reads a token file once and with its line end, and
goes on without credentials when a program fails. Running the program (`exec`) is what it does well.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import msgspec

from diem_operator.cluster.credentials import Credentials, CredentialsError, TlsMaterial
from diem_operator.cluster.errors import RequestNotSent
from diem_operator.cluster.tokens import Authorization, FixedAuthorization, TokenFile, TokenProgram

DEFAULT_KUBECONFIG: Final = "~/.kube/config"


class KubeconfigPart(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Base of the parts of a kubeconfig; unknown fields are ignored, base64 is decoded where the type is bytes."""


class ClusterPart(KubeconfigPart, frozen=True, kw_only=True):
    """`clusters[].cluster`."""

    server: str
    certificate_authority: str | None = None
    certificate_authority_data: bytes | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None


class UserPart(KubeconfigPart, frozen=True, kw_only=True):
    """`users[].user`."""

    token: str | None = None
    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    username: str | None = None
    password: str | None = None
    client_certificate: str | None = None
    client_certificate_data: bytes | None = None
    client_key: str | None = None
    client_key_data: bytes | None = None
    exec: dict[str, Any] | None = None
    auth_provider: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return "UserPart(…)"


class ContextPart(KubeconfigPart, frozen=True, kw_only=True):
    """`contexts[].context`."""

    cluster: str
    user: str = ""
    namespace: str | None = None


class Entry(KubeconfigPart, frozen=True, kw_only=True):
    """An entry of one of the three lists; only the field of its list is filled."""

    name: str
    cluster: ClusterPart | None = None
    user: UserPart | None = None
    context: ContextPart | None = None


class KubeconfigFile(KubeconfigPart, frozen=True, kw_only=True):
    """One file; kubectl writes null for empty lists."""

    current_context: str | None = None
    clusters: tuple[Entry, ...] | None = ()
    users: tuple[Entry, ...] | None = ()
    contexts: tuple[Entry, ...] | None = ()


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A file's content and its folder, where its relative paths start."""

    content: KubeconfigFile
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Found:
    """An entry and the folder of its file."""

    entry: Entry
    folder: Path

    def text(self, data: bytes | None, path: str | None) -> str | None:
        """Return the inline data, else the content of the file, else None."""
        if data is not None:
            return data.decode()
        return None if path is None else _read(self.folder / Path(path).expanduser())


def from_kubeconfig(*, context: str | None = None, environ: Mapping[str, str] = os.environ) -> Credentials:
    """Return the credentials of a context, by default the current one.

    Raises:
        CredentialsError: a file is missing or wrong, or names something that is not there.
    """
    files = _load_files(environ)
    name = context or next((file.content.current_context for file in files if file.content.current_context), None)
    if not name:
        raise CredentialsError(
            "The kubeconfig has no current-context; name a context or run `kubectl config use-context`"
        )
    chosen = _find(files, "contexts", name).entry.context or ContextPart(cluster="")
    cluster = _find(files, "clusters", chosen.cluster)
    user = _find(files, "users", chosen.user) if chosen.user else Found(entry=Entry(name=""), folder=cluster.folder)
    return _credentials(cluster, user, namespace=chosen.namespace)


def _credentials(cluster: Found, user: Found, *, namespace: str | None) -> Credentials:
    where = cluster.entry.cluster
    who = user.entry.user or UserPart()
    if where is None:
        raise CredentialsError(f"The kubeconfig's cluster {cluster.entry.name!r} is empty; give it a server")
    return Credentials(
        server=where.server.rstrip("/"),
        tls=TlsMaterial(
            ca=cluster.text(where.certificate_authority_data, where.certificate_authority),
            certificate=user.text(who.client_certificate_data, who.client_certificate),
            private_key=user.text(who.client_key_data, who.client_key),
            server_name=where.tls_server_name,
            is_unverified=where.insecure_skip_tls_verify,
        ),
        authorization=_authorization(who, user.folder, cluster=where),
        namespace=namespace,
        proxy_url=where.proxy_url,
    )


def _authorization(user: UserPart, folder: Path, *, cluster: ClusterPart) -> Authorization:
    if user.auth_provider is not None:
        raise CredentialsError(
            "The kubeconfig's user has an auth-provider, which Kubernetes removed; use an exec plugin"
        )
    if user.token_file is not None:
        return TokenFile(folder / Path(user.token_file).expanduser())
    if user.token is not None:
        return FixedAuthorization(f"Bearer {user.token}")
    if user.exec is not None:
        return _token_program(user.exec, folder, cluster=cluster)
    if user.username is not None and user.password is not None:
        return FixedAuthorization(aiohttp.encode_basic_auth(user.username, user.password))
    return FixedAuthorization()


def _token_program(exec_config: dict[str, Any], folder: Path, *, cluster: ClusterPart) -> TokenProgram:
    what = f"The kubeconfig's program {exec_config.get('command')}"

    def run() -> str:
        try:
            token = _run_program(exec_config, folder, msgspec.to_builtins(cluster))
        except Exception as error:  # noqa: BLE001 - whatever the loader raises; not chained, it quotes what was written
            raise RequestNotSent(f"{what} failed ({type(error).__name__}); run it by hand") from None
        if not token:
            raise RequestNotSent(f"{what} gave no token; client certificates from programs are not supported")
        return token

    return TokenProgram(run)


def _run_program(exec_config: dict[str, Any], folder: Path, cluster: dict[str, Any]) -> str | None:
    # Imported late: half a second and 40 MiB that a pod never needs.
    node = import_module("kubernetes.config.kube_config").ConfigNode
    provider = import_module("kubernetes.config.exec_provider").ExecProvider
    status: dict[str, str] = provider(node("exec", exec_config), str(folder), node("cluster", cluster)).run()
    return status.get("token")


def _find(files: Sequence[Loaded], kind: Literal["clusters", "users", "contexts"], name: str) -> Found:
    """Return the first entry of that name: the earlier file wins."""
    for file in files:
        for entry in getattr(file.content, kind) or ():
            if entry.name == name:
                return Found(entry=entry, folder=file.folder)
    raise CredentialsError(f"The kubeconfig has no entry {name!r} in {kind}; see `kubectl config view`")


def _load_files(environ: Mapping[str, str]) -> tuple[Loaded, ...]:
    """Read the files that KUBECONFIG names, or the usual one; as with kubectl, some of several may be missing."""
    names = environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
    paths = [Path(name).expanduser() for name in names.split(os.pathsep) if name]
    files = tuple(_load(path) for path in paths if path.exists())
    if not files:
        raise CredentialsError(f"No kubeconfig at {names}; set KUBECONFIG, or run in a pod")
    return files


def _load(path: Path) -> Loaded:
    try:
        content = msgspec.yaml.decode(_read(path), type=KubeconfigFile)
    except msgspec.MsgspecError as error:
        raise CredentialsError(f"{path} is no kubeconfig ({_position_in(error)}); see `kubectl config view`") from None
    return Loaded(content=content, folder=path.absolute().parent)


def _position_in(error: Exception) -> str:
    """Return where in the document the error is, without the value there, which may be a credential."""
    _, separator, position = str(error).rpartition(" at `")
    return f"at `{position}" if separator else "malformed"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(
            f"Cannot read {path} ({type(error).__name__}); check the path and its permissions"
        ) from error
