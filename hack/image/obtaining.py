"""The image as an archive: from the cache, or built from the real Containerfile with a base and wheels made here."""

import json
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from hack.image.base import obtain_base
from hack.image.cache import build_key, find_kept, keep
from hack.image.context import CONTAINERFILE, REQUIREMENTS, ROOT, copy_inputs, list_inputs, read_argument
from hack.image.errors import ImageError
from hack.image.sizes import Sizes, measure
from hack.image.storage import Storage
from hack.image.wheels import obtain_wheels
from tests.localcluster import system_packages
from tests.localcluster.reporting import Log

REPOSITORY = "diem/diem-operator"
_NEEDS = ("buildah", "debootstrap", "tar", "unshare")
# Where the build finds the wheels instead of an index.
_OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/build/wheels"}


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image that a container runtime can load.

    Attributes:
        archive: a file as `docker save` writes it.
        name: with its tag, as pods name it.
    """

    archive: Path
    name: str
    sizes: Sizes


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What is to be built."""

    name: str
    revision: str
    containerfile: str

    def build_key(self, root: Path) -> str:
        """Return what changes with all that decides what comes out, if the inputs are those below `root`."""
        inputs = [part for path in list_inputs(root) for part in (path, root / path)]
        own = sorted(Path(__file__).parent.glob("*.py"))
        return build_key([self.name, self.revision, platform.machine(), *inputs, *own])


def obtain_image(log: Log, *, name: str = "", revision: str = "unknown") -> BuiltImage:
    """Return the image of this checkout as it is now; a second call with the same files takes no time.

    Args:
        log: gets one-line reports of what takes long.
        name: with its tag; by default `REPOSITORY` and the version that the Containerfile names.
        revision: of the sources, for the image's label.

    Raises:
        ImageError: a step of the build failed, or this machine cannot build images.
        LocalClusterError: a program is missing here; with the command that installs it.
    """
    containerfile = (ROOT / CONTAINERFILE).read_text()
    name = name or f"{REPOSITORY}:{read_argument(containerfile, 'VERSION')}"
    order = _Order(name=name, revision=revision, containerfile=containerfile)
    folder = _find_or_build(order, log)
    sizes = Sizes(**json.loads((folder / "sizes.json").read_text()))
    return BuiltImage(archive=folder / "image.tar", name=name, sizes=sizes)


def _find_or_build(order: _Order, log: Log) -> Path:
    key = order.build_key(ROOT)
    kept = find_kept(f"image-{key}")
    if kept is not None:
        return kept
    _prepare_machine(log)
    base_name = read_argument(order.containerfile, "PYTHON_IMAGE")
    base = obtain_base(base_name, log)
    wheels = obtain_wheels([ROOT / name for name in REQUIREMENTS], log)

    def make(folder: Path) -> None:
        log(f"Building the image {order.name}")
        storage, context = Storage(folder / "storage"), folder / "context"
        storage.load(base, name=base_name)
        copy_inputs(ROOT, context, wheels=wheels)
        if order.build_key(context) != key:
            raise ImageError("Files of this checkout have changed since the build began; build again")
        storage.build(context, name=order.name, arguments=_OFFLINE | {"REVISION": order.revision})
        storage.save(order.name, folder / "image.tar")
        (folder / "sizes.json").write_text(json.dumps(asdict(measure(folder / "image.tar"))))
        for made in ("storage", "context"):
            shutil.rmtree(folder / made)

    return keep(f"image-{key}", make)


def _prepare_machine(log: Log) -> None:
    if platform.system() != "Linux" or os.geteuid() != 0:
        raise ImageError(
            "This way to build the image needs Linux and root; elsewhere give the Containerfile to an engine"
        )
    system_packages.ensure(_NEEDS, log)
