import json
from pathlib import Path
from typing import Any

import pytest

from hack import generate_crds
from hack.generate_crds import expand, main, merge
from hack.generated_files import find_differences

OPENAPI: dict[str, Any] = {
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "properties": {"kept": {"type": "string"}, "unwanted": {"type": "string"}},
            }
        }
    }
}


def test_crds_are_what_their_sources_say() -> None:
    assert main(["--check"]) == 0


def test_check_tells_which_file_differs_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_crds, "_CRDS", generate_crds._ROOT / "crds-that-do-not-exist")  # noqa: SLF001 - the only place to send it elsewhere

    assert main(["--check"]) == 1

    printed = capsys.readouterr()
    assert "differs: crds-that-do-not-exist/diemjob.yaml" in printed.out
    assert "Run `python -m hack.generate_crds`" in printed.err


def test_schema_of_jobs_can_come_from_a_saved_document(capsys: pytest.CaptureFixture[str]) -> None:
    saved = generate_crds._OPENAPI  # noqa: SLF001 - the one document at hand

    assert main(["--check", "--openapi", str(saved)]) == 0
    assert capsys.readouterr().out == ""


def reverse_order(node: object) -> object:
    if isinstance(node, dict):
        return {key: reverse_order(value) for key, value in reversed(node.items())}
    return node


def test_order_in_which_an_api_server_lists_fields_does_not_matter(tmp_path: Path) -> None:
    document = json.loads(generate_crds._OPENAPI.read_text())  # noqa: SLF001 - the one document at hand
    saved = tmp_path / "openapi.json"
    saved.write_text(json.dumps(reverse_order(document)))

    assert main(["--check", "--openapi", str(saved)]) == 0


def test_changed_schema_of_jobs_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(generate_crds._OPENAPI.read_text())  # noqa: SLF001 - the one document at hand
    definitions = document["components"]["schemas"]
    definitions["io.k8s.api.batch.v1.JobSpec"]["properties"]["novelty"] = {"type": "string"}
    saved = tmp_path / "openapi.json"
    saved.write_text(json.dumps(document))

    assert main(["--check", "--openapi", str(saved)]) == 1

    printed = capsys.readouterr().out
    assert "differs: hack/crd_sources/batch_v1.json" in printed
    assert "differs: crds/diemjob.yaml" in printed
    assert "diemapikey" not in printed


def test_document_of_something_else_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "openapi.json"
    saved.write_text(json.dumps({"paths": {}}))

    assert main(["--openapi", str(saved)]) == 2

    assert "Nothing was written: the OpenAPI document has no definition" in capsys.readouterr().err


def test_missing_and_changed_files_are_found(tmp_path: Path) -> None:
    same, changed, missing = tmp_path / "same", tmp_path / "changed", tmp_path / "missing"
    same.write_text("text")
    changed.write_text("other text")

    assert find_differences(dict.fromkeys([same, changed, missing], "text")) == [changed, missing]


def test_marker_is_replaced_and_what_stands_beside_it_merged_over() -> None:
    source = {
        "fields": [
            {
                "x-generated-from": "Thing",
                "description": "ours",
                "properties": {"unwanted": None, "kept": {"maxLength": 3}},
            }
        ]
    }

    expected = {
        "type": "object",
        "description": "ours",
        "properties": {"kept": {"type": "string", "maxLength": 3}},
    }
    assert expand(source, OPENAPI) == {"fields": [expected]}


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        pytest.param({"a": "b"}, {"a": "c"}, {"a": "c"}, id="replaces"),
        pytest.param({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}, id="adds"),
        pytest.param({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}, id="removes"),
        pytest.param({"a": ["b"]}, {"a": ["c"]}, {"a": ["c"]}, id="replaces lists as a whole"),
        pytest.param({"a": {"b": "c"}}, {"a": {"d": "e", "b": None}}, {"a": {"d": "e"}}, id="merges objects"),
        pytest.param({"a": "b"}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}, id="replaces what is no object"),
        pytest.param({}, {"a": None}, {}, id="removes what is absent"),
    ],
)
def test_merge_patch(target: object, patch: object, expected: object) -> None:
    assert merge(target, patch) == expected


def test_merge_leaves_its_arguments_as_they_are() -> None:
    target = {"a": {"b": "c"}}

    merge(target, {"a": {"b": "d"}})

    assert target == {"a": {"b": "c"}}
