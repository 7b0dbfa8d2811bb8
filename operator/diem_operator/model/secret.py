"""Kubernetes objects that hold credentials; their content never shows in a repr, and so in no log or traceback."""

from datetime import datetime

import msgspec

from diem_operator.model.metadata import ObjectMeta, Resource


class Secret(Resource, frozen=True, kw_only=True):
    """A Secret; msgspec decodes the base64 of `data`."""

    metadata: ObjectMeta
    data: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"


class IssuedToken(Resource, frozen=True, kw_only=True):
    """A token of a ServiceAccount (`status` of a TokenRequest)."""

    token: str
    expires_at: datetime = msgspec.field(name="expirationTimestamp")

    def __repr__(self) -> str:
        return f"IssuedToken(expires_at={self.expires_at})"
