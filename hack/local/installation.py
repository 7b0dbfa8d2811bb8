"""Puts our resources, rights and samples on a cluster with kubectl, as an administrator would."""

import base64
from pathlib import Path

from hack.local.waiting import wait_for
from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
SAMPLES = MANIFESTS / "samples"
SYSTEM_NAMESPACE = "diem-system"
OPERATOR_ACCOUNT = "diem-operator"
API_ACCOUNT = "diem-operator-api"
DEMO_NAMESPACE = "demo"
DEMO_KEY = "caller"

_RESOURCES = ("diemjobs", "diemapikeys")

# What a whole installation has but for its pods, which here are processes of this machine.
_IDENTITIES = (
    "base/namespace.yaml",
    "base/serviceaccounts.yaml",
    "base/rbac.yaml",
    "base/admission-policy.yaml",
    "base/lease.yaml",
    "base/secret.yaml",
    "overlays/cluster/rbac.yaml",
)


def install(cluster: LocalCluster) -> None:
    """Apply the CRDs and the rights of both processes, and wait until the resources are served."""
    cluster.kubectl("apply", "--server-side", "--filename", str(ROOT / "crds"))
    apply_identities(cluster)
    wait_for("the resources of crds/ to be served", lambda: _are_served(cluster))


def apply_identities(cluster: LocalCluster) -> None:
    """Apply the ServiceAccounts of both processes, with their rights and nothing beyond."""
    cluster.kubectl("apply", *(f"--filename={MANIFESTS / name}" for name in _IDENTITIES))


def apply_samples(cluster: LocalCluster) -> None:
    """Apply the sample namespace with its DiemJobs and its key."""
    cluster.kubectl("apply", "--filename", str(SAMPLES))


def wait_for_token(cluster: LocalCluster) -> str:
    """Return the token that the operator issues for the sample key."""
    return wait_for(
        f"the operator to issue a token for diemapikeys/{DEMO_KEY} in {DEMO_NAMESPACE}", lambda: _find_token(cluster)
    )


def _are_served(cluster: LocalCluster) -> bool:
    try:
        for resource in _RESOURCES:
            cluster.kubectl("get", resource, "--all-namespaces")
    except KubectlError:
        return False
    return True


def _find_token(cluster: LocalCluster) -> str:
    name = _read(cluster, f"diemapikey/{DEMO_KEY}", "{.status.secretName}")
    if not name:
        return ""
    return base64.b64decode(_read(cluster, f"secret/{name}", "{.data.token}")).decode()


def _read(cluster: LocalCluster, what: str, path: str) -> str:
    return cluster.kubectl("get", what, f"--namespace={DEMO_NAMESPACE}", f"--output=jsonpath={path}")
