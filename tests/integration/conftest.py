"""The API server that integration tests share, with our resources on it, and a namespace for each test."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.namespaced import Namespaced
from tests.localcluster import LocalCluster, NodeKind
from tests.localcluster.errors import KubectlError

CRD_SECONDS = 30.0
CRDS = Path(__file__).resolve().parents[2] / "crds"


def apply_crds(cluster: LocalCluster) -> None:
    """Apply crds/ and return when the resources are served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(CRDS))
    deadline = time.monotonic() + CRD_SECONDS
    while True:
        try:
            cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--filename", str(CRDS))
        except KubectlError:
            # kubectl refuses to wait for a condition as long as the list of conditions is null.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """An API server with controllers and without a node: Jobs get pods, which stay Pending."""
    with LocalCluster.start(node=NodeKind.NONE) as cluster:
        apply_crds(cluster)
        yield cluster


@pytest.fixture(scope="session")
def simulated_cluster() -> Iterator[LocalCluster]:
    """An API server with a node that is only played: Jobs get pods, which live as their annotations say.

    It checks who may block the deletion of an owner, as some distributions do, and keeps a record of all requests.
    """
    plugins = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    with LocalCluster.start(node=NodeKind.SIMULATED, audit=True, apiserver_arguments=[plugins]) as cluster:
        apply_crds(cluster)
        yield cluster


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[str]:
    """A new namespace; its deletion is asked for when the test is over, and not waited for."""
    name = f"test-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def here(cluster: LocalCluster, namespace: str) -> Namespaced:
    """Kubectl in the test's own namespace."""
    return Namespaced(cluster=cluster, name=namespace)
