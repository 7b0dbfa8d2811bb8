"""The parts of Kubernetes object metadata that decisions rest on."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from diem_operator.model.names import Uid

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that says its offset from UTC; one that does not cannot be compared with now, and is refused."""


class Resource(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of every type here: immutable, camelCase on the wire, defaults left out, unknown fields ignored."""


class OwnerReference(Resource, frozen=True, kw_only=True):
    """One entry of `metadata.ownerReferences`."""

    api_version: str
    kind: str
    name: str
    uid: Uid
    controller: bool = False


class ObjectMeta(Resource, frozen=True, kw_only=True):
    """`metadata` of a stored object; `resource_version` is compared only with others of the same resource."""

    name: str
    namespace: str = ""
    uid: Uid = Uid("")
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Moment | None = None
    deletion_timestamp: Moment | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        """Its resourceVersion as a number, as KEP-5504 lets one compare them; 0 where it is none."""
        text = self.resource_version
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def is_being_deleted(self) -> bool:
        """Whether the API server has accepted the object's deletion."""
        return self.deletion_timestamp is not None


class ObjectKey(Resource, frozen=True, kw_only=True, order=True):
    """Names one object of a namespaced resource."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Condition(Resource, frozen=True, kw_only=True):
    """A metav1.Condition."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: Moment | None = None
    observed_generation: int = 0


RawObject = dict[str, Any]
"""An object as the API server's JSON gives it; the only place for `Any`."""


def key_of(metadata: ObjectMeta) -> ObjectKey:
    """Return the key that names the object with this metadata."""
    return ObjectKey(namespace=metadata.namespace, name=metadata.name)
