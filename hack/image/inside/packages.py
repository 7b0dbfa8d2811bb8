"""Which Debian packages Python needs, and the removal of all others.

shared libraries that are asked for ──► files ──► packages that own them ─┐
files of the standard library that are left ──► packages that own them ───┼─► kept
names that no program asks for (certificates, time zones) ────────────────┘
"""

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from hack.image.inside.layout import PACKAGE_LISTS, Layout

# libgcc-s1: the C library loads it by name when a thread ends.
ALWAYS_KEPT = frozenset(
    {
        "base-files",
        "base-passwd",
        "ca-certificates",
        "libc6",
        "libc-bin",
        "libgcc-s1",
        "media-types",
        "netbase",
        "tzdata",
    }
)
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def find_needed(layout: Layout) -> set[str]:
    """Return the names of the packages that must stay."""
    owners = read_owners(PACKAGE_LISTS)
    libraries = map(Path, _find_libraries(layout.find_binaries()))
    files = {_place(path) for path in (*libraries, *layout.find_interpreters(), *layout.library.rglob("*"))}
    return {owners[file] for file in files if file in owners} | ALWAYS_KEPT


def find_owner(file: Path, lists: Path) -> str | None:
    """Return the package that a file belongs to; None where somebody put it there by hand."""
    return read_owners(lists).get(_place(file))


def read_owners(lists: Path) -> dict[Path, str]:
    """Return the package of each file and link, by its place."""
    owners = {}
    for one in lists.glob("*.list"):
        package = one.stem.partition(":")[0]
        paths = [Path(line) for line in one.read_text().splitlines()]
        owners.update({_place(path): package for path in paths if path.is_symlink() or path.is_file()})
    return owners


def parse_libraries(printed: str) -> set[str]:
    r"""Read the paths from what ldd prints.

    >>> sorted(parse_libraries("libz.so.1 => /lib/libz.so.1 (0x1)\n/lib64/ld.so.2 (0x2)\nlinux-vdso.so.1 (0x3)\n"))
    ['/lib/libz.so.1', '/lib64/ld.so.2']
    """
    return set(re.findall(r"^\s*(?:\S+ => )?(/\S+) \(0x", printed, flags=re.MULTILINE))


def parse_packages(status: str) -> list[Mapping[str, str]]:
    """Read the fields of all installed packages from dpkg's status file."""
    stanzas = [_parse_stanza(stanza) for stanza in status.split("\n\n") if stanza.strip()]
    return [stanza for stanza in stanzas if stanza.get("Status") == "install ok installed"]


def purge(names: Iterable[str]) -> None:
    """Remove packages, dpkg itself among them: after this there may be no shell.

    Their scripts do not run: they would clean up a system, and this is about to be none.
    """
    for kind in _SCRIPTS:
        for script in PACKAGE_LISTS.glob(f"*.{kind}"):
            script.unlink()
    command = ["dpkg", "--purge", "--force-all", "--no-triggers", *sorted(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"dpkg could not remove packages: {done.stderr[-2000:]}")


def _find_libraries(binaries: Iterable[Path]) -> set[str]:
    found = set()
    for binary in binaries:
        done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
        found |= parse_libraries(done.stdout)
    return found


def _place(path: Path) -> Path:
    # /lib is a link to /usr/lib, and some lists name the one, some the other.
    return path.parent.resolve() / path.name


def _parse_stanza(stanza: str) -> dict[str, str]:
    fields = (line.partition(":") for line in stanza.splitlines() if line[:1].strip())
    return {name: value.strip() for name, _, value in fields}
