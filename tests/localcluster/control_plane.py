"""The control plane of a cluster: etcd, API server, controller manager, scheduler, and who may talk to them.

Makes the files and the components; starting and ending them is the cluster's business.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.localcluster.api_probe import ApiProbe, is_answering
from tests.localcluster.component import Component
from tests.localcluster.kubeconfig import write_client_kubeconfig
from tests.localcluster.pki import Authority, Credential
from tests.localcluster.slots import Slot

# Every request once, when it is answered: enough to count writes by user, verb and resource.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}

_RESTRICTED = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AdmissionConfiguration",
    "plugins": [
        {
            "name": "PodSecurity",
            "configuration": {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": {"enforce": "restricted", "enforce-version": "latest"},
            },
        }
    ],
}


@dataclass(frozen=True)
class ControlPlaneOptions:
    """What may differ between control planes.

    Attributes:
        serves_node: a node outside the loopback interface must reach the API server.
        restricted: the standard of Pod Security that is enforced by default, instead of none.
    """

    audit: bool = False
    serves_node: bool = False
    restricted: bool = False
    apiserver_arguments: Sequence[str] = ()


class ControlPlane:
    """The files and processes of one control plane."""

    def __init__(self, slot: Slot, programs: Mapping[str, Path], options: ControlPlaneOptions) -> None:
        """Make keys, certificates, kubeconfigs and components; nothing is started."""
        self.server = f"https://127.0.0.1:{slot.apiserver_port}"
        self._slot = slot
        self._programs = programs
        self._options = options
        for name in ("pki", "logs", "audit"):
            (slot.directory / name).mkdir()
        self.authority = Authority(slot.directory / "pki")
        admin = self.authority.issue_client("admin", "admin", ["system:masters"])
        self.probe = ApiProbe(slot.apiserver_port, ca_file=self.authority.ca_file, credential=admin)
        self.admin_kubeconfig = self.write_kubeconfig("admin", admin)
        self.audit_log = slot.directory / "audit" / "audit.jsonl" if options.audit else None

    def write_kubeconfig(self, name: str, credential: Credential, *, server: str = "") -> Path:
        """Write `NAME.kubeconfig` for the holder of a client certificate."""
        return write_client_kubeconfig(
            self._slot.directory / f"{name}.kubeconfig",
            server=server or self.server,
            ca_file=self.authority.ca_file,
            credential=credential,
        )

    def build_etcd(self) -> Component:
        """Describe etcd: one member, on loopback, its data lost with the machine's memory."""
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._slot.etcd_port, self._slot.etcd_peer_port))
        flags = {
            "name": "etcd",
            "data-dir": self._slot.directory / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"etcd={peer}",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
        return self._component(
            "etcd", flags, is_ready=lambda: is_answering("127.0.0.1", self._slot.etcd_port, "/health")
        )

    def build_apiserver(self) -> Component:
        """Describe the API server; it is ready when /readyz says so."""
        flags = self._serving_flags() | self._trust_flags() | (self._audit_flags() if self.audit_log else {})
        flags |= self._admission_flags() if self._options.restricted else {}
        return self._component(
            "kube-apiserver", flags, extra=self._options.apiserver_arguments, is_ready=self.probe.is_serving
        )

    def build_controller_manager(self) -> Component:
        """Describe the controller manager; a namespace's default ServiceAccount shows that its controllers run."""
        flags = {
            **self._controller_flags("kube-controller-manager", "system:kube-controller-manager"),
            "use-service-account-credentials": "true",
            # The default of 20 a second makes its own start take four seconds, and tests wait for its work.
            "kube-api-qps": "1000",
            "kube-api-burst": "2000",
            "root-ca-file": self.authority.ca_file,
            "service-account-private-key-file": self.authority.folder / "sa.key",
        }
        return self._component(
            "kube-controller-manager",
            flags,
            is_ready=lambda: self.probe.has("/api/v1/namespaces/default/serviceaccounts/default"),
        )

    def build_scheduler(self) -> Component:
        """Describe the scheduler."""
        return self._component("kube-scheduler", self._controller_flags("kube-scheduler", "system:kube-scheduler"))

    def _serving_flags(self) -> dict[str, object]:
        slot = self._slot
        own = slot.machine_address if self._options.serves_node else "127.0.0.1"
        hosts = ["localhost", "127.0.0.1", own, str(slot.service_network[1]), "kubernetes.default.svc"]
        serving = self.authority.issue_server("apiserver", hosts)
        return {
            "bind-address": "0.0.0.0" if self._options.serves_node else own,
            "advertise-address": own,
            "secure-port": slot.apiserver_port,
            "etcd-servers": f"http://127.0.0.1:{slot.etcd_port}",
            "tls-cert-file": serving.certificate,
            "tls-private-key-file": serving.key,
            "service-cluster-ip-range": slot.service_network,
            # An API server that only loopback reaches can have no other endpoint; it refuses to publish that one.
            "endpoint-reconciler-type": "lease" if self._options.serves_node else "none",
            "allow-privileged": "true",
        }

    def _trust_flags(self) -> dict[str, object]:
        keys = self.authority.issue_service_account_keys()
        to_kubelet = self.authority.issue_client("apiserver-kubelet", "kube-apiserver", ["system:masters"])
        return {
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "client-ca-file": self.authority.ca_file,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": keys.public,
            "service-account-signing-key-file": keys.private,
            "kubelet-client-certificate": to_kubelet.certificate,
            "kubelet-client-key": to_kubelet.key,
            "kubelet-preferred-address-types": "InternalIP",
        }

    def _audit_flags(self) -> dict[str, object]:
        policy = self._slot.directory / "audit" / "policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        return {
            "audit-policy-file": policy,
            "audit-log-path": self.audit_log,
            "audit-log-mode": "blocking-strict",
            "audit-log-maxsize": 10_000,  # megabytes: one file, however long the load test
        }

    def _admission_flags(self) -> dict[str, object]:
        configuration = self._slot.directory / "admission.json"
        configuration.write_text(json.dumps(_RESTRICTED))
        return {"admission-control-config-file": configuration}

    def _controller_flags(self, name: str, user: str) -> dict[str, object]:
        kubeconfig = self.write_kubeconfig(name, self.authority.issue_client(name, user))
        return {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "leader-elect": "false",
            "secure-port": "0",
        }

    def _component(
        self,
        name: str,
        flags: Mapping[str, object],
        *,
        extra: Sequence[str] = (),
        is_ready: Callable[[], bool] | None = None,
    ) -> Component:
        command = [str(self._programs[name]), *(f"--{flag}={value}" for flag, value in flags.items()), *extra]
        return Component(name, command, log_file=self._slot.directory / "logs" / f"{name}.log", is_ready=is_ready)
