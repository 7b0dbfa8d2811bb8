"""What the control plane's command lines say; that they work is seen in tests/e2e/test_localcluster.py."""

from pathlib import Path

import pytest

from tests.localcluster.control_plane import ControlPlane, ControlPlaneOptions
from tests.localcluster.slots import Slot

PROGRAMS = {name: Path("/bin") / name for name in ("etcd", "kube-apiserver", "kube-controller-manager")}


def _apiserver(folder: Path, options: ControlPlaneOptions) -> list[str]:
    return list(ControlPlane(Slot(2, folder), PROGRAMS, options).build_apiserver().command)


def test_without_a_real_node_nobody_but_this_machine_reaches_the_api_server(tmp_path: Path) -> None:
    assert "--bind-address=127.0.0.1" in _apiserver(tmp_path, ControlPlaneOptions())


def test_real_node_is_told_an_address_that_it_can_reach(tmp_path: Path) -> None:
    command = _apiserver(tmp_path, ControlPlaneOptions(serves_node=True))

    assert "--advertise-address=10.254.2.1" in command


def test_additional_arguments_come_last_so_that_they_win(tmp_path: Path) -> None:
    command = _apiserver(tmp_path, ControlPlaneOptions(apiserver_arguments=["--bind-address=127.0.0.9"]))

    assert command[-1] == "--bind-address=127.0.0.9"


@pytest.mark.parametrize("audit", [pytest.param(True, id="on"), pytest.param(False, id="off")])
def test_audit_log_is_kept_only_when_asked_for(tmp_path: Path, audit: bool) -> None:
    plane = ControlPlane(Slot(2, tmp_path), PROGRAMS, ControlPlaneOptions(audit=audit))
    flags = [argument.partition("=")[0] for argument in plane.build_apiserver().command]

    assert ("--audit-log-path" in flags) is audit
    assert (plane.audit_log is not None) is audit


@pytest.mark.parametrize("restricted", [pytest.param(True, id="on"), pytest.param(False, id="off")])
def test_pod_security_is_enforced_by_default_only_when_asked_for(tmp_path: Path, restricted: bool) -> None:
    command = _apiserver(tmp_path, ControlPlaneOptions(restricted=restricted))

    assert (f"--admission-control-config-file={tmp_path / 'admission.json'}" in command) is restricted
