"""`python3 -m hack.image.inside ENVIRONMENT SBOM`: the order of the steps, and nothing else.

It takes apart the system that it runs in. Only the Containerfile may call it, and says so by IN_IMAGE_BUILD.
"""

import compileall
import os
import platform
import py_compile
import subprocess
import sys
from pathlib import Path

from hack.image.inside.bill import add_components, describe, describe_python, read_distribution
from hack.image.inside.layout import PACKAGE_LISTS, PACKAGE_STATUS, find_layout
from hack.image.inside.leftovers import drop_privileges, remove_after_packages, remove_before_packages, set_times
from hack.image.inside.packages import find_needed, find_owner, parse_packages, purge

_ROOT = Path("/")
_USER = "65532:65532"


def main(environment: Path, sbom: Path) -> None:
    """Turn the base image into the operator's."""
    if os.environ.get("IN_IMAGE_BUILD") != "yes":
        raise SystemExit("This takes apart the system that it runs in; only the Containerfile may call it")
    layout = find_layout(environment)
    remove_before_packages(layout)
    needed = find_needed(layout)
    purge(_installed() - needed)
    remove_after_packages(layout)
    _add_user()
    for folder in (layout.library, layout.environment):
        _compile(folder)
    packages = parse_packages(PACKAGE_STATUS.read_text())
    distribution = read_distribution(Path("/etc/os-release").read_text())
    add_components(sbom, [describe(package, distribution=distribution) for package in packages])
    if find_owner(layout.find_interpreters()[-1], PACKAGE_LISTS) is None:
        # The official Python images build it from its sources; Debian's own is one of the packages.
        add_components(sbom, [describe_python(platform.python_version())])
    _try(environment)
    drop_privileges(_ROOT)
    set_times(_ROOT, int(os.environ["SOURCE_DATE_EPOCH"]))
    print("Kept:", " ".join(sorted(package["Package"] for package in packages)))


def _installed() -> set[str]:
    return {package["Package"] for package in parse_packages(PACKAGE_STATUS.read_text())}


def _add_user() -> None:
    # Some libraries ask for the name of the user and its home, and fail where it has none.
    with Path("/etc/passwd").open("a") as users, Path("/etc/group").open("a") as groups:
        users.write(f"nonroot:x:{_USER}:nonroot:/nonexistent:/usr/sbin/nologin\n")
        groups.write(f"nonroot:x:{_USER.partition(':')[2]}:\n")


def _compile(folder: Path) -> None:
    # Unchecked: the source cannot change, and its time is not what was compiled.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(folder, quiet=1, force=True, invalidation_mode=mode):
        raise SystemExit(f"{folder} has modules that do not compile")


def _try(environment: Path) -> None:
    # Not everything can be missed without being noticed: the commands import all that they run with.
    for command in ("operator", "api"):
        subprocess.run(
            [environment / "bin" / "diem-operator", command, "--help"], check=True, stdout=subprocess.DEVNULL
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
