import tomllib
from pathlib import Path

from tests.localcluster.images import PAUSE_IMAGE
from tests.localcluster.node_files import (
    CONTAINERD_SOCKET,
    build_containerd_config,
    build_kubelet_config,
    build_network,
)
from tests.localcluster.slots import Slot

SLOT = Slot(3, Path("/slot"))


def test_containerd_config_is_toml_whatever_the_paths() -> None:
    config = tomllib.loads(build_containerd_config(networks=Path('/a "b"/c'), programs=Path("/p\\q")))
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]

    assert runtime["cni"]["conf_dir"] == '/a "b"/c'
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/p\\q/runc"
    assert config["plugins"]["io.containerd.cri.v1.images"]["pinned_images"] == {"sandbox": PAUSE_IMAGE}


def test_kubelet_and_containerd_meet_at_one_socket() -> None:
    kubelet = build_kubelet_config(SLOT, ca_file=Path("/ca.crt"))
    containerd = tomllib.loads(build_containerd_config(networks=Path("/n"), programs=Path("/p")))

    assert kubelet["containerRuntimeEndpoint"] == f"unix://{containerd['grpc']['address']}"
    assert containerd["grpc"]["address"] == CONTAINERD_SOCKET


def test_two_nodes_share_neither_control_group_nor_pod_addresses() -> None:
    other = Slot(4, Path("/other"))

    assert build_kubelet_config(SLOT, ca_file=Path("/x"))["cgroupRoot"] == "/diem-03"
    assert build_kubelet_config(other, ca_file=Path("/x"))["cgroupRoot"] == "/diem-04"
    assert build_network(SLOT) != build_network(other)


def test_pods_ask_the_nodes_address_for_names_only_where_somebody_answers() -> None:
    config = build_kubelet_config(SLOT, ca_file=Path("/x"), dns=True)

    assert (config["clusterDNS"], config["clusterDomain"]) == (["10.254.3.2"], "cluster.local")
    assert "clusterDNS" not in build_kubelet_config(SLOT, ca_file=Path("/x"))
