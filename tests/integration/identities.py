"""The identities of our two processes, with the rights that an installation gives them and no others."""

from pathlib import Path

from hack.local.installation import API_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE, apply_identities
from tests.localcluster import LocalCluster

__all__ = ["API_ACCOUNT", "OPERATOR_ACCOUNT", "SYSTEM_NAMESPACE", "issue_kubeconfig"]


def issue_kubeconfig(cluster: LocalCluster, *, account: str, directory: Path) -> Path:
    """Apply the identities, and return a kubeconfig for one of them."""
    apply_identities(cluster)
    return cluster.service_account_kubeconfig(namespace=SYSTEM_NAMESPACE, name=account, directory=directory)
