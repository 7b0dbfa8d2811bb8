from pathlib import Path

from hack.image.sizes import measure
from tests.localcluster.images import build_busybox, write_archive

CONTENT_BYTES = 1_000_000


def test_sizes_are_those_of_the_layers(tmp_path: Path) -> None:
    write_archive(tmp_path / "image.tar", [build_busybox(bytes(CONTENT_BYTES), ["sh"], "amd64")])
    sizes = measure(tmp_path / "image.tar")

    assert CONTENT_BYTES < sizes.unpacked_bytes < CONTENT_BYTES + 50_000
    assert 0 < sizes.packed_bytes < CONTENT_BYTES / 100
