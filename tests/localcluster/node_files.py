"""The configuration files of a real node's programs: containerd, CNI plugins, kubelet.

Pure: what goes into them. Where they lie, and who reads them, is decided in `real_node`.
"""

import json
from pathlib import Path
from typing import Any

from tests.localcluster.cluster_dns import DOMAIN
from tests.localcluster.images import PAUSE_IMAGE
from tests.localcluster.slots import Slot

# Inside the node's space these places are the node's own, and short: sockets lie there, whose paths are limited.
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
KUBELET_FOLDER = "/var/lib/kubelet"


def build_containerd_config(*, networks: Path, programs: Path) -> str:
    """Return containerd's configuration, as TOML.

    Args:
        networks: the folder of the CNI networks.
        programs: the folder of runc and the CNI plugins.
    """
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE, runc dies on a score below containerd's own.
    return f"""
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
  address = {_quote(CONTAINERD_SOCKET)}

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = {_quote(PAUSE_IMAGE)}

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [{_quote(programs)}]
  conf_dir = {_quote(networks)}
  use_internal_loopback = true

[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = {_quote(programs / "runc")}
  SystemdCgroup = false
"""


def build_network(slot: Slot) -> dict[str, Any]:
    """Return the pods' network, as CNI describes it.

    Every pod is at the end of a cable of its own (`ptp`). Behind a bridge, answers from pod to pod would bypass the
    node's address translation, hence Services, unless the kernel has the module br_netfilter.
    """
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(slot.pod_network)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    ptp = {"type": "ptp", "ipMasq": False, "ipam": addresses}
    portmap = {"type": "portmap", "backend": "nftables", "snat": True, "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "localcluster", "plugins": [ptp, portmap]}


def build_kubelet_config(slot: Slot, *, ca_file: Path, dns: bool = False) -> dict[str, Any]:
    """Return the kubelet's configuration; with `dns`, pods ask the node's address for names."""
    resolving = {"clusterDNS": [slot.node_address], "clusterDomain": DOMAIN} if dns else {}
    return {
        **resolving,
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": slot.node_address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(ca_file)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{slot.name}",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "resolvConf": "",
        "volumePluginDir": f"{KUBELET_FOLDER}/volume-plugins",
        # Images cannot be fetched again, and a developer's full disk is no reason to evict pods.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
    }


def _quote(value: object) -> str:
    # A JSON string is a TOML string.
    return json.dumps(str(value))
