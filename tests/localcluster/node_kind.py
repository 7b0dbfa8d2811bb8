"""Which kind of node a cluster gets, and which kind this machine can have. Decides; starts nothing."""

import enum
import os
import platform
from pathlib import Path

from tests.localcluster import machine_traces
from tests.localcluster.errors import LocalClusterError

_CAP_SYS_ADMIN = 21


class NodeKind(enum.Enum):
    """What runs the cluster's pods."""

    REAL = "real"
    """kubelet, containerd and kube-proxy on this machine: needs Linux and root."""

    SIMULATED = "simulated"
    """kwok: pods change phase, nothing runs, there are no logs."""

    NONE = "none"
    """Nothing: pods stay Pending."""

    AUTO = "auto"
    """REAL where that is possible, else SIMULATED."""


def choose(wanted: NodeKind) -> NodeKind:
    """Return the kind to start; never AUTO.

    Raises:
        LocalClusterError: a real node is wanted, and this machine cannot have one.
    """
    if wanted in (NodeKind.SIMULATED, NodeKind.NONE):
        return wanted
    hindrance = why_not_real()
    if hindrance is None:
        return NodeKind.REAL
    if wanted is NodeKind.REAL:
        raise LocalClusterError(f"There can be no real node here: {hindrance}. A simulated one works")
    return NodeKind.SIMULATED


def why_not_real() -> str | None:
    """Tell why this machine cannot have a real node; None when it can."""
    if platform.system() != "Linux":
        return f"a real node needs Linux, this is {platform.system()}"
    if os.geteuid() != 0:
        return "a real node needs root"
    if not may_administer(Path("/proc/self/status").read_text()):
        return "a real node needs the capability CAP_SYS_ADMIN, which this container does not have"
    if not machine_traces.can_make_cgroup():
        return "a real node needs control groups, which are missing or read-only here"
    return None


def may_administer(status: str) -> bool:
    """Read CAP_SYS_ADMIN, capabilities(7), from the text of /proc/PID/status."""
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) & 1 << _CAP_SYS_ADMIN)
