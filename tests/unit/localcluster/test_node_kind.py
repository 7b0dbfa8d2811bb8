import pytest

from tests.localcluster import node_kind
from tests.localcluster.errors import LocalClusterError
from tests.localcluster.node_kind import NodeKind


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        pytest.param("000001ffffffffff", True, id="root"),
        pytest.param("0000000000200000", True, id="only-this-one"),
        pytest.param("00000000a80425fb", False, id="root-in-a-container"),
        pytest.param("0000000000000000", False, id="user"),
    ],
)
def test_capability_to_administer_is_read_from_the_status(capabilities: str, expected: bool) -> None:
    status = f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{capabilities}\nCapBnd:\t000001ffffffffff\n"

    assert node_kind.may_administer(status) is expected


@pytest.mark.parametrize("wanted", [NodeKind.SIMULATED, NodeKind.NONE])
def test_explicit_wish_is_kept(wanted: NodeKind) -> None:
    assert node_kind.choose(wanted) is wanted


def test_real_node_that_cannot_be_is_an_error_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_kind, "why_not_real", lambda: "a real node needs root")

    with pytest.raises(LocalClusterError, match="a real node needs root"):
        node_kind.choose(NodeKind.REAL)


@pytest.mark.parametrize(
    ("hindrance", "expected"),
    [
        pytest.param(None, NodeKind.REAL, id="real-where-possible"),
        pytest.param("a real node needs root", NodeKind.SIMULATED, id="else-simulated"),
    ],
)
def test_auto_takes_what_the_machine_can(
    monkeypatch: pytest.MonkeyPatch, hindrance: str | None, expected: NodeKind
) -> None:
    monkeypatch.setattr(node_kind, "why_not_real", lambda: hindrance)

    assert node_kind.choose(NodeKind.AUTO) is expected
