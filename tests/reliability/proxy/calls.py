"""What one of our processes asks of the API server, told by its method and path; no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

ARRIVED_LATE = "arrived after its client had gone"
"""The name of the fault of a call that the client has given up before the API server hears of it."""

WRITES = frozenset(_VERBS.values())


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request.

    Attributes:
        client: the name of the proxy it came through.
        process: the pid of the client at that time; 0 where none is known.
        index: how many calls came through this proxy before it, since its count was last begun anew.
        is_boot: the client does not serve yet.
        verb: as RBAC has it: get, list, watch, create, update, patch, delete; else empty.
        resource: such as "jobs" or "diemjobs/status"; the path itself where it is none of a resource.
    """

    client: str
    process: int = 0
    index: int
    is_boot: bool = False
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES

    @property
    def what(self) -> str:
        """Verb and resource, such as "create jobs": the same in every run of a story."""
        return f"{self.verb} {self.resource}".strip()

    def __str__(self) -> str:
        return f"{self.client}[{self.index}] {self.what} {self.name}".rstrip()


@dataclass(kw_only=True)
class Exchange:
    """A call and what became of it.

    Attributes:
        received: its place in the order of everything that proxies saw come and go.
        completed: the place of the API server's answer; None as long as there is none.
        status: the API server's code; None where it was not asked, or did not answer.
        answered: the answer's object, for writes; empty for others.
        fault: the name of the fault it met.
    """

    call: Call
    received: int
    completed: int | None = None
    status: int | None = None
    answered: dict[str, Any] = field(default_factory=dict)
    fault: str = ""

    @property
    def is_stored(self) -> bool:
        """Whether it is a write that the API server has carried out."""
        return self.call.is_write and self.status is not None and self.status < 300

    def __str__(self) -> str:
        fault = f" !{self.fault}" if self.fault else ""
        return f"{self.received}-{self.completed or '?'} {self.call} -> {self.status or 'none'}{fault}"


def describe(method: str, path: str, query: Mapping[str, str]) -> dict[str, str]:
    """Return verb, resource, namespace and name of a request by the API server's rules for paths."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        parts = parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        parts = parts[3:]
    else:
        return {"verb": method.lower(), "resource": path}
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    name = parts[1] if len(parts) > 1 else ""
    resource = "/".join([parts[0], *parts[2:]])
    return {"verb": _find_verb(method, name, query), "resource": resource, "namespace": namespace, "name": name}


def _find_verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method != "GET":
        return _VERBS.get(method, method.lower())
    if query.get("watch", "") in {"1", "true"}:
        return "watch"
    return "get" if name else "list"
