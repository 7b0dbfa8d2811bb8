"""What goes into an image: the files of the checkout that count, and what the Containerfile itself says."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from hack.image.errors import ImageError

ROOT = Path(__file__).resolve().parents[2]
CONTAINERFILE = "Containerfile"
REQUIREMENTS = ("requirements/build.txt", "requirements/image.txt")
_FILES = (CONTAINERFILE, ".containerignore", "LICENSE", "README.md", "pyproject.toml", *REQUIREMENTS)
_FOLDERS = ("hack/image/inside", "operator")
_MADE = ("__pycache__", "*.pyc")


def list_inputs(root: Path) -> list[str]:
    """Return the paths, below the checkout, of all that decides what comes out."""
    return sorted([*_FILES, *(str(path.relative_to(root)) for folder in _FOLDERS for path in _sources(root / folder))])


def copy_inputs(root: Path, target: Path, *, wheels: Path) -> None:
    """Make the folder that is built: the inputs, and the wheels where the Containerfile looks for them."""
    for name in list_inputs(root):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, copy)
    shutil.copytree(wheels, target / "wheels")


def read_argument(containerfile: str, name: str) -> str:
    r"""Return the default of a build argument.

    >>> read_argument("ARG PYTHON_IMAGE=python:3.11\nFROM ${PYTHON_IMAGE}\nARG PYTHON_IMAGE\n", "PYTHON_IMAGE")
    'python:3.11'
    """
    found = re.search(rf"^ARG {name}=(\S+)$", containerfile, flags=re.MULTILINE)
    if found is None:
        raise ImageError(f"{CONTAINERFILE} has no default for {name}: a line `ARG {name}=…` is missing")
    return found[1]


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(path.match(f"{made}") or made in path.parts for made in _MADE):
            yield path
