from pathlib import Path

import pytest

from tests.localcluster import building, programs


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
