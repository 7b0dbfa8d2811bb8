"""Logs as they grow."""

from pathlib import Path

from hack.local.following import LogFollower


def test_lines_come_once_labelled_and_only_when_complete(tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    log.write_bytes(b"one\ntwo\nthr")
    follower = LogFollower("operator", log)

    assert list(follower.read_new()) == ["operator | one", "operator | two"]
    assert list(follower.read_new()) == []
    with log.open("ab") as more:
        more.write(b"ee\n\xff\n")
    assert list(follower.read_new()) == ["operator | three", "operator | \N{REPLACEMENT CHARACTER}"]
