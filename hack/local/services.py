"""The operator and the API as processes on this machine: their command lines. Starting them is done elsewhere."""

import os
import sys
from pathlib import Path

from hack.local.installation import SYSTEM_NAMESPACE
from hack.local.ports import HOST
from tests.localcluster import Component
from tests.localcluster.api_probe import is_answering


def build_operator(kubeconfig: Path, *, probe_port: int, log_folder: Path) -> Component:
    """Describe the operator; it is ready when its probe says so."""
    flags = [f"--probe-host={HOST}", f"--probe-port={probe_port}"]
    return _build("operator", kubeconfig, flags, port=probe_port, log_folder=log_folder)


def build_api(kubeconfig: Path, *, port: int, probe_port: int, log_folder: Path) -> Component:
    """Describe the API; it is ready when its probe says so."""
    # No load balancer has to notice that it ends.
    flags = [f"--host={HOST}", f"--port={port}", f"--probe-host={HOST}", f"--probe-port={probe_port}", "--drain=0"]
    return _build("api", kubeconfig, flags, port=port, log_folder=log_folder)


def _build(name: str, kubeconfig: Path, flags: list[str], *, port: int, log_folder: Path) -> Component:
    command = [sys.executable, "-m", "diem_operator", name, f"--kubeconfig={kubeconfig}", *flags]
    command += [f"--operator-namespace={SYSTEM_NAMESPACE}", "--log-format=text"]
    return Component(
        name,
        command,
        log_file=log_folder / f"{name}.log",
        environment=_without_settings(),
        is_ready=lambda: is_answering(HOST, port, "/readyz"),
    )


def _without_settings() -> dict[str, str]:
    """Return an environment that empties the variables which both processes would read as their options."""
    return {name: "" for name in os.environ if name.startswith("DIEM_")}
