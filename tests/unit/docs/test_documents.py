"""What the documents show is well-formed, and what they link to is there."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "tests/reliability/README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def read_prose(path: Path) -> str:
    return BLOCK.sub("", read(path))


def list_blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(language, text, id=f"{name_of(path)}-{number}")
        for path in DOCUMENTS
        for number, (language, text) in enumerate(BLOCK.findall(read(path)), start=1)
        if language in languages
    ]


def list_links() -> list[Any]:
    return [
        pytest.param(path, target, id=f"{name_of(path)}-{target}")
        for path in DOCUMENTS
        for target in dict.fromkeys(LINK.findall(read_prose(path)))
        if "://" not in target
    ]


def build_anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and GitLab make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def list_anchors(path: Path) -> set[str]:
    return {build_anchor(heading) for heading in HEADING.findall(read_prose(path))}


@pytest.mark.parametrize(("language", "text"), list_blocks("yaml", "json"))
def test_block_is_what_it_says(language: str, text: str) -> None:
    assert list(yaml.safe_load_all(text)) if language == "yaml" else json.loads(text)


@pytest.mark.parametrize("path", [pytest.param(path, id=name_of(path)) for path in DOCUMENTS])
def test_blocks_of_code_say_what_they_are(path: Path) -> None:
    fences = re.findall(r"^```.*$", read(path), flags=re.MULTILINE)

    assert [fence for fence in fences[::2] if fence == "```"] == []
    assert [fence for fence in fences[1::2] if fence != "```"] == []


@pytest.mark.parametrize(("path", "target"), list_links())
def test_link_leads_somewhere(path: Path, target: str) -> None:
    file, _, anchor = target.partition("#")
    there = (path.parent / file).resolve() if file else path

    assert there.exists()
    assert not anchor or anchor in list_anchors(there)


@pytest.mark.parametrize("path", [pytest.param(path, id=name_of(path)) for path in DOCUMENTS])
def test_files_that_are_named_are_there(path: Path) -> None:
    named = set(re.findall(r"`((?:docs|helm|hack|tests|operator|crds)/[\w./-]+)`", read_prose(path)))

    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_tests_that_commands_run_are_there() -> None:
    named = {name for path in DOCUMENTS for name in re.findall(r"(?<=\s)tests/[\w/]+(?:\.py)?", read(path))}

    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_cases_that_commands_replay_belong_to_stories() -> None:
    named = {name for path in DOCUMENTS for name in re.findall(r"CASE='?(\w+)", read(path))}
    stories = "\n".join(map(read, (ROOT / "tests" / "reliability" / "stories").glob("*.py")))

    assert named
    assert named - set(re.findall(r"^@story\ndef (\w+)", stories, flags=re.MULTILINE)) == set()


def test_values_that_the_pages_show_are_those_of_the_chart() -> None:
    values = yaml.safe_load(read(ROOT / "helm" / "diem-operator" / "values.yaml"))
    blocks = BLOCK.findall(read(ROOT / "docs" / "install.md"))
    shown = [yaml.safe_load(text) for language, text in blocks if language == "yaml"]
    excerpts = [block for block in shown if "kind" not in block]

    assert excerpts
    assert [path for excerpt in excerpts for path in find_unknown(excerpt, values)] == []


def find_unknown(shown: dict[str, Any], values: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the paths in an excerpt of values that the chart does not have; what is free in the chart is free here."""
    unknown = []
    for key, value in shown.items():
        path = f"{prefix}{key}"
        if key not in values:
            unknown.append(path)
        elif isinstance(value, dict) and values[key]:
            unknown += find_unknown(value, values[key], f"{path}.")
    return unknown


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        pytest.param("Sizes and limits", "sizes-and-limits", id="spaces"),
        pytest.param("Reference: DiemJob", "reference-diemjob", id="colon"),
        pytest.param("`api.mode`, twice", "apimode-twice", id="code"),
    ],
)
def test_anchors_are_made_as_where_the_pages_are_read(heading: str, anchor: str) -> None:
    assert build_anchor(heading) == anchor
