import os
from pathlib import Path

import pytest

from hack.image.cache import build_key, keep


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIEM_CACHE", str(tmp_path))
    return tmp_path / "image"


def test_what_was_made_is_not_made_again() -> None:
    first = keep("thing-1", lambda folder: (folder / "made").write_text("once"))

    assert keep("thing-1", _refuse) == first
    assert (first / "made").read_text() == "once"


def test_what_failed_half_way_is_not_there(cache: Path) -> None:
    with pytest.raises(RuntimeError, match="half-way"):
        keep("thing-1", _fail_half_way)

    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_leftovers_of_a_killed_build_are_no_part_of_the_next(cache: Path) -> None:
    (cache / ".unfinished").mkdir(parents=True)
    (cache / ".unfinished" / "old").touch()

    assert list(keep("thing-1", lambda folder: None).iterdir()) == []


def test_only_the_last_versions_of_a_thing_stay(cache: Path) -> None:
    keep("other-1", lambda folder: None)
    for number in range(5):
        os.utime(keep(f"thing-{number}", lambda folder: None), (number, number))

    assert sorted(path.name for path in cache.glob("*-*")) == [
        "other-1",
        "thing-2",
        "thing-3",
        "thing-4",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(["a", "b"], ["b", "a"], id="order"),
        pytest.param(["ab", "c"], ["a", "bc"], id="borders"),
        pytest.param(["a"], ["a", ""], id="number"),
    ],
)
def test_keys_differ_with_what_goes_in(one: list[str], other: list[str]) -> None:
    assert build_key(one) != build_key(other)


def test_keys_follow_the_content_of_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a")

    assert build_key([path]) == build_key(["a"]) == build_key([b"a"])


def _refuse(folder: Path) -> None:
    raise AssertionError(folder)


def _fail_half_way(folder: Path) -> None:
    (folder / "half").touch()
    raise RuntimeError("half-way")
