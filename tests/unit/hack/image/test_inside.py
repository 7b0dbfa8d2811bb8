"""The last step of the build, which runs in the image; that the image works is seen in tests/e2e/test_image.py."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hack.image.inside.bill import add_components, describe, describe_python
from hack.image.inside.layout import Layout
from hack.image.inside.leftovers import drop_privileges, parse_mounts, remove_before_packages, set_times
from hack.image.inside.packages import find_owner, parse_libraries, parse_packages, read_owners

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u14
Description: GNU C Library
 Package: not a field
 .

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(
        environment=tmp_path / "venv",
        library=tmp_path / "python3.11",
        foreign=(tmp_path / "site-packages",),
        programs=(tmp_path / "bin",),
    )


def test_only_installed_packages_are_listed() -> None:
    assert [package["Package"] for package in parse_packages(STATUS)] == ["libc6"]


def test_package_is_known_by_its_url() -> None:
    component = describe(parse_packages(STATUS)[0], distribution="debian-12")

    assert component["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12"


def test_bill_keeps_what_was_on_it(tmp_path: Path) -> None:
    sbom = tmp_path / "sbom.json"
    sbom.write_text(json.dumps({"specVersion": "1.6", "components": [{"name": "kopf"}]}))
    add_components(sbom, [describe(one, distribution="debian-12") for one in parse_packages(STATUS)])
    add_components(sbom, [describe_python("3.11.7")])

    content = json.loads(sbom.read_text())
    assert [one["name"] for one in content["components"]] == ["kopf", "libc6", "python"]
    assert content["specVersion"] == "1.6"


def test_python_that_is_no_package_is_known_by_what_scanners_look_for() -> None:
    component = describe_python("3.11.7")

    assert component["purl"] == "pkg:generic/python@3.11.7"
    assert component["cpe"].split(":")[3:6] == ["python", "python", "3.11.7"]


def test_file_that_no_package_brought_has_no_owner(tmp_path: Path) -> None:
    for name in ("packaged", "built"):
        (tmp_path / name).touch()
    (tmp_path / "python3.11-minimal.list").write_text(f"{tmp_path / 'packaged'}\n")

    owners = [find_owner(tmp_path / name, tmp_path) for name in ("packaged", "built")]
    assert owners == ["python3.11-minimal", None]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        pytest.param("\tlibz.so.1 => /lib/libz.so.1 (0x00007f)\n", {"/lib/libz.so.1"}, id="found"),
        pytest.param("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n", {"/lib64/ld-linux-x86-64.so.2"}, id="loader"),
        pytest.param("\tlinux-vdso.so.1 (0x00007f)\n", set(), id="of-the-kernel"),
        pytest.param("\tlibx.so => not found\n", set(), id="missing"),
        pytest.param("\tstatically linked\n", set(), id="static"),
    ],
)
def test_libraries_are_read_from_what_ldd_prints(printed: str, expected: set[str]) -> None:
    assert parse_libraries(printed) == expected


def test_owner_is_found_through_linked_folders_but_not_through_linked_files(tmp_path: Path) -> None:
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr" / "lib" / "x.so.1.2").touch()
    (tmp_path / "usr" / "lib" / "x.so").symlink_to("x.so.1.2")
    for package, file in (("libx:amd64", "lib/x.so.1.2"), ("libx-dev", "lib/x.so"), ("gone", "lib/y.so")):
        (tmp_path / f"{package}.list").write_text(f"{tmp_path}\n{tmp_path / file}\n")

    folder = tmp_path.resolve() / "usr" / "lib"
    assert read_owners(tmp_path) == {folder / "x.so.1.2": "libx", folder / "x.so": "libx-dev"}


def test_interpreter_is_kept_with_every_link_that_leads_to_it(layout: Layout, tmp_path: Path) -> None:
    (layout.environment / "bin").mkdir(parents=True)
    (layout.environment / "bin" / "python").symlink_to("python3")
    (layout.environment / "bin" / "python3").symlink_to(tmp_path / "python3")
    (tmp_path / "python3").symlink_to("python3.11")
    (tmp_path / "python3.11").touch()

    assert [path.name for path in layout.find_interpreters()] == ["python", "python3", "python3", "python3.11"]


def test_base_images_own_packages_go_with_the_library_that_installs(layout: Layout) -> None:
    made = (layout.library / "ensurepip", layout.library / "asyncio", layout.foreign[0] / "pip", layout.programs[0])
    for folder in made:
        folder.mkdir(parents=True)
    for program in ("pip3.11", "python3.11", "python3.11-config"):
        (layout.programs[0] / program).touch()
    remove_before_packages(layout)

    assert [path.name for path in layout.library.iterdir()] == ["asyncio"]
    assert list(layout.foreign[0].iterdir()) == []
    assert [path.name for path in layout.programs[0].iterdir()] == ["python3.11"]


def test_no_program_can_become_somebody_else(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "su"
    program.parent.mkdir()
    program.touch()
    program.chmod(0o4755)
    drop_privileges(tmp_path)

    assert stat.S_IMODE(program.stat().st_mode) == 0o755


def test_files_folders_and_links_get_one_time(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("nowhere")
    set_times(tmp_path, 315532800)

    assert {os.lstat(path).st_mtime for path in tmp_path.rglob("*")} == {315532800}


def test_nobody_takes_apart_a_developers_machine() -> None:
    command = [sys.executable, "-m", "hack.image.inside", "/nowhere", "/nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "only the Containerfile may call it" in done.stderr


def test_what_is_mounted_for_the_build_is_left_alone() -> None:
    assert parse_mounts("overlay / overlay rw 0 0\nx /mnt ext4 ro 0 0\n") == {Path("/mnt")}
