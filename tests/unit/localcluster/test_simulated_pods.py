"""What the stages say; how pods really live by them is seen in tests/e2e/test_localcluster.py."""

from typing import Any

import pytest

from tests.localcluster.simulated_pods import PREFIX, build_stages

STAGES = {stage["metadata"]["name"]: stage["spec"] for stage in build_stages()}


@pytest.mark.parametrize(
    ("stage", "annotation", "default_milliseconds"),
    [
        pytest.param("pod-start", "start-after", 0, id="start"),
        pytest.param("pod-end", "run-for", 1000, id="end"),
        pytest.param("pod-stop", "stop-after", 0, id="stop"),
    ],
)
def test_annotation_sets_the_delay(stage: str, annotation: str, default_milliseconds: int) -> None:
    assert STAGES[stage]["delay"] == {
        "durationMilliseconds": default_milliseconds,
        "durationFrom": {"expressionFrom": f'.metadata.annotations["{PREFIX}/{annotation}"]'},
    }


def test_pod_is_deleted_only_after_its_end() -> None:
    assert STAGES["pod-delete"]["next"] == {"delete": True}
    assert _condition("pod-delete", ".status.phase")["values"] == ["Succeeded", "Failed"]


def test_finalizers_stay_because_jobs_count_by_them() -> None:
    assert [name for name, spec in STAGES.items() if "finalizers" in spec["next"]] == []


@pytest.mark.parametrize(("stage", "operator"), [("pod-end", "DoesNotExist"), ("pod-stop", "Exists")])
def test_a_pod_ends_by_itself_or_by_deletion_never_by_both(stage: str, operator: str) -> None:
    assert _condition(stage, ".metadata.deletionTimestamp")["operator"] == operator


def _condition(stage: str, key: str) -> dict[str, Any]:
    (found,) = (one for one in STAGES[stage]["selector"]["matchExpressions"] if one["key"] == key)
    condition: dict[str, Any] = found
    return condition
