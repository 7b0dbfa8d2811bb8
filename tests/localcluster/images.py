"""Container images made without any image tool or registry: archives in the layout of `docker save`.

An archive is written from a description and a few files; the same input gives the same bytes. Loading is not done here.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BUSYBOX_IMAGE = "localhost/diem/busybox:local"
PAUSE_IMAGE = "localhost/diem/pause:local"

_STICKY_FOR_ALL = 0o1777
_LONG_SECONDS = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of one layer.

    Attributes:
        name: with its tag.
        processor: as Go names it: `amd64`.
        files: content by path, all executable: there is nothing here but programs and readable files.
        links: target by path.
        folders: empty folders that anybody may write to.
        command: what runs when the pod does not say.
    """

    name: str
    processor: str
    files: Mapping[str, bytes]
    command: Sequence[str]
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[str] = ()


def build_busybox(program: bytes, commands: Iterable[str], processor: str) -> Image:
    """Return an image with a shell and the usual commands.

    Args:
        program: a static busybox.
        commands: the names it answers to.
    """
    return Image(
        name=BUSYBOX_IMAGE,
        processor=processor,
        files={
            "bin/busybox": program,
            "etc/passwd": b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
            "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
        },
        links={f"bin/{name}": "busybox" for name in commands if name != "busybox"},
        folders=["tmp"],
        command=["sh"],
    )


def build_pause(program: bytes, processor: str) -> Image:
    """Return the image that holds a pod's namespaces: it only sleeps.

    Args:
        program: a static busybox.
    """
    command = ["/bin/busybox", "sleep", str(_LONG_SECONDS)]
    return Image(name=PAUSE_IMAGE, processor=processor, files={"bin/busybox": program}, command=command)


def write_archive(path: Path, images: Sequence[Image]) -> None:
    """Write images into one archive."""
    manifest = []
    with tarfile.open(path, "w") as archive:
        for image in images:
            layer = _build_layer(image)
            config = json.dumps(_build_config(image, layer)).encode()
            entry = {"Config": f"{_digest(config)}.json", "RepoTags": [image.name], "Layers": [f"{_digest(layer)}.tar"]}
            _add_file(archive, entry["Layers"][0], layer)
            _add_file(archive, str(entry["Config"]), config)
            manifest.append(entry)
        _add_file(archive, "manifest.json", json.dumps(manifest).encode())


def _build_layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for folder in _find_folders(image):
            _add_folder(layer, folder, _STICKY_FOR_ALL if folder in image.folders else 0o755)
        for path, content in sorted(image.files.items()):
            _add_file(layer, path, content)
        for path, target in sorted(image.links.items()):
            _add_link(layer, path, target)
    return buffer.getvalue()


def _find_folders(image: Image) -> list[str]:
    """Return all folders, parents first."""
    parents = {str(parent) for path in (*image.files, *image.links) for parent in Path(path).parents}
    return sorted((parents | set(image.folders)) - {"."})


def _build_config(image: Image, layer: bytes) -> dict[str, Any]:
    return {
        "architecture": image.processor,
        "os": "linux",
        "config": {"Cmd": list(image.command), "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
        "history": [{"created_by": "localcluster"}],
    }


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _add_folder(archive: tarfile.TarFile, path: str, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _add_file(archive: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), 0o755
    archive.addfile(entry, io.BytesIO(content))


def _add_link(archive: tarfile.TarFile, path: str, target: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)
