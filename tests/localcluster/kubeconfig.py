"""Kubeconfig files: who one is to which API server.

Written as JSON, which is YAML too. Certificates are embedded, so a file works wherever it is copied; tokens stay in
files of their own, because clients read those anew when they change.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from tests.localcluster.pki import Credential


def write_client_kubeconfig(path: Path, *, server: str, ca_file: Path, credential: Credential) -> Path:
    """Write a kubeconfig that authenticates with a client certificate."""
    user = {
        "client-certificate-data": _encode(credential.certificate),
        "client-key-data": _encode(credential.key),
    }
    return _write(path, server=server, ca_file=ca_file, user=user, namespace="default")


def write_token_kubeconfig(path: Path, *, server: str, ca_file: Path, token: str, namespace: str) -> Path:
    """Write a kubeconfig that authenticates with a token, and the token into a file beside it."""
    token_file = path.with_suffix(".token")
    _write_private(token_file, token)
    return _write(path, server=server, ca_file=ca_file, user={"tokenFile": str(token_file)}, namespace=namespace)


def _write(path: Path, *, server: str, ca_file: Path, user: Mapping[str, str], namespace: str) -> Path:
    name = "localcluster"
    cluster = {"server": server, "certificate-authority-data": _encode(ca_file)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    _write_private(path, json.dumps(content, indent=2))
    return path


def _encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _write_private(path: Path, content: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(content)
