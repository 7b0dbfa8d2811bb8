"""A record that is read while it is written gives whole lines, and none that had begun before."""

from pathlib import Path

import pytest

from tests.localcluster.audit import read_whole_lines


@pytest.mark.parametrize(
    ("since", "lines"),
    [
        pytest.param(0, [b"first\n", b"second\n"], id="from the beginning"),
        pytest.param(3, [b"second\n"], id="from within a line"),
        pytest.param(6, [b"second\n"], id="from the beginning of a line"),
        pytest.param(7, [], id="from within the last whole line"),
        pytest.param(13, [], id="from an incomplete line on"),
    ],
)
def test_lines_are_whole_and_begin_since_then(tmp_path: Path, since: int, lines: list[bytes]) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"first\nsecond\nthi")

    assert read_whole_lines(file, since=since) == lines
