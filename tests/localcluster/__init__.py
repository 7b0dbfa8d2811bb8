"""A real Kubernetes on this machine, built from package registries, for tests and demos.

    with LocalCluster.start(node=NodeKind.NONE) as cluster:
        print(cluster.kubectl("get", "namespaces"))

Knows nothing of the operator that is tested on it.
"""

from tests.localcluster.cluster import LocalCluster
from tests.localcluster.component import Component
from tests.localcluster.errors import LocalClusterError
from tests.localcluster.node_kind import NodeKind

__all__ = ["Component", "LocalCluster", "LocalClusterError", "NodeKind"]
