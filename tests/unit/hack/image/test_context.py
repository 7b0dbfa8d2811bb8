import re
import tomllib
from pathlib import Path

import pytest

from hack.image.context import CONTAINERFILE, ROOT, copy_inputs, list_inputs, read_argument
from hack.image.errors import ImageError

CONTAINERFILE_TEXT = (ROOT / CONTAINERFILE).read_text()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "one.whl").touch()
    copy_inputs(ROOT, tmp_path / "context", wheels=tmp_path / "wheels")
    return tmp_path / "context"


def test_every_file_that_the_containerfile_copies_is_an_input(context: Path) -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE_TEXT, flags=re.MULTILINE)
    sources = [name for line in copied for name in line.split()]

    assert "operator" in sources
    assert [name for name in sources if not list(context.glob(name))] == []


def test_inputs_have_no_traces_of_this_machine(context: Path) -> None:
    assert [path for path in context.rglob("*") if "__pycache__" in path.parts or path.suffix == ".pyc"] == []


def test_what_else_changes_in_the_checkout_makes_no_new_image() -> None:
    assert {Path(name).parts[0] for name in list_inputs(ROOT)} == {
        ".containerignore",
        "Containerfile",
        "LICENSE",
        "README.md",
        "hack",
        "operator",
        "pyproject.toml",
        "requirements",
    }


def test_ignored_files_leave_all_that_the_containerfile_copies() -> None:
    kept = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}

    assert {"operator", "requirements", "wheels", "LICENSE", "README.md", "pyproject.toml", "hack/image/inside"} <= kept


def test_version_and_description_are_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert read_argument(CONTAINERFILE_TEXT, "VERSION") == project["version"]
    assert f'image.description="{project["description"]}"' in CONTAINERFILE_TEXT
    assert f'image.licenses="{project["license"]}"' in CONTAINERFILE_TEXT


def test_error_names_the_missing_line() -> None:
    with pytest.raises(ImageError, match="a line `ARG PYTHON_IMAGE=…` is missing"):
        read_argument("FROM scratch\nARG PYTHON_IMAGE\n", "PYTHON_IMAGE")


def test_image_installs_a_part_of_the_runtime_requirements_at_the_same_versions() -> None:
    runtime, image = (_read_pins(f"requirements/{name}.txt") for name in ("runtime", "image"))

    assert image < runtime
    assert {line.partition("==")[0] for line in runtime - image} >= {"kubernetes"}


def _read_pins(name: str) -> set[str]:
    return set(re.findall(r"^[a-z]\S+==\S+", (ROOT / name).read_text(), flags=re.MULTILINE))
