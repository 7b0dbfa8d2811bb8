"""buildah with a storage of its own, which lives as long as one build.

The machine's own images are neither used nor changed. With the driver vfs nothing is ever mounted.
"""

from collections.abc import Mapping
from pathlib import Path

from hack.image.steps import run_confined


class Storage:
    """The images of one build, in a folder that can be removed at any time."""

    def __init__(self, folder: Path) -> None:
        """Describe it; buildah makes the folders."""
        self._buildah = [
            "buildah",
            f"--root={folder / 'images'}",
            f"--runroot={folder / 'running'}",
            "--storage-driver=vfs",
        ]

    def load(self, archive: Path, *, name: str) -> None:
        """Add the image of an archive, under a name."""
        printed = self._run("pull", "--quiet", f"docker-archive:{archive}")
        self._run("tag", printed.split()[-1], name)

    def import_filesystem(self, archive: Path, *, name: str) -> None:
        """Make an image of one layer out of the tar file of a root file system."""
        container = self._run("from", "scratch").strip()
        self._run("add", "--quiet", container, str(archive), "/")
        self._run("config", "--cmd", "python3", "--env", "LANG=C.UTF-8", container)
        self._run("commit", "--quiet", "--rm", "--timestamp=0", container, name)

    def build(self, context: Path, *, name: str, arguments: Mapping[str, str]) -> None:
        """Build the Containerfile of a folder, without a look at any registry."""
        flags = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        flags += ["--isolation=chroot", "--layers=false", "--pull-never", "--timestamp=0"]
        self._run("build", *flags, f"--tag={name}", str(context))

    def save(self, name: str, archive: Path) -> None:
        """Write an image into an archive that container runtimes load."""
        self._run("push", "--quiet", name, f"docker-archive:{archive}:{name}")

    def _run(self, *arguments: str) -> str:
        return run_confined([*self._buildah, *arguments])
