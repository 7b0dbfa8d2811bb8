import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localcluster.images import BUSYBOX_IMAGE, PAUSE_IMAGE, build_busybox, build_pause, write_archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tarfile.TarFile]:
    path = tmp_path / "images.tar"
    write_archive(path, [build_busybox(b"program", ["sh", "busybox", "ls"], "amd64"), build_pause(b"program", "amd64")])
    with tarfile.open(path) as opened:
        yield opened


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None
    return member.read()


def test_manifest_lists_every_image(archive: tarfile.TarFile) -> None:
    manifest = json.loads(_read(archive, "manifest.json"))

    assert [entry["RepoTags"] for entry in manifest] == [[BUSYBOX_IMAGE], [PAUSE_IMAGE]]


def test_files_are_named_by_their_content(archive: tarfile.TarFile) -> None:
    for entry in json.loads(_read(archive, "manifest.json")):
        for name in [entry["Config"], *entry["Layers"]]:
            assert hashlib.sha256(_read(archive, name)).hexdigest() == name.partition(".")[0]


def test_config_names_the_digest_of_its_layer(archive: tarfile.TarFile) -> None:
    for entry in json.loads(_read(archive, "manifest.json")):
        config = json.loads(_read(archive, entry["Config"]))
        digests = [f"sha256:{name.partition('.')[0]}" for name in entry["Layers"]]
        assert config["rootfs"]["diff_ids"] == digests


def test_busybox_answers_to_its_commands_and_has_a_folder_for_all(archive: tarfile.TarFile) -> None:
    entry = json.loads(_read(archive, "manifest.json"))[0]
    with tarfile.open(fileobj=io.BytesIO(_read(archive, entry["Layers"][0]))) as layer:
        members = {member.name: member for member in layer}

    assert {name: one.linkname for name, one in members.items() if one.issym()} == {
        "bin/ls": "busybox",
        "bin/sh": "busybox",
    }
    assert members["bin/busybox"].mode == 0o755
    assert members["tmp"].mode == 0o1777
    assert list(members).index("bin") < list(members).index("bin/busybox")


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "first.tar", tmp_path / "second.tar"]
    for path in paths:
        write_archive(path, [build_pause(b"program", "arm64")])

    assert paths[0].read_bytes() == paths[1].read_bytes()
