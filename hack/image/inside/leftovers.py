"""What is in the image for nobody: named here, and removed."""

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from hack.image.inside.layout import Layout

# Parts of the standard library that no server uses. `distutils` and `venv` stay: other modules may look for them.
_LIBRARY = ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtle.py", "turtledemo")
_PROGRAMS = ("2to3*", "idle*", "pip*", "pydoc*", "python*-config", "wheel*")
_EMPTIED = (
    "/etc/alternatives",
    "/etc/apt",
    "/etc/dpkg",
    "/root",
    "/tmp",
    "/usr/local/include",
    "/usr/share/bash-completion",
    "/usr/share/info",
    "/usr/share/lintian",
    "/usr/share/locale",
    "/usr/share/man",
    "/usr/share/pixmaps",
    "/var/backups",
    "/var/cache",
    "/var/lib/apt",
    "/var/log",
    "/var/tmp",
)
_PRIVILEGED = stat.S_ISUID | stat.S_ISGID


def remove_before_packages(layout: Layout) -> None:
    """Remove what would make packages look needed."""
    for name in _LIBRARY:
        _remove(layout.library / name)
    _remove(*layout.library.rglob("*.a"))
    for folder in layout.foreign:
        _empty(folder)
    for folder in layout.programs:
        for pattern in _PROGRAMS:
            _remove(*folder.glob(pattern))


def remove_after_packages(layout: Layout) -> None:
    """Remove the rest: caches, manuals, tests of libraries, and the environment's shell scripts."""
    for name in _EMPTIED:
        _empty(Path(name))
    # Character sets of the C library; Python has its own.
    _remove(*Path("/usr/lib").glob("*/gconv"))
    _remove(*layout.environment.glob("bin/[aA]ctivate*"))
    _remove(*(path for path in layout.environment.rglob("tests") if path.is_dir()))
    _remove(*layout.environment.rglob("*.pyx"), *layout.environment.rglob("*.c"), *layout.environment.rglob("*.h"))
    for folder in layout.programs:
        _remove(*(path for path in folder.iterdir() if path.is_symlink() and not path.exists()))
    # Licences stay, as they ask.
    documentation = Path("/usr/share/doc")
    _remove(*(path for path in documentation.glob("*/*") if path.name != "copyright"))


def drop_privileges(root: Path) -> None:
    """Take away the right to become somebody else from every program."""
    for path in _walk(root, _read_mounts()):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & _PRIVILEGED:
            path.chmod(stat.S_IMODE(mode) & ~_PRIVILEGED)


def set_times(root: Path, at: int) -> None:
    """Give every file the same time, so that the same input gives the same image."""
    for path in _walk(root, _read_mounts()):
        os.utime(path, (at, at), follow_symlinks=False)


def parse_mounts(text: str) -> frozenset[Path]:
    r"""Read the mount points from the text of /proc/self/mounts, but for the root.

    >>> parse_mounts("proc /proc proc rw 0 0\n/dev/vda / ext4 rw 0 0\n")
    frozenset({PosixPath('/proc')})
    """
    return frozenset(Path(line.split()[1]) for line in text.splitlines()) - {Path("/")}


def _read_mounts() -> frozenset[Path]:
    return parse_mounts(Path("/proc/self/mounts").read_text())


def _walk(root: Path, mounts: frozenset[Path]) -> Iterable[Path]:
    """Yield all that is in the image itself, folders first: what is mounted is there for the build only."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = [name for name in folders if here / name not in mounts]
        yield from (here / name for name in (*folders, *files) if here / name not in mounts)


def _empty(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        _remove(*folder.iterdir())


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)  # a mount point is busy, and no part of the image
        else:
            path.unlink(missing_ok=True)
