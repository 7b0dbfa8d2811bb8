"""The space a real node lives in: namespaces of its own for processes, mounts and network, and the cable to it.

The space is one process, the first of its process namespace. Whatever is started inside ends with it, and with the last
process go all mounts and interfaces: that is how a node leaves nothing behind, even when nobody tidies up. What runs in
the space is not known here.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.localcluster import system_packages
from tests.localcluster.component import Component
from tests.localcluster.errors import ComponentError, MissingProgramError
from tests.localcluster.processes import find_children
from tests.localcluster.slots import Slot

INTERFACE = "eth0"
NEEDS = ("ip", "mount", "nsenter", "unshare")

# Node programs write here at fixed places; inside the space, a folder of the slot lies over each.
_COVERED = ("/run", "/var/lib", "/var/log")

# The kubelet sets these for the whole machine. Inside the space, files that already say so lie over them.
_KERNEL_SETTINGS: Mapping[str, int] = MappingProxyType(
    {
        "/proc/sys/vm/overcommit_memory": 1,
        "/proc/sys/vm/panic_on_oom": 0,
        "/proc/sys/kernel/panic": 10,
        "/proc/sys/kernel/panic_on_oops": 1,
        "/proc/sys/kernel/keys/root_maxkeys": 1_000_000,
        "/proc/sys/kernel/keys/root_maxbytes": 25_000_000,
    }
)

# The first process must take in orphans: with SIGCHLD ignored the kernel does so by itself.
_FIRST_PROCESS = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True: signal.pause()"


class NodeSpace:
    """The namespaces of one node.

    Attributes:
        holder: the process that keeps them; killing it is pulling the node's plug.
    """

    def __init__(self, slot: Slot, *, outside: Sequence[Path]) -> None:
        """Describe it; nothing is started.

        Args:
            outside: files and folders of the machine that must stay visible inside.
        """
        _refuse_covered([slot.directory, *outside])
        self._slot = slot
        self._folder = slot.directory / "space"
        self._is_laid_out = self._folder / "laid-out"
        self.holder = Component(
            "node-space",
            self._first(),
            through=lambda: ["unshare", "--fork", "--kill-child=KILL", "--pid", "--mount-proc", "--mount", "--net"],
            log_file=slot.directory / "logs" / "node-space.log",
            environment={"PATH": system_packages.search_path()},
            is_ready=self._is_laid_out.exists,
        )

    def start(self) -> None:
        """Make the namespaces and lay the cable."""
        for name in _COVERED:
            _cover(self._folder, name).mkdir(parents=True)
        for name, value in _KERNEL_SETTINGS.items():
            _cover(self._folder, name).write_text(f"{value}\n")
        self.holder.start()
        self._lay_cable()

    def entry(self) -> list[str]:
        """Return the command that runs another one inside."""
        return ["nsenter", "--target", str(self._first_pid()), "--net", "--mount", "--root", "--pid", "--"]

    def _first(self) -> list[str]:
        steps = ["mount --make-rshared /"]
        steps += [f"mount --bind {shlex.quote(str(_cover(self._folder, name)))} {name}" for name in self._to_cover()]
        steps += ["ip link set lo up", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        steps += [f"touch {shlex.quote(str(self._is_laid_out))}"]
        first = shlex.join([sys.executable, "-I", "-S", "-c", _FIRST_PROCESS])
        return ["sh", "-c", " && ".join([*steps, f"exec {first}"])]

    def _to_cover(self) -> list[str]:
        return [*_COVERED, *(name for name in _KERNEL_SETTINGS if Path(name).exists())]

    def _lay_cable(self) -> None:
        slot = self._slot
        ours, inside = slot.name, self.entry()
        peer = ["peer", "name", INTERFACE, "netns", str(self._first_pid())]
        _run(["ip", "link", "add", ours, "type", "veth", *peer])
        _run(["ip", "address", "add", f"{slot.machine_address}/24", "dev", ours])
        _run(["ip", "link", "set", ours, "up"])
        _run([*inside, "ip", "address", "add", f"{slot.node_address}/24", "dev", INTERFACE])
        _run([*inside, "ip", "link", "set", INTERFACE, "up"])
        _run([*inside, "ip", "route", "add", "default", "via", slot.machine_address])
        for network in (slot.pod_network, slot.service_network):
            _run(["ip", "route", "add", str(network), "via", slot.node_address])

    def _first_pid(self) -> int:
        children = find_children(self.holder.pid) if self.holder.pid is not None else []
        if not children:
            raise ComponentError(f"The node's namespaces are gone. {self.holder.log_tail()}")
        return children[0]


def _cover(folder: Path, name: str) -> Path:
    return folder / name.strip("/").replace("/", "-")


def _refuse_covered(paths: Sequence[Path]) -> None:
    for path in paths:
        if any(path.is_relative_to(name) for name in _COVERED):
            raise MissingProgramError(f"{path} is not visible to a real node; set TMPDIR or DIEM_CACHE elsewhere")


def _run(command: list[str]) -> None:
    environment = os.environ | {"PATH": system_packages.search_path()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise ComponentError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
