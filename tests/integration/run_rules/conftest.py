"""The operator as its users meet it: a real process on a real API server, with pods that are only played."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.identities import OPERATOR_ACCOUNT, issue_kubeconfig
from tests.integration.operator_process import OperatorProcess, running_operator
from tests.integration.run_rules.audit import Audit, begin_audit
from tests.integration.run_rules.oracle import Oracle
from tests.integration.run_rules.workspace import Workspace
from tests.localcluster import LocalCluster


@pytest.fixture(scope="session")
def oracle(simulated_cluster: LocalCluster) -> Oracle:
    return Oracle(simulated_cluster.admin_kubeconfig)


@pytest.fixture(scope="session")
def operator_kubeconfig(simulated_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let the operator in, with the rights that an installation gives it."""
    directory = tmp_path_factory.mktemp("operator-kubeconfig")
    return issue_kubeconfig(simulated_cluster, account=OPERATOR_ACCOUNT, directory=directory)


@pytest.fixture(scope="module")
def operator(operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """Run an operator while a module's tests run."""
    with running_operator(operator_kubeconfig, tmp_path_factory.mktemp("operator")) as operator:
        operator.wait_leading()
        operator.wait_ready()
        yield operator
        operator.terminate()


@pytest.fixture
def workspace(simulated_cluster: LocalCluster, oracle: Oracle) -> Iterator[Workspace]:
    """Make a namespace; its deletion is asked for when the test is over, and not waited for."""
    name = f"team-{uuid4().hex[:8]}"
    oracle.create_namespace(name)
    yield Workspace(cluster=simulated_cluster, oracle=oracle, namespace=name)
    oracle.delete_namespace(name)


@pytest.fixture
def audit(simulated_cluster: LocalCluster) -> Audit:
    """Record the requests from here on."""
    return begin_audit(simulated_cluster.audit_log)
