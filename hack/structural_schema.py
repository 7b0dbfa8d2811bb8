"""Turns an API server's OpenAPI v3 document into schemas that a CustomResourceDefinition may hold.

Pure: it reads and writes no files and talks to no server.

A structural schema has no references and one type per field (Kubernetes, "Specifying a structural schema"), so
references are replaced by what they name. What it could hold but must not is left out:

- defaults: OpenAPI gives every required string the default "", which would silently fill a forgotten name; and a field
  that the API server defaults in the Job anyway would make a DiemJob come back changed. The one exception are keys of
  list maps, which a CRD must default or require.
- merge keys and unions: kubectl's strategic merge patch does not exist for custom resources.
- descriptions of what is inside pods: 150 KB; with them a plain `kubectl apply` could not keep the resource in its
  last-applied annotation (262,144 bytes).
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
Definitions = dict[str, Schema]

_REFERENCE_PREFIX = "#/components/schemas/"
_DESCRIBED_PREFIX = "io.k8s.api.batch."
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

_TEMPLATE_METADATA_FIELDS = frozenset({"annotations", "creationTimestamp", "finalizers", "labels", "name"})
"""What manifests put into the metadata of a template: `creationTimestamp: null` is kubectl's habit. The API server sets
the other fields, and only on objects."""

_KEPT = frozenset({"type", "format", "enum", "required", "description"})
_KEPT_PREFIXES = ("x-kubernetes-list-", "x-kubernetes-map-")
_CONVERTED = frozenset({"allOf", "$ref", "properties", "additionalProperties", "items"})
_LEFT_OUT = frozenset({"default", "x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy", "x-kubernetes-unions"})

_NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_EITHER: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
_QUANTITY_PATTERN = rf"^[+-]?{_NUMBER}([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
"""A number with a binary, decimal or exponent suffix (Kubernetes, "Quantity")."""


class UnconvertibleSchemaError(Exception):
    """The OpenAPI document holds something that this module does not know how to say in a structural schema."""


def extract_definitions(document: Schema, root: str) -> Schema:
    """Return the part of an OpenAPI document that the definition `root` needs, itself an OpenAPI document.

    Raises:
        UnconvertibleSchemaError: the document lacks a definition that is referred to.
    """
    definitions: Definitions = document.get("components", {}).get("schemas", {})
    needed: Definitions = {}
    pending = [root]
    while pending:
        name = pending.pop()
        if name in needed:
            continue
        needed[name] = _keep_descriptions_of_jobs(_get_definition(definitions, name), name)
        pending += _find_references(needed[name])
    return {
        "openapi": document.get("openapi"),
        "info": document.get("info"),
        "components": {"schemas": dict(sorted(needed.items()))},
    }


def build_structural_schema(document: Schema, root: str) -> Schema:
    """Return the structural schema of the definition `root`; the document is left as it is.

    Raises:
        UnconvertibleSchemaError: the document holds what is not known here, or a definition that contains itself.
    """
    return _convert_definition(root, document["components"]["schemas"], parents=())


def _get_definition(definitions: Definitions, name: str) -> Schema:
    if name not in definitions:
        raise UnconvertibleSchemaError(
            f"the OpenAPI document has no definition {name}; take /openapi/v3/apis/batch/v1 of an API server"
        )
    return definitions[name]


def _keep_descriptions_of_jobs(definition: Schema, name: str) -> Schema:
    if name.startswith(_DESCRIBED_PREFIX):
        return definition
    return _drop_descriptions(definition)


def _drop_descriptions(schema: Schema) -> Schema:
    kept = {keyword: value for keyword, value in schema.items() if keyword != "description"}
    for keyword in ("items", "additionalProperties"):
        if isinstance(kept.get(keyword), dict):
            kept[keyword] = _drop_descriptions(kept[keyword])
    if "properties" in kept:
        kept["properties"] = {name: _drop_descriptions(field) for name, field in kept["properties"].items()}
    return kept


def _find_references(schema: object) -> Iterator[str]:
    """Yield the names of all definitions that a schema refers to, at any depth."""
    if isinstance(schema, list):
        for part in schema:
            yield from _find_references(part)
    if isinstance(schema, dict):
        for keyword, value in schema.items():
            if keyword == "$ref" and isinstance(value, str):
                yield value.removeprefix(_REFERENCE_PREFIX)
            else:
                yield from _find_references(value)


def _convert_definition(name: str, definitions: Definitions, parents: tuple[str, ...]) -> Schema:
    if name in parents:
        raise UnconvertibleSchemaError(f"{name} contains itself ({' > '.join(parents)}); a CRD cannot say that")
    if name == _QUANTITY:
        return {**_EITHER, "pattern": _QUANTITY_PATTERN}
    if name == _INT_OR_STRING:
        return dict(_EITHER)
    definition = _get_definition(definitions, name)
    if name == _OBJECT_META:
        definition = _narrow_to_template_metadata(definition)
    return _convert(definition, definitions, (*parents, name))


def _narrow_to_template_metadata(definition: Schema) -> Schema:
    fields = {name: field for name, field in definition["properties"].items() if name in _TEMPLATE_METADATA_FIELDS}
    return {**definition, "properties": fields}


def _convert(schema: Schema, definitions: Definitions, parents: tuple[str, ...]) -> Schema:
    _check_keywords(schema, parents)
    named = [_convert_definition(name, definitions, parents) for name in _find_own_references(schema)]
    converted: Schema = {keyword: value for part in named for keyword, value in part.items()}
    converted |= {keyword: value for keyword, value in schema.items() if _is_kept(keyword)}
    if "properties" in schema:
        converted["properties"] = {
            name: _convert(field, definitions, parents) for name, field in schema["properties"].items()
        }
    for keyword in ("additionalProperties", "items"):
        if keyword in schema:
            converted[keyword] = _convert(schema[keyword], definitions, parents)
    _settle_list_map_keys(schema, converted, definitions)
    _keep_what_an_opaque_object_holds(converted)
    return converted


def _is_kept(keyword: str) -> bool:
    return keyword in _KEPT or keyword.startswith(_KEPT_PREFIXES)


def _check_keywords(schema: Schema, parents: tuple[str, ...]) -> None:
    unknown = sorted(keyword for keyword in schema if not _is_kept(keyword) and keyword not in _CONVERTED | _LEFT_OUT)
    if unknown:
        raise UnconvertibleSchemaError(
            f"{parents[-1]} uses {', '.join(unknown)}; decide in hack/structural_schema.py whether to keep it"
        )


def _find_own_references(schema: Schema) -> list[str]:
    """Return what the schema itself stands for: OpenAPI wraps a reference in allOf to put a description beside it."""
    return list(_find_references([{"$ref": schema["$ref"]}] if "$ref" in schema else schema.get("allOf", [])))


def _settle_list_map_keys(schema: Schema, converted: Schema, definitions: Definitions) -> None:
    """Give each key of a list map the default it has upstream, or require it.

    An empty default would make two entries without the key one and the same.
    """
    items = converted.get("items", {})
    for key in schema.get("x-kubernetes-list-map-keys", []):
        default = _find_default(schema["items"], key, definitions)
        if default:
            items["properties"][key]["default"] = default
        elif key not in items.get("required", []):
            items["required"] = [*items.get("required", []), key]


def _find_default(items: Schema, key: str, definitions: Definitions) -> object:
    fields: Schema = dict(items.get("properties", {}))
    for name in _find_own_references(items):
        fields |= _get_definition(definitions, name).get("properties", {})
    return fields.get(key, {}).get("default")


def _keep_what_an_opaque_object_holds(converted: Schema) -> None:
    """Preserve objects of which OpenAPI names no field: a CRD would otherwise prune everything in them."""
    if converted.get("type") == "object" and not {"properties", "additionalProperties"} & converted.keys():
        converted["x-kubernetes-preserve-unknown-fields"] = True
