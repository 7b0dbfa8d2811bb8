"""A node that is only played: kwok answers for it, nothing runs on it, its pods have no logs.

Pods live as `simulated_pods` says. Real containers are the business of `real_node`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.localcluster.component import Component
from tests.localcluster.control_plane import ControlPlane
from tests.localcluster.node_kind import why_not_real
from tests.localcluster.reporting import Log
from tests.localcluster.simulated_pods import build_stages
from tests.localcluster.slots import Slot

Create = Callable[[Mapping[str, Any]], object]


class SimulatedNode:
    """The one node of a simulating cluster; tests may create more Node objects, they are played too.

    Attributes:
        name: the Node's.
    """

    def __init__(self, slot: Slot, program: Path, plane: ControlPlane, create: Create) -> None:
        """Describe it; nothing is started.

        Args:
            create: creates an object in the cluster.
        """
        self._create = create
        self.name = slot.name
        self.kwok = Component(
            "kwok",
            [str(program), *(f"--{flag}={value}" for flag, value in _build_flags(slot, plane).items())],
            log_file=slot.directory / "logs" / "kwok.log",
            is_ready=lambda: plane.probe.is_node_ready(self.name),
        )
        self.components = (self.kwok,)

    def start(self, log: Log) -> None:
        """Play the node, and return when it is Ready."""
        log(f"SIMULATED node: pods only change phase, nothing runs and there are no logs{_reason()}")
        self._create(build_node_object(self.name))
        self.kwok.start()


def build_node_object(name: str) -> dict[str, Any]:
    """Return the Node to be created; kwok makes it Ready."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "simulated"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def _build_flags(slot: Slot, plane: ControlPlane) -> dict[str, object]:
    stages = slot.directory / "kwok.yaml"
    stages.write_text("\n---\n".join(json.dumps(stage) for stage in build_stages()))
    user = plane.authority.issue_client("kwok", "kwok", ["system:masters"])
    return {
        "kubeconfig": plane.write_kubeconfig("kwok", user),
        "config": stages,
        "manage-all-nodes": "true",
        "node-lease-duration-seconds": "40",
        "node-ip": slot.node_address,
        "cidr": slot.pod_network,
    }


def _reason() -> str:
    hindrance = why_not_real()
    return f" ({hindrance})" if hindrance else ""
