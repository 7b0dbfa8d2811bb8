"""`python -m hack.image build`, which is what make calls. Only translates arguments and errors."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from hack.image.context import ROOT
from hack.image.errors import ImageError
from hack.image.obtaining import obtain_image
from tests.localcluster import LocalClusterError
from tests.localcluster.reporting import to_stderr

_MEGABYTE = 1_000_000


def main() -> int:
    """Build the image, say where it is and how big, and return the exit code."""
    arguments = _parse()
    try:
        image = obtain_image(to_stderr, name=arguments.tag, revision=arguments.revision or _read_revision())
    except (ImageError, LocalClusterError) as error:
        to_stderr(f"error: {error}")
        return 1
    archive = image.archive
    if arguments.output is not None:
        archive = Path(shutil.copyfile(archive, arguments.output))
    sizes = image.sizes
    print(f"{image.name} in {archive}: {_format(sizes.unpacked_bytes)} on disk, {_format(sizes.packed_bytes)} to fetch")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.image", description="The image, built without a registry.")
    build = parser.add_subparsers(dest="command", required=True).add_parser("build", help="build it, once")
    build.add_argument("--tag", default="", help="its name, such as registry.example/team/diem-operator:0.1.0")
    build.add_argument("--output", type=Path, help="a copy of the archive, for `docker load` or `ctr images import`")
    build.add_argument("--revision", default="", help="of the sources, for its label; by default what git says")
    return parser.parse_args()


def _read_revision() -> str:
    git = shutil.which("git")
    command = [git or "git", "-C", str(ROOT), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False) if git else None
    return done.stdout.strip() if done is not None and done.returncode == 0 else "unknown"


def _format(size_bytes: int) -> str:
    return f"{size_bytes / _MEGABYTE:.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
