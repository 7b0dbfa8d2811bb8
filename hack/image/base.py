"""The stand-in for the official Python image where no registry can be reached: Debian with its own Python.

It comes from the mirror that apt uses on this machine; the mirror is in no file of the image.
"""

import shutil
from pathlib import Path

from hack.image.cache import build_key, keep
from hack.image.errors import ImageError
from hack.image.steps import run, run_confined
from hack.image.storage import Storage
from tests.localcluster.building import go_processor
from tests.localcluster.reporting import Log

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
_FORMAT = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
# What debootstrap takes from this machine, or keeps only for a system that lives on.
_OF_THIS_MACHINE = ("etc/apt/sources.list", "etc/hostname", "etc/resolv.conf")
_OF_NO_USE = ("var/cache/apt/archives", "var/lib/apt/lists")


def obtain_base(name: str, log: Log) -> Path:
    """Return the archive of the base image, called `name`; made once, in a minute."""
    key = build_key([name, SUITE, *PACKAGES, go_processor(), Path(__file__)])
    return keep(f"base-{key}", lambda folder: _make(name, folder, log)) / "base.tar"


def find_mirror(printed: str) -> str:
    r"""Read the address of Debian's own packages from what `apt-get indextargets` prints.

    >>> find_mirror("Debian|Debian-Security|main|http://b/\nDebian|Debian|main|http://a/debian/\n")
    'http://a/debian/'
    """
    for line in printed.splitlines():
        origin, label, component, address = line.split("|", maxsplit=3)
        if (origin, label, component) == ("Debian", "Debian", "main"):
            return address
    raise ImageError("apt on this machine knows no mirror of Debian; add one to its sources and run apt-get update")


def _make(name: str, folder: Path, log: Log) -> None:
    mirror = find_mirror(run(["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"]))
    log(f"Making a base image of Debian {SUITE} with Python; once, it takes a minute")
    root = folder / "root"
    included = f"--include={','.join(PACKAGES)}"
    run_confined(["debootstrap", "--variant=minbase", included, SUITE, str(root), mirror])
    _clean(root)
    filesystem = folder / "root.tar"
    run(["tar", "--create", "--file", str(filesystem), "--numeric-owner", "--directory", str(root), "."])
    storage = Storage(folder / "storage")
    storage.import_filesystem(filesystem, name=name)
    storage.save(name, folder / "base.tar")
    filesystem.unlink()
    for made in (root, folder / "storage"):
        shutil.rmtree(made)


def _clean(root: Path) -> None:
    for name in _OF_THIS_MACHINE:
        (root / name).unlink(missing_ok=True)
    for name in _OF_NO_USE:
        shutil.rmtree(root / name, ignore_errors=True)
