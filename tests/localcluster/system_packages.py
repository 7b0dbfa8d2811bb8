"""Programs and libraries of the machine itself: looked for, and installed with apt by root where they are missing.

It never installs what is there already, says so in one line before it installs, and else names the command to run.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.localcluster.errors import MissingProgramError
from tests.localcluster.reporting import Log

# Where Debian's packages put what the cluster needs; a leading slash means a file, else a program.
PACKAGE_OF: Mapping[str, str] = MappingProxyType(
    {
        "/usr/include/seccomp.h": "libseccomp-dev",
        "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
        "buildah": "buildah",
        "cc": "gcc libc6-dev",
        "curl": "curl",
        "debootstrap": "debootstrap",
        "ip": "iproute2",
        "javac": "default-jdk-headless",
        "mount": "mount",
        "mvn": "maven",
        "nft": "nftables",
        "node": "nodejs",
        "npm": "npm",
        "nsenter": "util-linux",
        "pip3": "python3-pip",
        "pkg-config": "pkg-config",
        "tar": "tar",
        "unshare": "util-linux",
    }
)
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find_program(name: str) -> str | None:
    """Return the program's path; also from the system folders, which many users' PATH leaves out."""
    return shutil.which(name, path=search_path())


def search_path() -> str:
    """Return a PATH with the system folders, for programs that look for others."""
    return f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}"


def ensure_program(name: str, log: Log) -> str:
    """Return the path of a program of `PACKAGE_OF`, installing its package if need be."""
    ensure([name], log)
    found = find_program(name)
    if found is None:
        raise MissingProgramError(f"{PACKAGE_OF[name]} is installed, but {name} is not in its place; look at its files")
    return found


def ensure(needs: Iterable[str], log: Log) -> None:
    """Install the packages of whatever is missing of `needs` (keys of `PACKAGE_OF`)."""
    packages = sorted({PACKAGE_OF[need] for need in needs if not is_there(need)})
    if not packages:
        return
    command = f"apt-get install --yes --no-install-recommends {' '.join(packages)}"
    if not can_install():
        raise MissingProgramError(f"Missing on this machine: {', '.join(packages)}. As root, run: {command}")
    log(f"Installing Debian packages that are missing: {' '.join(packages)}")
    _run_with_fresh_lists(command.split())


def unpack(package: str, folder: Path, log: Log) -> None:
    """Unpack a Debian package into a new folder, without installing it."""
    log(f"Unpacking Debian package {package} into {folder.parent}")
    with tempfile.TemporaryDirectory() as downloads:
        _run_with_fresh_lists(["apt-get", "download", package], folder=downloads)
        archive = next(Path(downloads).glob("*.deb"))
        failure = _run(["dpkg-deb", "--extract", str(archive), str(folder)])
    if failure:
        raise MissingProgramError(f"{package} could not be unpacked: {failure}")


def is_there(need: str) -> bool:
    """Look for a file (absolute path) or a program (bare name)."""
    if need.startswith("/"):
        return Path(need).exists()
    return find_program(need) is not None


def can_install() -> bool:
    """Tell whether this process may install packages."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _run_with_fresh_lists(command: list[str], *, folder: str | None = None) -> None:
    """Run an apt command; if it fails, once more after `apt-get update`."""
    if _run(command, folder=folder):
        _run(["apt-get", "update"])
        failure = _run(command, folder=folder)
        if failure:
            raise MissingProgramError(f"`{' '.join(command)}` failed: {failure}")


def _run(command: list[str], *, folder: str | None = None) -> str:
    """Run it without questions; return the end of its complaints, empty when it succeeded."""
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=quiet, cwd=folder, stdin=subprocess.DEVNULL
    )
    if done.returncode == 0:
        return ""
    return (done.stderr or done.stdout).strip()[-800:] or f"exit code {done.returncode}"
