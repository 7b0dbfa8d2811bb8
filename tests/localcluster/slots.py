"""Numbered places for clusters on one machine: ports, addresses, names and a folder that nobody else has.

A slot belongs to whoever holds its file lock, so it is free again however its holder ended; what that one left behind
is known from the slot's number and folder alone. Starting and ending processes is not done here.
"""

import contextlib
import ipaddress
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.localcluster.errors import LocalClusterError
from tests.localcluster.locking import try_exclusive

SLOT_COUNT = 64
_FIRST_PORT = 21000  # below what Linux and macOS hand out to outgoing connections
_PORTS_PER_SLOT = 8


@dataclass(frozen=True)
class Slot:
    """The place of one cluster.

    Attributes:
        directory: all its files; gone after the cluster.
    """

    number: int
    directory: Path

    @property
    def name(self) -> str:
        """The name of what it has in the machine's own namespaces: network interface, control group, node."""
        return f"diem-{self.number:02d}"

    @property
    def ports(self) -> range:
        """The TCP ports it may listen on."""
        first = _FIRST_PORT + self.number * _PORTS_PER_SLOT
        return range(first, first + _PORTS_PER_SLOT)

    @property
    def apiserver_port(self) -> int:
        """The API server's port."""
        return self.ports[0]

    @property
    def etcd_port(self) -> int:
        """Where the API server reaches etcd."""
        return self.ports[1]

    @property
    def etcd_peer_port(self) -> int:
        """Where etcd would reach other members; it insists on one."""
        return self.ports[2]

    @property
    def machine_address(self) -> str:
        """The machine's end of the cable to a real node."""
        return f"10.254.{self.number}.1"

    @property
    def node_address(self) -> str:
        """The node's end of it."""
        return f"10.254.{self.number}.2"

    @property
    def pod_network(self) -> ipaddress.IPv4Network:
        """The addresses of pods."""
        return ipaddress.IPv4Network(f"10.253.{self.number}.0/24")

    @property
    def service_network(self) -> ipaddress.IPv4Network:
        """The addresses of Services; the first is the API server's."""
        return ipaddress.IPv4Network(f"10.252.{self.number}.0/24")


@dataclass(frozen=True)
class Claim:
    """A slot that is ours until released, and the lock that says so."""

    slot: Slot
    _lock: IO[str]

    def release(self) -> None:
        """Give the slot back; its folder must be gone."""
        lock_file = Path(self._lock.name)
        lock_file.unlink(missing_ok=True)
        self._lock.close()
        with contextlib.suppress(OSError):  # others are in there
            lock_file.parent.rmdir()


def claim() -> Claim:
    """Take a free slot, one in which nobody left anything."""
    for number in range(SLOT_COUNT):
        claimed = try_claim(number)
        if claimed is None:
            continue
        if not claimed.slot.directory.exists() and is_free(claimed.slot):
            claimed.slot.directory.mkdir(mode=0o700)
            return claimed
        claimed.release()
    raise LocalClusterError(f"All {SLOT_COUNT} places for local clusters are taken; see {slots_folder()}")


def find_abandoned() -> list[Claim]:
    """Take all slots that nobody holds although something is left there."""
    numbers = {int(path.stem) for path in slots_folder().iterdir() if path.stem.isdigit()}
    return [claimed for number in sorted(numbers) if (claimed := try_claim(number)) is not None]


def try_claim(number: int) -> Claim | None:
    """Take one slot as it is, leftovers and all; None while somebody else has it."""
    folder = slots_folder()
    try:
        lock = try_exclusive(folder / f"{number:02d}.lock")
    except FileNotFoundError:  # the last one to leave has just removed the folder
        return try_claim(number)
    return Claim(Slot(number, folder / f"{number:02d}"), lock) if lock is not None else None


def slots_folder() -> Path:
    """Return the folder of this user's slots, making it if need be."""
    folder = Path(tempfile.gettempdir()).resolve() / f"diem-localcluster-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise LocalClusterError(f"{folder} belongs to somebody else; set TMPDIR to a folder of your own")
    return folder


def is_free(slot: Slot) -> bool:
    """Tell whether nobody else has the slot's ports or addresses."""
    return all(_is_port_free(port) for port in slot.ports) and not _is_address_taken(slot)


def _is_port_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True


def _is_address_taken(slot: Slot) -> bool:
    """Look for the slot's own interface address on this machine: somebody with another slots folder has it then."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((slot.machine_address, 0))
        except OSError:
            return False
    return True
