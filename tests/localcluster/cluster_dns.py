"""The cluster's DNS: what CoreDNS is told, and what it may read. Pure; it runs as a part of `real_node`.

Names of Services and pods are resolved. Every other name does not exist: a node has no way to the outside.
"""

from pathlib import Path
from typing import Any

from tests.localcluster.slots import Slot

DOMAIN = "cluster.local"
USER = "system:coredns"
READY_PORT = 8181
_REVERSE_ZONES = "in-addr.arpa ip6.arpa"


def build_corefile(slot: Slot, *, kubeconfig: Path) -> str:
    """Return CoreDNS's configuration: it listens on the node's address alone."""
    # Two blocks, for within one the refusal would come first.
    return f"""
{DOMAIN} {_REVERSE_ZONES} {{
    bind {slot.node_address}
    errors
    ready {slot.node_address}:{READY_PORT}
    kubernetes {DOMAIN} {_REVERSE_ZONES} {{
        kubeconfig "{kubeconfig}"
        pods insecure
    }}
}}
. {{
    bind {slot.node_address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def build_rights() -> dict[str, Any]:
    """Return the objects that let CoreDNS read what it answers from."""
    name = {"metadata": {"name": USER}}
    role_kind = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": USER}
    rules = [
        _read([""], ["namespaces", "services"]),
        _read(["discovery.k8s.io"], ["endpointslices"]),
    ]
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    role = {**rbac, "kind": "ClusterRole", **name, "rules": rules}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}
    binding = {**rbac, "kind": "ClusterRoleBinding", **name, "roleRef": role_kind, "subjects": [user]}
    return {"apiVersion": "v1", "kind": "List", "items": [role, binding]}


def _read(groups: list[str], resources: list[str]) -> dict[str, list[str]]:
    return {"apiGroups": groups, "resources": resources, "verbs": ["list", "watch"]}
