import pytest

from tests.localcluster import NodeKind, programs
from tests.localcluster.options import ClusterOptions


@pytest.mark.parametrize(
    ("node", "dns", "expected"),
    [
        pytest.param(NodeKind.REAL, True, True, id="real-node-that-wants-it"),
        pytest.param(NodeKind.REAL, False, False, id="real-node-that-does-not"),
        pytest.param(NodeKind.SIMULATED, True, False, id="simulated-node"),
        pytest.param(NodeKind.NONE, True, False, id="no-node"),
    ],
)
def test_coredns_is_built_for_pods_that_can_ask_it(node: NodeKind, dns: bool, expected: bool) -> None:
    wanted = ClusterOptions(node=node, scheduler=True, dns=dns).programs

    assert (programs.COREDNS in wanted) is expected
