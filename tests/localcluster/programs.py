"""The programs a local cluster is made of: Go packages, and how each is built.

Pure descriptions. Nothing is built or looked for here.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

KUBERNETES_VERSION = "v1.35.4"
GO_FOLDER = Path(__file__).parent / "go"

_MAJOR, _MINOR, _PATCH = KUBERNETES_VERSION.removeprefix("v").split(".")
_VERSION = {"gitVersion": KUBERNETES_VERSION, "gitMajor": _MAJOR, "gitMinor": _MINOR}
# Two packages carry it: what servers report, and what clients put into their User-Agent.
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_KUBERNETES_FLAGS = " ".join(
    ["-s -w", *(f"-X {package}.{name}={value}" for package in _VERSION_PACKAGES for name, value in _VERSION.items())]
)

# Without these Helm 3, where it has no cluster to ask, assumes Kubernetes 1.20 and refuses charts for newer ones.
_HELM_FLAGS = " ".join(
    [
        "-s -w",
        *(
            f"-X helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={value}"
            for package in ("chartutil", "lint/rules")
            for part, value in (("Major", _MAJOR), ("Minor", _MINOR))
        ),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Go program: a main package, built in one of the modules under `go/`.

    Attributes:
        linker_flags: what `go build -ldflags` gets; without it programs report wrong versions.
        needs_cgo: it has C in it; built with the C compiler, and with `seccomp_tag` where that library is.
    """

    name: str
    module: str
    package: str
    linker_flags: str = "-s -w"
    needs_cgo: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the module that pins this program's version."""
        return GO_FOLDER / self.module


def _kubernetes(name: str) -> Program:
    return Program(
        name=name, module="kubernetes", package=f"k8s.io/kubernetes/cmd/{name}", linker_flags=_KUBERNETES_FLAGS
    )


def _runtime(name: str, package: str, *, needs_cgo: bool = False) -> Program:
    return Program(name=name, module="runtime", package=package, needs_cgo=needs_cgo)


ETCD = Program(name="etcd", module="etcd", package="go.etcd.io/etcd/server/v3")
APISERVER = _kubernetes("kube-apiserver")
CONTROLLER_MANAGER = _kubernetes("kube-controller-manager")
SCHEDULER = _kubernetes("kube-scheduler")
KUBECTL = _kubernetes("kubectl")
KUBELET = _kubernetes("kubelet")
KUBE_PROXY = _kubernetes("kube-proxy")
KWOK = Program(name="kwok", module="kwok", package="sigs.k8s.io/kwok/cmd/kwok")
COREDNS = Program(name="coredns", module="coredns", package="github.com/coredns/coredns")

# No part of a cluster; for what installs charts into it and documents them.
HELM = Program(name="helm", module="helm", package="helm.sh/helm/v3/cmd/helm", linker_flags=_HELM_FLAGS)
HELM4 = Program(name="helm4", module="helm4", package="helm.sh/helm/v4/cmd/helm")
HELM_DOCS = Program(name="helm-docs", module="helm-docs", package="github.com/norwoodj/helm-docs/cmd/helm-docs")
ARGO_WORKFLOWS = Program(
    name="workflow-controller",
    module="argo-workflows",
    package="github.com/argoproj/argo-workflows/v4/cmd/workflow-controller",
)
STRICT_DECODE = Program(name="strict-decode", module="strict-decode", package=".")

_CONTAINERD_COMMANDS = "github.com/containerd/containerd/v2/cmd"
CONTAINERD = _runtime("containerd", f"{_CONTAINERD_COMMANDS}/containerd")
CONTAINERD_SHIM = _runtime("containerd-shim-runc-v2", f"{_CONTAINERD_COMMANDS}/containerd-shim-runc-v2")
CTR = _runtime("ctr", f"{_CONTAINERD_COMMANDS}/ctr")
RUNC = _runtime("runc", "github.com/opencontainers/runc", needs_cgo=True)

_CNI_PLUGINS = "github.com/containernetworking/plugins/plugins"
CNI_PTP = _runtime("ptp", f"{_CNI_PLUGINS}/main/ptp")
CNI_HOST_LOCAL = _runtime("host-local", f"{_CNI_PLUGINS}/ipam/host-local")
CNI_PORTMAP = _runtime("portmap", f"{_CNI_PLUGINS}/meta/portmap")

CONTROL_PLANE = (ETCD, APISERVER, CONTROLLER_MANAGER, KUBECTL)
REAL_NODE = (
    SCHEDULER,
    KUBELET,
    KUBE_PROXY,
    CONTAINERD,
    CONTAINERD_SHIM,
    CTR,
    RUNC,
    CNI_PTP,
    CNI_HOST_LOCAL,
    CNI_PORTMAP,
)
SIMULATED_NODE = (SCHEDULER, KWOK)

# The programs that controller developers already have, in the folder that KUBEBUILDER_ASSETS names.
DEVELOPERS_PROGRAMS: Mapping[str, Program] = MappingProxyType({p.name: p for p in (ETCD, APISERVER, KUBECTL)})


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of a build.

    Attributes:
        platform: operating system and processor, as Go names them: `linux/amd64`.
    """

    program: Program
    platform: str
    with_seccomp: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """What the build's environment must say, whatever the developer's own says."""
        return {
            "CGO_ENABLED": "1" if self.program.needs_cgo else "0",
            "GOFLAGS": "-mod=readonly",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of `go build`."""
        tags = ("-tags", "seccomp") if self.with_seccomp and self.program.needs_cgo else ()
        return ("-trimpath", "-buildvcs=false", "-ldflags", self.program.linker_flags, *tags)

    @property
    def key(self) -> str:
        """A short hash that changes with anything that changes the module's programs, but for the compiler."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum", *(path.name for path in self.program.folder.glob("main.go"))):
            digest.update((self.program.folder / name).read_bytes())
        digest.update("\0".join((self.platform, *self.flags)).encode())
        return digest.hexdigest()[:16]
