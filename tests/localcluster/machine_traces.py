"""What a real node puts on the machine itself: one network interface and one control group, both named after its slot.

Makes and removes them; everything else of a node is inside its space and goes with it.
"""

import contextlib
import os
import subprocess
import time
from pathlib import Path

from tests.localcluster.slots import Slot
from tests.localcluster.system_packages import find_program

_CGROUPS = Path("/sys/fs/cgroup")
_CONTROLLERS = _CGROUPS / "cgroup.controllers"
_ATTEMPTS = 100
_PAUSE_SECONDS = 0.05


def make_cgroup(slot: Slot) -> None:
    """Make the control group under which the node's pods live: without it two kubelets would fight over one."""
    _pass_on_controllers()
    for root in _find_roots():
        (root / slot.name).mkdir(exist_ok=True)


def can_make_cgroup() -> bool:
    """Tell whether this process may make one."""
    roots = _find_roots()
    return bool(roots) and all(os.access(root, os.W_OK) for root in roots)


def remove(slot: Slot) -> None:
    """Remove both; nothing happens where they are not there. No process may live in the group any more."""
    if (Path("/sys/class/net") / slot.name).exists():
        subprocess.run([find_program("ip") or "ip", "link", "delete", slot.name], capture_output=True, check=False)
    for root in _find_roots():
        _remove_tree(root / slot.name)


def _find_roots() -> list[Path]:
    """Return the top of each hierarchy: one with control groups version 2, one per controller with version 1."""
    if _CONTROLLERS.exists():
        return [_CGROUPS]
    if not _CGROUPS.is_dir():
        return []
    # Names such as `cpu` may be links to `cpu,cpuacct`.
    return sorted({path.resolve() for path in _CGROUPS.iterdir() if (path / "cgroup.procs").exists()})


def _pass_on_controllers() -> None:
    """Let groups below the top limit what the top may limit (version 2 only)."""
    for name in _CONTROLLERS.read_text().split() if _CONTROLLERS.exists() else ():
        with contextlib.suppress(OSError):
            (_CGROUPS / "cgroup.subtree_control").write_text(f"+{name}")


def _remove_tree(group: Path) -> None:
    if not group.is_dir():
        return
    for child in [path for path in group.iterdir() if path.is_dir()]:
        _remove_tree(child)
    for _ in range(_ATTEMPTS):  # the kernel says busy for a moment after the last process
        with contextlib.suppress(OSError):
            group.rmdir()
        if not group.exists():
            return
        time.sleep(_PAUSE_SECONDS)
