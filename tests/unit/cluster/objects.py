"""JSON of objects as an API server sends them."""

from diem_operator.model.metadata import RawObject


def diemjob(name: str = "nightly", *, version: int = 10, **spec: object) -> RawObject:
    return {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "metadata": {"name": name, "namespace": "team-a", "uid": f"uid-{name}", "resourceVersion": str(version)},
        "spec": {"jobTemplate": {}} | spec,
    }


def undecodable(name: str = "nightly", *, version: int = 10) -> RawObject:
    return diemjob(name, version=version, state="hunter2")


def page(*items: RawObject, version: int = 100, token: str = "") -> RawObject:
    return {"kind": "List", "metadata": {"resourceVersion": str(version), "continue": token}, "items": list(items)}


def event(kind: str, item: RawObject) -> RawObject:
    return {"type": kind, "object": item}


def bookmark(version: int) -> RawObject:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return event("BOOKMARK", {"kind": "DiemJob", "apiVersion": "diem.io/v1", "metadata": metadata})


def failure(code: int, reason: str) -> RawObject:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no"}
