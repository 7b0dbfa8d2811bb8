import pytest

from tests.localcluster.toolchain import is_new_enough


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        pytest.param("go version go1.26.0 linux/amd64", True, id="oldest"),
        pytest.param("go version go1.26.8 linux/amd64", True, id="newer"),
        pytest.param("go version go2.0 darwin/arm64", True, id="next-major"),
        pytest.param("go version go1.19.8 linux/amd64", False, id="of-debian-12"),
        pytest.param("go version go1.25.9 linux/amd64", False, id="just-too-old"),
        pytest.param("go version go1.9 linux/amd64", False, id="numbers-not-text"),
        pytest.param("", False, id="broken"),
    ],
)
def test_go_is_taken_only_when_new_enough(printed: str, expected: bool) -> None:
    assert is_new_enough(printed) is expected
