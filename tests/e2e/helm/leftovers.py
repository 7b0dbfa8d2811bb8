"""What is in a cluster, so that one can tell what an installation has left there."""

from tests.e2e.helm.release import NAMESPACE
from tests.localcluster import LocalCluster

# Made by the cluster itself, records of what has happened, and what stays on purpose.
_NOT_COUNTED = {
    "apiservices.apiregistration.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
}


def list_objects(cluster: LocalCluster) -> set[str]:
    """Return everything cluster-wide, and everything in the operator's namespace, as `resource name`."""
    return _list(cluster, namespaced=False) | _list(cluster, namespaced=True)


def find_leftovers(cluster: LocalCluster, before: set[str]) -> set[str]:
    """Return what is there now and was not before; CRDs stay, and namespaces are a tenant's own business."""
    return {one for one in list_objects(cluster) - before if not one.startswith("namespaces ")}


def _list(cluster: LocalCluster, *, namespaced: bool) -> set[str]:
    asked = ("api-resources", "--verbs=list", f"--namespaced={str(namespaced).lower()}", "--output=name")
    resources = sorted(set(cluster.kubectl(*asked).split()) - _NOT_COUNTED)
    found = set()
    for resource in resources:
        columns = "--output=custom-columns=NAME:.metadata.name"
        names = cluster.kubectl("get", resource, f"--namespace={NAMESPACE}", "--no-headers", columns).split()
        found |= {f"{resource} {name}" for name in names}
    return found
