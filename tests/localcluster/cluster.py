"""A Kubernetes cluster on this machine, from the first process to the last trace of it.

The one place that orders starts and ends. What each part is lies in `control_plane`, `real_node` and `simulated_node`.
"""

import atexit
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.localcluster import node_kind, programs, reaping, slots
from tests.localcluster.component import Component
from tests.localcluster.control_plane import ControlPlane, ControlPlaneOptions
from tests.localcluster.errors import KubectlError, LocalClusterError
from tests.localcluster.inheritance import build_environment
from tests.localcluster.interruption import turn_signals_into_exceptions
from tests.localcluster.kubeconfig import write_token_kubeconfig
from tests.localcluster.node_kind import NodeKind
from tests.localcluster.options import ClusterOptions, prepare
from tests.localcluster.real_node import RealNode
from tests.localcluster.reporting import Log, to_stderr
from tests.localcluster.simulated_node import SimulatedNode
from tests.localcluster.slots import Slot


class LocalCluster:
    """A running cluster; a context manager that leaves nothing behind.

    Start it on the main thread: its processes then end with this one even when this one is killed.

    Attributes:
        server: the API server's address, on 127.0.0.1.
        ca_file: the certificate authority that signed the API server's certificate.
        admin_kubeconfig: for a member of system:masters.
        audit_log: one JSON object a line for each answered request; None unless asked for.
        node_name: the name of its Node; None without one.
        directory: all files of the cluster, its logs in `logs`; gone after `stop`.
        controller_manager, scheduler: None where the cluster has none.
    """

    @classmethod
    def start(
        cls,
        node: NodeKind = NodeKind.AUTO,
        *,
        audit: bool = False,
        controllers: bool = True,
        scheduler: bool | None = None,
        dns: bool = False,
        restricted: bool = False,
        apiserver_arguments: Sequence[str] = (),
        log: Log | None = None,
    ) -> Self:
        """Build what is missing, start a cluster, and return when it is ready.

        Args:
            audit: keep a record of every request in `audit_log`.
            controllers: run the controller manager: garbage collection, Jobs, default ServiceAccounts.
            scheduler: run the scheduler; by default, when there is a node.
            dns: resolve the names of Services in real pods; without a real node there is nobody to ask.
            restricted: enforce Pod Security "restricted" wherever a namespace's labels do not say otherwise.
            apiserver_arguments: more arguments for kube-apiserver, such as `--v=4`.
            log: gets one-line reports; by default they go to standard error.

        Raises:
            LocalClusterError: something is missing or did not start; nothing is left running.
        """
        report = log or to_stderr
        kind = node_kind.choose(node)
        options = ClusterOptions(
            node=kind,
            audit=audit,
            controllers=controllers,
            scheduler=kind is not NodeKind.NONE if scheduler is None else scheduler,
            dns=dns,
            restricted=restricted,
            apiserver_arguments=tuple(apiserver_arguments),
        )
        turn_signals_into_exceptions()
        paths = prepare(options, report)
        reaping.reap_abandoned(report)
        with ExitStack() as undo:
            claimed = slots.claim()
            undo.callback(claimed.release)
            undo.callback(reaping.clear, claimed.slot)
            cluster = cls(claimed.slot, options, paths)
            undo.callback(cluster._kill_all)
            cluster._bring_up(report)
            cluster._undo = undo.pop_all()
        atexit.register(cluster.stop)
        return cluster

    def __init__(self, slot: Slot, options: ClusterOptions, paths: Mapping[str, Path]) -> None:
        """Lay out a cluster in a claimed slot; `start` is the way to get a running one."""
        self._owner = os.getpid()
        self._undo = ExitStack()
        self._slot = slot
        self.node_kind = options.node
        self.directory = slot.directory
        self.kubectl_path = paths[programs.KUBECTL.name]
        plane = ControlPlane(
            slot,
            paths,
            ControlPlaneOptions(
                audit=options.audit,
                serves_node=options.node is NodeKind.REAL,
                restricted=options.restricted,
                apiserver_arguments=options.apiserver_arguments,
            ),
        )
        self.server = plane.server
        self.ca_file = plane.authority.ca_file
        self.admin_kubeconfig = plane.admin_kubeconfig
        self.audit_log = plane.audit_log
        self.etcd = plane.build_etcd()
        self.apiserver = plane.build_apiserver()
        self.controller_manager = plane.build_controller_manager() if options.controllers else None
        self.scheduler = plane.build_scheduler() if options.scheduler else None
        self._node = self._build_node(paths, plane)
        self.node_name = self._node.name if self._node else None

    @property
    def components(self) -> dict[str, Component]:
        """All processes by name, in the order of their start."""
        plane = (self.etcd, self.apiserver, self.controller_manager, self.scheduler)
        node = self._node.components if self._node else ()
        return {part.name: part for part in (*plane, *node) if part is not None}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything and remove every trace; a second call does nothing."""
        if os.getpid() == self._owner:  # a forked child does not own it
            self._undo.close()
            atexit.unregister(self.stop)

    def kubectl(self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None) -> str:  # noqa: A002 -- named as in subprocess.run
        """Run kubectl, as admin unless another kubeconfig is given, and return what it prints.

        Raises:
            KubectlError: it failed; with what it printed to standard error.
        """
        command = [
            str(self.kubectl_path),
            f"--kubeconfig={kubeconfig or self.admin_kubeconfig}",
            f"--cache-dir={self.directory / 'kubectl-cache'}",
            *arguments,
        ]
        environment = build_environment()
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            raise KubectlError(f"`kubectl {' '.join(arguments)}` failed ({done.returncode}): {done.stderr.strip()}")
        return done.stdout

    def load_images(self, archive: Path) -> None:
        """Load the images of an archive (`docker save` or OCI layout) into the real node."""
        if not isinstance(self._node, RealNode):
            raise LocalClusterError(f"A {self.node_kind.value} node holds no images")
        self._node.load_images(archive)

    def service_account_kubeconfig(
        self, *, namespace: str, name: str, directory: Path, lifetime_hours: int = 24
    ) -> Path:
        """Write a kubeconfig for an existing ServiceAccount, with a token that the API server issues."""
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", f"--duration={lifetime_hours}h")
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{namespace}-{name}.kubeconfig"
        return write_token_kubeconfig(
            path, server=self.server, ca_file=self.ca_file, token=token.strip(), namespace=namespace
        )

    def _bring_up(self, log: Log) -> None:
        for component in self.components.values():
            component.on_change = self._record
        self.etcd.start(wait=False)
        self.apiserver.start()
        later = [part for part in (self.controller_manager, self.scheduler) if part is not None]
        for component in later:
            component.start(wait=False)
        if self._node is not None:
            self._node.start(log)
        for component in later:
            component.wait_ready()

    def _build_node(self, paths: Mapping[str, Path], plane: ControlPlane) -> RealNode | SimulatedNode | None:
        if self.node_kind is NodeKind.REAL:
            return RealNode(self._slot, paths, plane, self._create)
        if self.node_kind is NodeKind.SIMULATED:
            return SimulatedNode(self._slot, paths[programs.KWOK.name], plane, self._create)
        return None

    def _create(self, manifest: Mapping[str, Any]) -> str:
        return self.kubectl("create", "--filename", "-", input=json.dumps(manifest))

    def _kill_all(self) -> None:
        for component in reversed(self.components.values()):
            component.kill()

    def _record(self) -> None:
        reaping.record_processes(self._slot, (part.pid for part in self.components.values() if part.pid is not None))
