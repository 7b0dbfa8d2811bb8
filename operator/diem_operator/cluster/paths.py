"""Paths of the API server; refuses segments that could turn one request into another."""

import re
from dataclasses import dataclass
from typing import Final

from diem_operator.cluster.errors import NotFound

MAX_NAME_LENGTH: Final = 253
SEGMENT: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
"""What names of namespaces and of the kinds used here may be; no slash, no `..` alone, nothing to quote."""

RESOURCE_PATH: Final = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/[^/]+)?/(?P<plural>[^/]+)(?:/[^/]+(?:/(?P<subresource>[^/]+))?)?"
)


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One kind of resource: where its objects live.

    Attributes:
        group_path: `/api/v1` or `/apis/<group>/<version>`.
        plural: as in URLs.
    """

    group_path: str
    plural: str

    def collection(self, namespace: str | None) -> str:
        """Return the path of all objects in the namespace; None means all namespaces.

        Raises:
            NotFound: no namespace can have such a name.
        """
        if namespace is None:
            return f"{self.group_path}/{self.plural}"
        return f"{self.group_path}/namespaces/{_segment(namespace)}/{self.plural}"

    def item(self, namespace: str, name: str, *, subresource: str = "") -> str:
        """Return the path of one object, or of a subresource of it.

        Raises:
            NotFound: no object can have such a name.
        """
        suffix = f"/{subresource}" if subresource else ""
        return f"{self.collection(namespace)}/{_segment(name)}{suffix}"


def resource_of(path: str) -> str:
    """Return what kind of resource a path is about, with the subresource: `diemjobs/status`; never a name.

    Paths that are not about a resource (discovery, schemas) are all `other`.
    """
    found = RESOURCE_PATH.fullmatch(path)
    if found is None:
        return "other"
    return "/".join(part for part in found.group("plural", "subresource") if part)


def _segment(name: str) -> str:
    if len(name) > MAX_NAME_LENGTH or SEGMENT.fullmatch(name) is None:
        raise NotFound(f"{name[:MAX_NAME_LENGTH]!r} is no possible name, so nothing of that name exists")
    return name
