"""The difference of two JSON objects as a JSON Merge Patch (RFC 7396)."""

from diem_operator.model.metadata import RawObject


def build_merge_patch(before: RawObject, after: RawObject) -> RawObject:
    """Return the patch that turns `before` into `after`; empty where they are equal. Lists are replaced whole."""
    patch: RawObject = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            nested = build_merge_patch(old, value)
            patch |= {name: nested} if nested else {}
        elif name not in before or old != value:
            patch[name] = value
    return patch
