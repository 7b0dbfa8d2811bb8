"""The smallest manifests of our resources, as people write them, and how to change a field of one."""

import copy
from typing import Any

SHA256 = "0123456789abcdef" * 4
POD = ("spec", "jobTemplate", "spec", "template", "spec")
POD_METADATA = ("spec", "jobTemplate", "spec", "template", "metadata")

FieldPath = tuple[str | int, ...]
"""The names and positions that lead to a field of a manifest."""


def make_diemjob(**spec: object) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "localhost/busybox:1"}]}
    return {
        "apiVersion": "diem.io/v1",
        "kind": "DiemJob",
        "metadata": {"name": "nightly-load"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}, **spec},
    }


def make_apikey(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "diem.io/v1",
        "kind": "DiemApiKey",
        "metadata": {"name": "etl-tool"},
        "spec": {"actions": ["status"], "jobs": ["*"], **spec},
    }


def make_adopting_apikey(**spec: object) -> dict[str, Any]:
    compatibility = {"missingAction": "status"}
    adopting = {"adoptTokenSHA256": SHA256, "expiresAt": "2031-01-01T00:00:00Z", "compatibility": compatibility}
    return make_apikey(**adopting | spec)


def with_field(manifest: dict[str, Any], path: FieldPath, value: object) -> dict[str, Any]:
    """Return a copy of the manifest with this value at this place; objects on the way are made."""
    changed = copy.deepcopy(manifest)
    place: Any = changed
    for step in path[:-1]:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    place[path[-1]] = value
    return changed
