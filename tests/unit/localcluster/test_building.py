import os
import tempfile
from pathlib import Path

import pytest

from tests.localcluster import building, processes, programs

FAKE_GO = """#!/bin/sh
[ "$1" = version ] && exec echo go version go1.99.0 linux/amd64
echo $$ > "$TOLD"
touch "$GOTMPDIR/half-made"
exec sleep 1000
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("DIEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "localcluster"


def _fail(line: str) -> None:
    raise AssertionError(f"nothing was to be done, but: {line}")


def _put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_cache_lies_outside_the_checkout_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIEM_CACHE", raising=False)

    assert building.cache_folder() == Path.home() / ".cache" / "diem" / "localcluster"


def test_what_is_in_the_cache_is_not_built_again(cache: Path) -> None:
    key = programs.Recipe(programs.KWOK, f"linux/{building.go_processor()}").key
    kept = _put(cache / f"kwok-{key}" / "kwok")

    assert building.obtain([programs.KWOK], _fail) == {"kwok": kept}


def test_developers_own_programs_come_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    own = _put(tmp_path / "assets" / "etcd")

    assert building.obtain([programs.ETCD], _fail) == {"etcd": own}


def test_developers_folder_is_asked_only_for_what_it_has_by_convention(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    _put(tmp_path / "assets" / "kwok")

    with pytest.raises(AssertionError, match="nothing was to be done, but"):
        building.obtain([programs.KWOK], _fail)


def test_interrupted_build_ends_with_all_that_it_started_and_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(building, "_HEARTBEAT_SECONDS", 0.1)

    with pytest.raises(KeyboardInterrupt):
        building.obtain([programs.ETCD], _interrupt_at_heartbeat)

    assert not processes.signal_group(int((tmp_path / "told").read_text()), 0)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert [path for path in cache.rglob("*etcd*") if path.is_file() and path.suffix != ".lock"] == []


def _interrupt_at_heartbeat(line: str) -> None:
    if "so far" in line:
        raise KeyboardInterrupt
