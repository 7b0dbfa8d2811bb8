"""JSON of objects as an API server sends them."""

from typing import Any


def diemjob(name: str = "nightly", *, version: int = 10, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "metadata": {"name": name, "namespace": "team-a", "uid": f"uid-{name}", "resourceVersion": str(version)},
        "spec": {"jobTemplate": {}} | spec,
    }


def undecodable(name: str = "nightly", *, version: int = 10) -> dict[str, Any]:
    return diemjob(name, version=version, state="hunter2")


def page(*items: dict[str, Any], version: int = 100, token: str = "") -> dict[str, Any]:
    return {"kind": "List", "metadata": {"resourceVersion": str(version), "continue": token}, "items": list(items)}


def event(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": item}


def bookmark(version: int) -> dict[str, Any]:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return event("BOOKMARK", {"kind": "DiemJob", "apiVersion": "diem.io/v1", "metadata": metadata})


def failure(code: int, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no"}
