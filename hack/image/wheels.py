"""The wheels that the build installs: fetched outside of it, for the Python of the base image and not for ours."""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.image.cache import build_key, keep
from hack.image.steps import run
from tests.localcluster.reporting import Log

PYTHON_VERSION = "3.11"
_GLIBC_MINOR = 36  # of Debian 12
_OLDEST_GLIBC_MINOR = 5
# The names that came before the C library's version was one.
_OLD_NAMES = ("manylinux2014", "manylinux2010", "manylinux1", "linux")


def obtain_wheels(requirements: Sequence[Path], log: Log) -> Path:
    """Return a folder with the wheels of hash-locked requirements."""
    processor = platform.machine()
    key = build_key([*requirements, processor, Path(__file__)])
    return keep(f"wheels-{key}", lambda folder: _download(requirements, processor, folder, log))


def list_platforms(processor: str) -> list[str]:
    """Return the names of the platforms whose wheels run on the base image, newest first."""
    numbered = [f"manylinux_2_{minor}" for minor in range(_GLIBC_MINOR, _OLDEST_GLIBC_MINOR - 1, -1)]
    return [f"{name}_{processor}" for name in (*numbered, *_OLD_NAMES)]


def _download(requirements: Sequence[Path], processor: str, folder: Path, log: Log) -> None:
    log(f"Fetching the wheels of {', '.join(path.name for path in requirements)}")
    target = ["--implementation=cp", f"--python-version={PYTHON_VERSION}", f"--abi=cp{PYTHON_VERSION.replace('.', '')}"]
    target += [f"--platform={name}" for name in list_platforms(processor)]
    for path in requirements:
        options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}", *target]
        run([sys.executable, "-m", "pip", "download", *options, f"--requirement={path}"])
