"""The local cluster on the command line: `python -m tests.localcluster build|up|reap`. Only translates arguments."""

import argparse
import signal
import sys

from tests.localcluster import LocalCluster, LocalClusterError, NodeKind, node_kind, reaping
from tests.localcluster.interruption import Terminated, turn_signals_into_exceptions
from tests.localcluster.options import ClusterOptions, prepare
from tests.localcluster.reporting import to_stderr


def main() -> int:
    """Run one command and return the exit code."""
    arguments = _parse()
    turn_signals_into_exceptions()
    try:
        if arguments.command == "build":
            _build(arguments.node, dns=arguments.dns)
        elif arguments.command == "up":
            _up(arguments.node, audit=arguments.audit, dns=arguments.dns)
        else:
            reaping.reap_abandoned(to_stderr)
    except LocalClusterError as error:
        to_stderr(f"error: {error}")
        return 1
    except Terminated as end:
        return end.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.localcluster", description="A Kubernetes on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="install and build what a cluster needs")
    up = commands.add_parser("up", help="start a cluster and keep it until Ctrl-C")
    commands.add_parser("reap", help="clear away clusters whose parent process was killed")
    up.add_argument("--audit", action="store_true", help="keep a record of every request")
    for command in (build, up):
        command.add_argument("--node", type=NodeKind, default=NodeKind.AUTO, help="real, simulated, none or auto")
        command.add_argument("--dns", action="store_true", help="resolve the names of Services in real pods")
    return parser.parse_args()


def _build(node: NodeKind, *, dns: bool) -> None:
    kind = node_kind.choose(node)
    for path in prepare(ClusterOptions(node=kind, scheduler=kind is not NodeKind.NONE, dns=dns), to_stderr).values():
        print(path)


def _up(node: NodeKind, *, audit: bool, dns: bool) -> None:
    with LocalCluster.start(node, audit=audit, dns=dns) as cluster:
        print(f"export KUBECONFIG={cluster.admin_kubeconfig}")
        print(f"export KUBECTL={cluster.kubectl_path}")
        print(f"export DIEM_CLUSTER={cluster.directory}", flush=True)
        to_stderr(f"Kubernetes with {cluster.node_kind.value} node at {cluster.server}; Ctrl-C ends it")
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
