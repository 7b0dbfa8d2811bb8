"""A real node on this machine: containerd, kubelet, kube-proxy and, if wanted, CoreDNS in a space of their own.

Composes `node_space`, `node_files`, `cluster_dns` and `images`. It needs Linux and root, and leaves `machine_traces` to
be removed.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.localcluster import building, cluster_dns, machine_traces, programs, system_packages
from tests.localcluster.api_probe import is_answering
from tests.localcluster.busybox import find_commands, find_static_busybox
from tests.localcluster.component import Component
from tests.localcluster.control_plane import ControlPlane
from tests.localcluster.errors import ComponentError
from tests.localcluster.images import build_busybox, build_pause, write_archive
from tests.localcluster.node_files import (
    CONTAINERD_SOCKET,
    KUBELET_FOLDER,
    build_containerd_config,
    build_kubelet_config,
    build_network,
)
from tests.localcluster.node_space import NEEDS, NodeSpace
from tests.localcluster.programs import Program
from tests.localcluster.reporting import Log
from tests.localcluster.slots import Slot

_PROXY_HEALTH_PORT = 10256


class RealNode:
    """The one node of a cluster.

    Attributes:
        name: the Node's.
        space: its namespaces.
    """

    def __init__(
        self, slot: Slot, paths: Mapping[str, Path], plane: ControlPlane, create: Callable[[Mapping[str, Any]], object]
    ) -> None:
        """Make its files and describe its processes; nothing is started.

        Args:
            paths: its programs; Service names are resolved when CoreDNS is among them.
            create: puts an object into the cluster.
        """
        self.name = slot.name
        self._slot = slot
        self._plane = plane
        self._create = create
        self._has_dns = programs.COREDNS.name in paths
        self._server = f"https://{slot.machine_address}:{slot.apiserver_port}"
        self._programs = _gather(slot.directory / "bin", paths)
        self.space = NodeSpace(slot, outside=list(paths.values()))
        self.containerd = self._build_containerd()
        self.kubelet = self._build_kubelet()
        self.kube_proxy = self._build_kube_proxy()
        dns = (self._build_dns(),) if self._has_dns else ()
        self._servers = (self.kubelet, self.kube_proxy, *dns)
        self.components = (self.space.holder, self.containerd, *self._servers)

    def start(self, log: Log) -> None:
        """Start the node, and return when it is Ready and Services work."""
        machine_traces.make_cgroup(self._slot)
        self.space.start()
        self.containerd.start(wait=False)
        archive = self._write_images(log)
        self.containerd.wait_ready()
        self.load_images(archive)
        if self._has_dns:
            self._create(cluster_dns.build_rights())
        for server in self._servers:
            server.start(wait=False)
        for server in self._servers:
            server.wait_ready()

    def load_images(self, archive: Path) -> None:
        """Load all images of an archive (`docker save` or OCI layout) into the node."""
        command = self._ctr("--namespace", "k8s.io", "images", "import", "--digests", str(archive))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ComponentError(f"{archive} could not be loaded: {done.stderr.strip()[-800:]}")

    def _write_images(self, log: Log) -> Path:
        busybox = find_static_busybox(building.cache_folder(), log)
        content, processor = busybox.read_bytes(), building.go_processor()
        archive = self._slot.directory / "images.tar"
        images = [build_busybox(content, find_commands(busybox), processor), build_pause(content, processor)]
        write_archive(archive, images)
        return archive

    def _build_containerd(self) -> Component:
        networks = self._slot.directory / "networks"
        networks.mkdir()
        (networks / "10-localcluster.conflist").write_text(json.dumps(build_network(self._slot)))
        config = self._slot.directory / "containerd.toml"
        config.write_text(build_containerd_config(networks=networks, programs=self._programs))
        return self._component(programs.CONTAINERD, {"config": config}, is_ready=self._is_containerd_serving)

    def _build_kubelet(self) -> Component:
        slot, probe = self._slot, self._plane.probe
        config = slot.directory / "kubelet.json"
        config.write_text(
            json.dumps(build_kubelet_config(slot, ca_file=self._plane.authority.ca_file, dns=self._has_dns))
        )
        flags = {
            "config": config,
            "kubeconfig": self._kubeconfig("kubelet", f"system:node:{self.name}", "system:nodes"),
            "root-dir": KUBELET_FOLDER,
            "cert-dir": f"{KUBELET_FOLDER}/pki",
            "hostname-override": self.name,
            "node-ip": slot.node_address,
        }
        return self._component(programs.KUBELET, flags, is_ready=lambda: probe.is_node_ready(self.name))

    def _build_kube_proxy(self) -> Component:
        flags = {
            "kubeconfig": self._kubeconfig("kube-proxy", "system:kube-proxy"),
            "hostname-override": self.name,
            "proxy-mode": "nftables",
            "cluster-cidr": self._slot.pod_network,
            "healthz-bind-address": f"{self._slot.node_address}:{_PROXY_HEALTH_PORT}",
            # These two are the machine's, not the node's: leave them.
            "conntrack-max-per-core": "0",
            "conntrack-min": "0",
        }
        return self._component(programs.KUBE_PROXY, flags, is_ready=self._is_proxy_serving)

    def _build_dns(self) -> Component:
        corefile = self._slot.directory / "Corefile"
        kubeconfig = self._kubeconfig("coredns", cluster_dns.USER)
        corefile.write_text(cluster_dns.build_corefile(self._slot, kubeconfig=kubeconfig))
        return self._component(programs.COREDNS, {"conf": corefile}, is_ready=self._is_dns_serving)

    def _component(self, program: Program, flags: Mapping[str, object], *, is_ready: Callable[[], bool]) -> Component:
        return Component(
            program.name,
            [str(self._programs / program.name), *(f"--{flag}={value}" for flag, value in flags.items())],
            log_file=self._slot.directory / "logs" / f"{program.name}.log",
            environment={"PATH": f"{self._programs}:{system_packages.search_path()}"},
            through=self.space.entry,
            is_ready=is_ready,
        )

    def _kubeconfig(self, name: str, user: str, *groups: str) -> Path:
        credential = self._plane.authority.issue_client(name, user, groups)
        return self._plane.write_kubeconfig(name, credential, server=self._server)

    def _is_containerd_serving(self) -> bool:
        return subprocess.run(self._ctr("version"), capture_output=True, check=False).returncode == 0

    def _is_proxy_serving(self) -> bool:
        return is_answering(self._slot.node_address, _PROXY_HEALTH_PORT, "/healthz")

    def _is_dns_serving(self) -> bool:
        return is_answering(self._slot.node_address, cluster_dns.READY_PORT, "/ready")

    def _ctr(self, *arguments: str) -> list[str]:
        # Inside the space: containerd's socket is there, and so are the mounts it makes.
        return [*self.space.entry(), str(self._programs / "ctr"), "--address", CONTAINERD_SOCKET, *arguments]


def prepare_machine(log: Log) -> None:
    """Install what a node needs of the machine itself."""
    system_packages.ensure([*NEEDS, "nft"], log)


def _gather(folder: Path, paths: Mapping[str, Path]) -> Path:
    """Put links to all programs into one folder, where they find each other by name."""
    folder.mkdir()
    for name, path in paths.items():
        (folder / name).symlink_to(path)
    return folder
