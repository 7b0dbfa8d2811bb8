"""The static busybox that the node's images are made of: this machine's own, or Debian's package unpacked in the cache.

It is never installed: many machines have another busybox, which their start needs.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.localcluster.errors import MissingProgramError
from tests.localcluster.locking import exclusive
from tests.localcluster.reporting import Log
from tests.localcluster.system_packages import find_program, unpack

_PACKAGE = "busybox-static"


def find_static_busybox(cache: Path, log: Log) -> Path:
    """Return the path of a busybox that runs without any library."""
    own = find_program("busybox")
    if own and is_static(Path(own)):
        return Path(own)
    return _unpacked(cache / _PACKAGE, log) / "bin" / "busybox"


def is_static(program: Path) -> bool:
    """Tell whether an ELF program does without a loader: it names none.

    A loader's path is the only reason for such a string in the first bytes of the file.
    """
    with program.open("rb") as content:
        start = content.read(4096)
    return start.startswith(b"\x7fELF") and b"/ld-" not in start


def find_commands(busybox: Path) -> list[str]:
    """Return the names it answers to."""
    return subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()


def _unpacked(folder: Path, log: Log) -> Path:
    with exclusive(folder.with_name(f".{folder.name}.lock")):
        if not folder.exists():
            if shutil.which("apt-get") is None:
                raise MissingProgramError(f"A static busybox is needed. On Debian, run: apt-get install {_PACKAGE}")
            unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
            unpack(_PACKAGE, unfinished, log)
            unfinished.rename(folder)
    return folder
