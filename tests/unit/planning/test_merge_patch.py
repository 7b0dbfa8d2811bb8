"""Merge patches: whatever the two objects, applying the patch to the first gives the second."""

from hypothesis import given
from hypothesis import strategies as st

from diem_operator.model.metadata import RawObject
from diem_operator.planning.merge_patch import build_merge_patch
from tests.simulation.api_server import merge

scalars = st.integers(0, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2)
keys = st.sampled_from(["a", "b", "c"])
objects = st.dictionaries(keys, st.recursive(scalars, lambda inner: st.dictionaries(keys, inner, max_size=3)))


@given(before=objects, after=objects)
def test_patch_turns_one_object_into_the_other(before: RawObject, after: RawObject) -> None:
    assert merge(before, build_merge_patch(before, after)) == after


@given(value=objects)
def test_patch_between_equals_is_empty(value: RawObject) -> None:
    assert build_merge_patch(value, value) == {}


def test_patch_names_only_what_changes() -> None:
    before = {"same": 1, "gone": 1, "list": [1, 2], "deep": {"same": 1, "changed": 1}}
    after = {"same": 1, "list": [1], "deep": {"same": 1, "changed": 2}, "new": {"a": 1}}

    patch = {"gone": None, "list": [1], "deep": {"changed": 2}, "new": {"a": 1}}
    assert build_merge_patch(before, after) == patch
