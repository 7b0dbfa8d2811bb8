"""Reads requirements/*.txt: what is pinned, to which version, with which hashes. No network."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_HASH = re.compile(r"--hash=(\S+)")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One entry.

    Attributes:
        name: in its normal form.
        is_for_here: whether its marker holds on this machine.
    """

    name: str
    version: str
    is_for_here: bool

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One file."""

    path: Path
    entries: tuple[str, ...]

    @property
    def pins(self) -> frozenset[Pin]:
        """The entries that are pinned."""
        return frozenset(pin for entry in self.entries if (pin := _read_pin(entry)) is not None)

    def find_faults(self) -> tuple[str, ...]:
        """Return a sentence for each entry that would let something else in than was locked."""
        return tuple(f"{self.path.name}: {fault}" for entry in self.entries for fault in _find_faults(entry))


def read_locks(folder: Path) -> list[Lock]:
    """Read all files of a folder."""
    return [Lock(path=path, entries=tuple(_split(path.read_text()))) for path in sorted(folder.glob("*.txt"))]


def find_largest(locks: Iterable[Lock]) -> list[Lock]:
    """Return the files that hold all pins: without those whose every pin is in a larger one."""
    kept: list[Lock] = []
    for lock in sorted(locks, key=lambda each: len(each.pins), reverse=True):
        if not any(lock.pins <= larger.pins for larger in kept):
            kept.append(lock)
    return kept


def _split(text: str) -> list[str]:
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [line.strip() for line in lines if not line.lstrip().startswith("#")]


def _read_pin(entry: str) -> Pin | None:
    requirement = _parse(entry)
    if requirement is None or requirement.url is not None:
        return None
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != "==" or "*" in specifiers[0].version:
        return None
    is_for_here = requirement.marker is None or requirement.marker.evaluate()
    return Pin(name=canonicalize_name(requirement.name), version=specifiers[0].version, is_for_here=is_for_here)


def _parse(entry: str) -> Requirement | None:
    try:
        return Requirement(_HASH.sub("", entry).strip())
    except InvalidRequirement:
        return None


def _find_faults(entry: str) -> list[str]:
    hashes = _HASH.findall(entry)
    what = _HASH.sub("", entry).strip()
    if _read_pin(entry) is None:
        return [f"{what!r} is not pinned to one version of a package; run `make lock`"]
    if not hashes:
        return [f"{what!r} has no hash; run `make lock`"]
    return [f"{what!r} has a hash that is no SHA-256" for one in hashes if not _SHA256.fullmatch(one)][:1]
