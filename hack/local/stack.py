"""Everything together, and the order in which it starts and ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from hack.local import ports
from hack.local.errors import ProcessDiedError
from hack.local.installation import API_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE, install
from hack.local.services import build_api, build_operator
from tests.localcluster import Component, LocalCluster, NodeKind
from tests.localcluster.reporting import Log


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running cluster, operator and API."""

    cluster: LocalCluster
    operator: Component
    api: Component
    url: str

    @property
    def is_simulated(self) -> bool:
        """Whether pods only pretend: nothing runs in them, and they have no logs."""
        return self.cluster.node_kind is not NodeKind.REAL

    def require_alive(self) -> None:
        """Check that every process runs.

        Raises:
            ProcessDiedError: one has ended; with the end of its log.
        """
        for component in (self.operator, self.api, *self.cluster.components.values()):
            if not component.is_running:
                raise ProcessDiedError(f"{component.name} has ended by itself. {component.log_tail()}")


@contextmanager
def running_stack(node: NodeKind, *, port: int, log: Log) -> Iterator[Stack]:
    """Start everything, and end it with the block; nothing is left behind.

    Args:
        node: what runs the pods.
        port: where the API listens on 127.0.0.1; 0 for any free port.
        log: gets one-line reports.
    """
    api_port = ports.require_free(port)  # before minutes are spent on building
    log("Starting Kubernetes on this machine")
    with LocalCluster.start(node, log=log) as cluster, ExitStack() as undo:
        log(f"Kubernetes is up with a {cluster.node_kind.value} node; starting the operator and the API")
        install(cluster)
        stack = _build_stack(cluster, api_port)
        for component in (stack.operator, stack.api):
            undo.callback(component.stop)
            component.start(wait=False)
        for component in (stack.operator, stack.api):
            component.wait_ready()
        yield stack


def _build_stack(cluster: LocalCluster, api_port: int) -> Stack:
    folder = cluster.directory / "diem"
    folder.mkdir()
    kubeconfigs = {
        name: cluster.service_account_kubeconfig(
            namespace=SYSTEM_NAMESPACE, name=name, directory=folder, lifetime_hours=_LIFETIME_HOURS
        )
        for name in (OPERATOR_ACCOUNT, API_ACCOUNT)
    }
    return Stack(
        cluster=cluster,
        operator=build_operator(kubeconfigs[OPERATOR_ACCOUNT], probe_port=ports.find_free(), log_folder=folder),
        api=build_api(kubeconfigs[API_ACCOUNT], port=api_port, probe_port=ports.find_free(), log_folder=folder),
        url=f"http://{ports.HOST}:{api_port}",
    )


# Longer than anybody leaves a laptop open: nobody renews these tokens, and they end with the cluster.
_LIFETIME_HOURS = 365 * 24
