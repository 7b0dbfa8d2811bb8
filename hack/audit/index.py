"""Asks the package index, through pip, whether it still offers each locked file, and whether one was withdrawn.

A withdrawn ("yanked", PEP 592) version installs still when it is pinned, so nobody would notice.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from hack.audit.locks import Lock
from hack.audit.report import Report

_NOT_OFFERED = re.compile(r"No matching distribution found for (\S+)")
_LAST_LINES = 3


def find_withdrawn(lock: Lock, *, pip: Path) -> Report:
    """Let pip resolve a file as an installation does, hashes included, and look at what it found."""
    command = [str(pip), "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-"]
    command += ["--require-hashes", "--requirement", str(lock.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return judge_failure(lock.path.name, done.stderr)
    return judge(lock, json.loads(done.stdout)["install"])


def judge(lock: Lock, installs: list[dict[str, Any]]) -> Report:
    """Judge what pip would install."""
    offered: dict[tuple[str, str], bool] = {
        (canonicalize_name(one["metadata"]["name"]), one["metadata"]["version"]): one["is_yanked"] for one in installs
    }
    wanted = [pin for pin in sorted(lock.pins, key=str) if pin.is_for_here]
    return Report(
        found=tuple(f"{pin} was withdrawn by its authors" for pin in wanted if offered.get((pin.name, pin.version))),
        unseen=tuple(f"{pin}: pip left it out" for pin in wanted if (pin.name, pin.version) not in offered),
    )


def judge_failure(name: str, told: str) -> Report:
    """Tell what is gone from an index that did not answer."""
    last = " ".join(told.strip().splitlines()[-_LAST_LINES:])
    gone = _NOT_OFFERED.findall(told)
    if gone and "(from versions: none)" not in told:
        return Report(found=tuple(f"{name}: {one} is no longer offered" for one in gone))
    if "do not match the hashes" in told.lower():
        return Report(found=(f"{name}: a file is not the one that was locked: {last}",))
    return Report(unseen=(f"{name}: the package index did not answer: {last}",))
