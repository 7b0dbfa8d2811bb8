import copy
import re
from typing import Any

import pytest

from hack.structural_schema import UnconvertibleSchemaError, build_structural_schema, extract_definitions

QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def reference_to(name: str, **beside: str) -> dict[str, Any]:
    """Return a field as the API server writes it where it is of a named type."""
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "default": {}, **beside}


def make_document(**definitions: object) -> dict[str, Any]:
    return {"openapi": "3.0.0", "info": {"version": "1.35"}, "components": {"schemas": definitions}}


def make_list_document(*, keys: list[str], item: dict[str, Any]) -> dict[str, Any]:
    ports = {
        "type": "array",
        "items": reference_to("Item"),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": keys,
    }
    return make_document(Root={"type": "object", "properties": {"items": ports}}, Item=item)


def test_reference_is_replaced_by_what_it_names() -> None:
    document = make_document(
        Root={"type": "object", "properties": {"child": reference_to("Child")}},
        Child={"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    )

    schema = build_structural_schema(document, "Root")

    expected = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    assert schema["properties"]["child"] == expected


def test_plain_reference_in_items_is_replaced() -> None:
    document = make_document(
        Root={"type": "array", "items": {"$ref": "#/components/schemas/Child"}, "x-kubernetes-list-type": "atomic"},
        Child={"type": "string"},
    )

    schema = build_structural_schema(document, "Root")

    assert schema == {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"}


def test_description_of_a_field_wins_over_that_of_its_type() -> None:
    document = make_document(
        Root={"type": "object", "properties": {"child": reference_to("Child", description="of the field")}},
        Child={"type": "string", "description": "of the type"},
    )

    schema = build_structural_schema(document, "Root")

    assert schema["properties"]["child"]["description"] == "of the field"


def test_defaults_and_merge_keys_are_left_out() -> None:
    name = {"type": "string", "default": "", "x-kubernetes-patch-merge-key": "name"}
    document = make_document(Root={"type": "object", "properties": {"name": name}})

    schema = build_structural_schema(document, "Root")

    assert schema["properties"]["name"] == {"type": "string"}


@pytest.mark.parametrize("keyword", ["format", "enum"])
def test_what_narrows_a_value_is_kept(keyword: str) -> None:
    document = make_document(Root={"type": "string", keyword: "as it was"})

    assert build_structural_schema(document, "Root")[keyword] == "as it was"


def test_values_of_a_map_are_converted() -> None:
    document = make_document(
        Root={"type": "object", "additionalProperties": reference_to(QUANTITY)}, **{QUANTITY: {"type": "string"}}
    )

    schema = build_structural_schema(document, "Root")

    assert schema["additionalProperties"]["x-kubernetes-int-or-string"] is True


def test_port_may_be_an_integer_or_a_string() -> None:
    document = make_document(
        Root={"type": "object", "properties": {"port": reference_to(INT_OR_STRING)}},
        **{INT_OR_STRING: {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}},
    )

    schema = build_structural_schema(document, "Root")

    assert schema["properties"]["port"] == {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
    }


def find_quantity_pattern() -> str:
    document = make_document(**{QUANTITY: {"type": "string"}})
    return str(build_structural_schema(document, QUANTITY)["pattern"])


@pytest.mark.parametrize(
    "quantity", ["0", "1", "500m", "0.5", ".5", "5.", "+1", "-1", "1Gi", "128974848", "1e3", "12E-2", "1.5k", "100n"]
)
def test_quantity_is_accepted(quantity: str) -> None:
    assert re.search(find_quantity_pattern(), quantity)


@pytest.mark.parametrize("quantity", ["", ".", "1 Gi", "1gi", "1GiB", "x1", "1e", "0x10", "1m\n1", "1,5"])
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    assert not re.search(find_quantity_pattern(), quantity)


def test_list_map_key_keeps_the_default_it_has_upstream() -> None:
    item = {"type": "object", "properties": {"protocol": {"type": "string", "default": "TCP"}}}
    document = make_list_document(keys=["protocol"], item=item)

    items = build_structural_schema(document, "Root")["properties"]["items"]["items"]

    assert items == {"type": "object", "properties": {"protocol": {"type": "string", "default": "TCP"}}}


def test_list_map_key_with_an_empty_default_is_required() -> None:
    item = {"type": "object", "properties": {"name": {"type": "string", "default": ""}}}
    document = make_list_document(keys=["name"], item=item)

    items = build_structural_schema(document, "Root")["properties"]["items"]["items"]

    assert items == {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def test_list_map_key_that_is_required_upstream_is_required_once() -> None:
    item = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    document = make_list_document(keys=["name"], item=item)

    assert build_structural_schema(document, "Root")["properties"]["items"]["items"]["required"] == ["name"]


def test_list_map_stays_one() -> None:
    item = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

    schema = build_structural_schema(make_list_document(keys=["name"], item=item), "Root")["properties"]["items"]

    assert schema["x-kubernetes-list-type"] == "map"
    assert schema["x-kubernetes-list-map-keys"] == ["name"]


def test_metadata_of_a_template_is_what_templates_use() -> None:
    fields = ["annotations", "creationTimestamp", "finalizers", "labels", "managedFields", "name", "ownerReferences"]
    document = make_document(
        **{OBJECT_META: {"type": "object", "properties": {field: {"type": "string"} for field in fields}}}
    )

    schema = build_structural_schema(document, OBJECT_META)

    assert sorted(schema["properties"]) == ["annotations", "creationTimestamp", "finalizers", "labels", "name"]


def test_object_without_known_fields_keeps_what_it_holds() -> None:
    document = make_document(Root={"type": "object"})

    assert build_structural_schema(document, "Root") == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def test_unknown_keyword_is_refused_by_name_and_place() -> None:
    document = make_document(Root={"type": "string", "maxLength": 3})

    with pytest.raises(UnconvertibleSchemaError, match=r"Root uses maxLength; decide in hack/structural_schema\.py"):
        build_structural_schema(document, "Root")


def test_definition_that_contains_itself_is_refused() -> None:
    document = make_document(Root={"type": "object", "properties": {"child": reference_to("Root")}})

    with pytest.raises(UnconvertibleSchemaError, match="Root contains itself"):
        build_structural_schema(document, "Root")


def test_document_is_left_as_it_is() -> None:
    item = {"type": "object", "properties": {"name": {"type": "string", "default": ""}}}
    document = make_list_document(keys=["name"], item=item)
    before = copy.deepcopy(document)

    build_structural_schema(document, "Root")
    extract_definitions(document, "Root")

    assert document == before


def test_only_needed_definitions_are_extracted_in_order() -> None:
    document = make_document(
        Root={"properties": {"child": reference_to("Leaf")}}, Other={"type": "string"}, Leaf={"type": "string"}
    )

    extracted = extract_definitions(document, "Root")

    assert list(extracted["components"]["schemas"]) == ["Leaf", "Root"]
    assert extracted["info"] == {"version": "1.35"}


def test_definitions_that_contain_each_other_are_extracted_once() -> None:
    document = make_document(
        Root={"properties": {"child": reference_to("Child")}}, Child={"properties": {"parent": reference_to("Root")}}
    )

    assert list(extract_definitions(document, "Root")["components"]["schemas"]) == ["Child", "Root"]


def test_extracting_again_changes_nothing() -> None:
    document = make_document(Root={"properties": {"child": reference_to("Leaf")}}, Leaf={"type": "string"})
    extracted = extract_definitions(document, "Root")

    assert extract_definitions(extracted, "Root") == extracted


def test_descriptions_inside_pods_are_dropped_and_those_of_jobs_kept() -> None:
    job, pod = "io.k8s.api.batch.v1.JobSpec", "io.k8s.api.core.v1.PodSpec"
    field = {"type": "array", "description": "field", "items": {"type": "string", "description": "item"}}
    document = make_document(
        **{
            job: {"description": "job", "properties": {"pod": reference_to(pod, description="its pod")}},
            pod: {"description": "pod", "properties": {"field": field}},
        }
    )

    definitions = extract_definitions(document, job)["components"]["schemas"]

    assert definitions[job]["description"] == "job"
    assert definitions[job]["properties"]["pod"]["description"] == "its pod"
    assert definitions[pod] == {"properties": {"field": {"type": "array", "items": {"type": "string"}}}}


def test_field_named_description_is_kept() -> None:
    document = make_document(Root={"properties": {"description": {"type": "string", "description": "gone"}}})

    definitions = extract_definitions(document, "Root")["components"]["schemas"]

    assert definitions["Root"] == {"properties": {"description": {"type": "string"}}}


def test_document_of_something_else_is_refused() -> None:
    with pytest.raises(UnconvertibleSchemaError, match="has no definition Root; take /openapi/v3/apis/batch/v1"):
        extract_definitions({"paths": {}}, "Root")
