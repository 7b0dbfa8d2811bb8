import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.localcluster.kubeconfig import write_client_kubeconfig, write_token_kubeconfig
from tests.localcluster.pki import Credential


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    path.write_text("the authority")
    return path


def _only(entries: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (entry,) = entries
    value: dict[str, Any] = entry[kind]
    return value


def test_client_kubeconfig_is_whole_in_itself(tmp_path: Path, ca_file: Path) -> None:
    credential = Credential(tmp_path / "a.crt", tmp_path / "a.key")
    credential.certificate.write_text("a certificate")
    credential.key.write_text("a key")
    path = tmp_path / "admin.kubeconfig"
    write_client_kubeconfig(path, server="https://127.0.0.1:1", ca_file=ca_file, credential=credential)
    content = yaml.safe_load(path.read_text())

    user = {name: base64.b64decode(value) for name, value in _only(content["users"], "user").items()}
    assert user == {"client-certificate-data": b"a certificate", "client-key-data": b"a key"}
    assert _only(content["clusters"], "cluster")["server"] == "https://127.0.0.1:1"
    assert content["current-context"] == content["contexts"][0]["name"]


def test_token_stays_in_a_file_of_its_own_that_nobody_else_may_read(tmp_path: Path, ca_file: Path) -> None:
    path = tmp_path / "team-a-operator.kubeconfig"
    write_token_kubeconfig(path, server="https://x", ca_file=ca_file, token="secret", namespace="team-a")
    content = yaml.safe_load(path.read_text())
    token_file = Path(_only(content["users"], "user")["tokenFile"])

    assert token_file.read_text() == "secret"
    assert token_file.stat().st_mode & 0o777 == 0o600
    assert "secret" not in path.read_text()
    assert _only(content["contexts"], "context")["namespace"] == "team-a"
