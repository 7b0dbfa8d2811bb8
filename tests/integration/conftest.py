"""The API server that integration tests share, with our resources on it, and a namespace for each test."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.namespaced import Namespaced
from tests.localcluster import LocalCluster, NodeKind

CRDS = Path(__file__).resolve().parents[2] / "crds"


def apply_crds(cluster: LocalCluster) -> None:
    """Apply crds/ and return when the resources are served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--filename", str(CRDS))


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """An API server with controllers and without a node: Jobs get pods, which stay Pending."""
    with LocalCluster.start(node=NodeKind.NONE) as cluster:
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
