"""How big an image is, read from its archive."""

import gzip
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_READ_BYTES = 1 << 20
_LEVEL = 6  # what registries' clients use


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The bytes of an image's layers: as they lie on a node's disk, and as they travel."""

    unpacked_bytes: int
    packed_bytes: int


def measure(archive: Path) -> Sizes:
    """Return the sizes of the image in an archive of the layout of `docker save`, whose layers are not packed."""
    with tarfile.open(archive) as opened:
        layers = [opened.getmember(name) for entry in _read_json(opened, "manifest.json") for name in entry["Layers"]]
        packed = sum(_measure_packed(opened, layer) for layer in layers)
    return Sizes(unpacked_bytes=sum(layer.size for layer in layers), packed_bytes=packed)


def _measure_packed(archive: tarfile.TarFile, layer: tarfile.TarInfo) -> int:
    content, counted = archive.extractfile(layer), _Counter()
    assert content is not None, "a layer is a file"
    with gzip.GzipFile(fileobj=counted, mode="wb", compresslevel=_LEVEL) as packer:
        while chunk := content.read(_READ_BYTES):
            packer.write(chunk)
    return counted.total


def _read_json(archive: tarfile.TarFile, name: str) -> Any:  # noqa: ANN401 - raw JSON
    content = archive.extractfile(name)
    assert content is not None, f"{name} is a file"
    return json.load(content)


class _Counter:
    """A file that only counts what is written."""

    def __init__(self) -> None:
        self.total = 0

    def write(self, data: bytes) -> int:
        self.total += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""
