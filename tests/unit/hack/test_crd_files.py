"""What crds/ promises that needs no API server; tests/integration/test_crds.py asks one."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from diem_operator.model.diemapikey import Action, DiemApiKeySpec, DiemApiKeyStatus, StatusCodes
from diem_operator.model.diemjob import DiemJobSpec, DiemJobStatus, Phase, State
from diem_operator.model.names import (
    DIEMAPIKEY_KIND,
    DIEMAPIKEY_PLURAL,
    DIEMJOB_KIND,
    DIEMJOB_PLURAL,
    GROUP,
    MAX_PARAMETER_VALUE_BYTES,
    MAX_RECENT_RUN_IDS,
    MAX_REQUESTS,
    MAX_RUN_ID_LENGTH,
    VERSION,
)

ROOT = Path(__file__).resolve().parents[3]
LAST_APPLIED_LIMIT_BYTES = 262_144


@cache
def read_crd(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "crds" / f"{name}.yaml").read_text(encoding="utf-8")))


def read_schema(name: str) -> dict[str, Any]:
    return dict(read_crd(name)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"])


DIEMJOB = read_schema("diemjob")
SPEC = DIEMJOB["spec"]["properties"]
STATUS = DIEMJOB["status"]["properties"]
APIKEY = read_schema("diemapikey")
ROOTS = {
    "diemjob.spec": DIEMJOB["spec"],
    "diemjob.status": DIEMJOB["status"],
    "diemapikey.spec": APIKEY["spec"],
    "diemapikey.status": APIKEY["status"],
}


@dataclass(frozen=True, kw_only=True)
class Field:
    path: str
    schema: dict[str, Any]
    is_required: bool

    def __str__(self) -> str:
        return self.path

    @property
    def description(self) -> str:
        return str(self.schema.get("description", ""))


def find_fields(schema: dict[str, Any], path: str) -> Iterator[Field]:
    """Yield every field below a schema, but not what is below a Job's spec."""
    for name, field in schema.get("properties", {}).items():
        yield Field(path=f"{path}.{name}", schema=field, is_required=name in schema.get("required", []))
        if path != "diemjob.spec.jobTemplate" or name != "spec":
            yield from find_fields(field, f"{path}.{name}")
    if "items" in schema:
        yield from find_fields(schema["items"], f"{path}[]")


FIELDS = [field for root, schema in ROOTS.items() for field in find_fields(schema, root)]


def for_each_field(predicate: Callable[[Field], bool]) -> pytest.MarkDecorator:
    """Run a test for each field for which the predicate holds."""
    return pytest.mark.parametrize("field", [field for field in FIELDS if predicate(field)], ids=str)


def find_wire_names(kind: object, path: str) -> Iterator[str]:
    """Yield the path of every field that our types read or write."""
    if isinstance(kind, msgspec.inspect.UnionType):
        for member in kind.types:
            yield from find_wire_names(member, path)
    if isinstance(kind, msgspec.inspect.VarTupleType):
        yield from find_wire_names(kind.item_type, f"{path}[]")
    if isinstance(kind, msgspec.inspect.StructType):
        for field in kind.fields:
            yield f"{path}.{field.encode_name}"
            yield from find_wire_names(field.type, f"{path}.{field.encode_name}")


@pytest.mark.parametrize(
    ("root", "kind"),
    [
        ("diemjob.spec", DiemJobSpec),
        ("diemjob.status", DiemJobStatus),
        ("diemapikey.spec", DiemApiKeySpec),
        ("diemapikey.status", DiemApiKeyStatus),
    ],
)
def test_schema_has_exactly_the_fields_of_our_types(root: str, kind: type) -> None:
    in_schema = {field.path for field in find_fields(ROOTS[root], root)}
    below_raw_objects = {path for path in in_schema if path.startswith("diemjob.spec.jobTemplate.metadata.")}

    assert set(find_wire_names(msgspec.inspect.type_info(kind), root)) == in_schema - below_raw_objects


@for_each_field(lambda field: True)
def test_field_is_described_in_sentences(field: Field) -> None:
    assert field.description.endswith(".")


@for_each_field(lambda field: ".spec." in field.path and not field.is_required)
def test_optional_field_of_spec_tells_its_default(field: Field) -> None:
    assert "default" in field.description.lower()


@for_each_field(lambda field: "default" in field.schema)
def test_default_of_the_schema_is_the_one_in_the_description(field: Field) -> None:
    default = field.schema["default"]
    told = str(default).lower() if isinstance(default, bool) else str(default)

    assert f"Default: {told}." in field.description


@for_each_field(lambda field: field.schema["type"] == "array")
def test_list_is_bounded_and_says_how_it_merges(field: Field) -> None:
    assert {"maxItems", "x-kubernetes-list-type"} <= field.schema.keys()


@for_each_field(lambda field: ".spec." in field.path and field.schema["type"] == "string")
def test_text_in_spec_is_bounded(field: Field) -> None:
    assert field.schema.keys() & {"maxLength", "enum", "format"}


@pytest.mark.parametrize(
    ("name", "kind", "plural", "short_name"),
    [("diemjob", DIEMJOB_KIND, DIEMJOB_PLURAL, "dj"), ("diemapikey", DIEMAPIKEY_KIND, DIEMAPIKEY_PLURAL, "dak")],
)
def test_resource_is_named_as_the_code_calls_it(name: str, kind: str, plural: str, short_name: str) -> None:
    crd = read_crd(name)

    names = crd["spec"]["names"]
    assert (crd["metadata"]["name"], crd["spec"]["group"]) == (f"{plural}.{GROUP}", GROUP)
    assert (names["kind"], names["plural"], names["shortNames"], names["categories"]) == (
        kind,
        plural,
        [short_name],
        ["diem"],
    )
    assert [version["name"] for version in crd["spec"]["versions"]] == [VERSION]


def test_bounds_are_those_of_the_code() -> None:
    assert SPEC["run"]["properties"]["id"]["maxLength"] == MAX_RUN_ID_LENGTH
    assert SPEC["requests"]["maxItems"] == MAX_REQUESTS
    assert SPEC["run"]["properties"]["parameters"]["additionalProperties"]["maxLength"] == MAX_PARAMETER_VALUE_BYTES
    # Beyond the recent ids those stay that requests and Jobs still bear; a Job stays for a minute at least.
    assert STATUS["recentRunIds"]["maxItems"] >= MAX_RECENT_RUN_IDS + MAX_REQUESTS + 1 + 60
    assert STATUS["runs"]["maxItems"] == SPEC["runHistoryLimit"]["maximum"]


def test_choices_are_those_of_the_code() -> None:
    key = APIKEY["spec"]["properties"]
    assert SPEC["state"]["enum"] == STATUS["observedState"]["enum"] == list(State)
    assert STATUS["phase"]["enum"] == STATUS["run"]["properties"]["phase"]["enum"] == list(Phase)
    assert key["actions"]["items"]["enum"] == list(Action)
    assert key["compatibility"]["properties"]["statusCodes"]["enum"] == list(StatusCodes)


def test_defaults_are_those_of_the_code() -> None:
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(DiemJobSpec)}

    assert SPEC["runHistoryLimit"]["default"] == defaults["runHistoryLimit"]
    assert SPEC["jobHistoryLimit"]["default"] == defaults["jobHistoryLimit"]


@pytest.mark.parametrize("name", ["diemjob", "diemapikey"])
def test_crd_fits_into_the_last_applied_annotation_twice(name: str) -> None:
    assert len(json.dumps(read_crd(name)).encode()) * 2 < LAST_APPLIED_LIMIT_BYTES
