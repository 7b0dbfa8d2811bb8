"""The identities of our two processes, with the rights that manifests/ give them and no others."""

from pathlib import Path

from tests.localcluster import LocalCluster

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
SYSTEM_NAMESPACE = "diem-system"


def issue_kubeconfig(cluster: LocalCluster, *, manifest: str, account: str, directory: Path) -> Path:
    """Apply one of the manifests of rights, and return a kubeconfig for the ServiceAccount in it."""
    manifest_of_namespace = cluster.kubectl(
        "create", "namespace", SYSTEM_NAMESPACE, "--dry-run=client", "--output=json"
    )
    cluster.kubectl("apply", "--filename", "-", input=manifest_of_namespace)
    cluster.kubectl("apply", "--filename", str(MANIFESTS / manifest))
    return cluster.service_account_kubeconfig(namespace=SYSTEM_NAMESPACE, name=account, directory=directory)
