"""Whether the API server serves our resources, and with every field this release writes.

An older CRD is worse than none: the API server drops the fields it does not know without a word, so that facts would be
written again and again and never be there.
"""

from typing import Final, TypeVar

import msgspec
from msgspec.inspect import Field, StructType, Type, UnionType, VarTupleType, type_info

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.errors import NotFound, UndecodableAnswer
from diem_operator.model.diemapikey import DiemApiKeySpec, DiemApiKeyStatus
from diem_operator.model.diemjob import DiemJobSpec, DiemJobStatus
from diem_operator.model.names import (
    API_VERSION,
    DIEMAPIKEY_KIND,
    DIEMAPIKEY_PLURAL,
    DIEMJOB_KIND,
    DIEMJOB_PLURAL,
    GROUP,
    VERSION,
)

TIMEOUT_SECONDS: Final = 10.0

_RESOURCES_PATH: Final = f"/apis/{API_VERSION}"
_SCHEMAS_PATH: Final = f"/openapi/v3/apis/{API_VERSION}"
_WRITTEN: Final = {
    DIEMJOB_KIND: {"spec": DiemJobSpec, "status": DiemJobStatus},
    DIEMAPIKEY_KIND: {"spec": DiemApiKeySpec, "status": DiemApiKeyStatus},
}

T = TypeVar("T")


class _Resource(msgspec.Struct, frozen=True):
    name: str


class _ResourceList(msgspec.Struct, frozen=True):
    resources: tuple[_Resource, ...] = ()


class _Schema(msgspec.Struct, frozen=True):
    properties: dict[str, "_Schema"] = {}
    items: "_Schema | None" = None


class _Components(msgspec.Struct, frozen=True):
    schemas: dict[str, _Schema] = {}


class _OpenApi(msgspec.Struct, frozen=True):
    components: _Components = _Components()


async def find_missing_resources(server: ApiServer) -> tuple[str, ...]:
    """Return those of our resources that the API server does not serve (yet).

    Raises:
        ClusterError: it could not be asked.
    """
    try:
        listed = await _read(server, _RESOURCES_PATH, _ResourceList)
    except NotFound:
        listed = _ResourceList()
    served = {resource.name for resource in listed.resources}
    return tuple(f"{plural}.{GROUP}" for plural in (DIEMJOB_PLURAL, DIEMAPIKEY_PLURAL) if plural not in served)


async def find_missing_fields(server: ApiServer) -> tuple[str, ...]:
    """Return the fields this release writes that the served CRDs do not have, as `DiemJob.status.run.id`.

    Raises:
        ClusterError: the API server could not be asked, or does not publish the schemas (yet).
    """
    schemas = (await _read(server, _SCHEMAS_PATH, _OpenApi)).components.schemas
    missing: list[str] = []
    for kind, parts in _WRITTEN.items():
        schema = schemas.get(f"{'.'.join(reversed(GROUP.split('.')))}.{VERSION}.{kind}")
        if schema is None:
            raise UndecodableAnswer(f"GET {_SCHEMAS_PATH}: there is no schema of {kind} in it; is the CRD Established?")
        for name, part in parts.items():
            missing += _compare(f"{kind}.{name}", type_info(part), schema.properties.get(name, _Schema()))
    return tuple(missing)


async def _read(server: ApiServer, path: str, kind: type[T]) -> T:
    body = await server.request("GET", path, timeout_seconds=TIMEOUT_SECONDS)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise UndecodableAnswer(f"GET {path}: the answer cannot be decoded: {error}") from error


def _compare(path: str, part: Type, schema: _Schema) -> list[str]:
    """Return the paths of all fields of `part`, at any depth, that the schema lacks."""
    match part:
        case StructType():
            return [missing for field in part.fields for missing in _compare_field(path, field, schema)]
        case UnionType():
            return [missing for member in part.types for missing in _compare(path, member, schema)]
        case VarTupleType():
            return _compare(path, part.item_type, schema.items or _Schema())
        case _:
            return []


def _compare_field(path: str, field: Field, schema: _Schema) -> list[str]:
    inner = schema.properties.get(field.encode_name)
    path = f"{path}.{field.encode_name}"
    return [path] if inner is None else _compare(path, field.type, inner)
