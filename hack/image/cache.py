"""Where what was built is kept, and that each thing is built once: whole or not at all."""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.localcluster.building import cache_folder as programs_folder
from tests.localcluster.locking import exclusive

_KEY_LENGTH = 16
_KEPT_VERSIONS = 3


def cache_folder() -> Path:
    """Return the folder of everything that this package makes: `image` in `$DIEM_CACHE` or in `~/.cache/diem`."""
    return programs_folder().parent / "image"


def build_key(parts: Iterable[str | bytes | Path]) -> str:
    """Return a short hash of texts and of files' content; the order counts, the files' names do not."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part
        data = content.encode() if isinstance(content, str) else content
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()[:_KEY_LENGTH]


def find_kept(name: str) -> Path | None:
    """Return the folder `name` of the cache; None when it was not made yet."""
    folder = cache_folder() / name
    return folder if folder.exists() else None


def keep(name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder `name` of the cache; the first time `make` fills it, in a place that is not it yet.

    Args:
        name: what it is, a hyphen, and a key of all that went into it.
        make: gets an empty folder.
    """
    kept = find_kept(name)
    if kept is not None:
        return kept
    folder = cache_folder() / name
    with exclusive(cache_folder() / ".lock"):
        if not folder.exists():  # nobody built it while we waited
            unfinished = cache_folder() / ".unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                make(unfinished)
                unfinished.rename(folder)
                _forget_oldest(name.rpartition("-")[0])
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _forget_oldest(kind: str) -> None:
    # Every change of the code gives an image of its own. The last ones stay: other processes may be about to read them.
    made = sorted(cache_folder().glob(f"{kind}-*"), key=lambda folder: folder.stat().st_mtime)
    for folder in made[:-_KEPT_VERSIONS]:
        shutil.rmtree(folder)
