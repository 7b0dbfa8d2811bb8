"""What Prometheus is told is what happened, under names that follow its conventions."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from diem_operator.metrics import API, OPERATOR, RECONCILE_OUTCOMES, OperatorMetrics, RequestMetrics, build_registry
from diem_operator.model.diemjob import Phase


@pytest.fixture
def metrics() -> OperatorMetrics:
    return OperatorMetrics(CollectorRegistry())


def read(metrics: OperatorMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_requests_are_counted_by_their_answer(metrics: OperatorMetrics) -> None:
    metrics.requests.observe("PATCH", "diemjobs/status", 200, 0.02)
    metrics.requests.observe("PATCH", "diemjobs/status", 409, 0.02)
    metrics.requests.observe("PATCH", "diemjobs/status", None, 10.0)
    labels = {"method": "PATCH", "resource": "diemjobs/status"}
    name = "diem_operator_kubernetes_requests_total"
    assert [read(metrics, name, **labels, code=code) for code in ("200", "409", "none")] == [1, 1, 1]
    assert read(metrics, "diem_operator_kubernetes_request_duration_seconds_sum", **labels) == pytest.approx(10.04)


def test_reconciles_are_counted_by_outcome(metrics: OperatorMetrics) -> None:
    controller = metrics.for_controller("diemjobs")
    controller.observe_reconcile("done", 0.5)
    controller.observe_reconcile("error", 1.5)
    assert read(metrics, "diem_operator_reconciles_total", controller="diemjobs", outcome="done") == 1
    assert read(metrics, "diem_operator_reconciles_total", controller="diemjobs", outcome="error") == 1
    assert read(metrics, "diem_operator_reconcile_duration_seconds_sum", controller="diemjobs") == 2


def test_counters_are_there_before_what_they_count(metrics: OperatorMetrics) -> None:
    metrics.for_controller("diemjobs")
    assert [read(metrics, "diem_operator_run_transitions_total", phase=phase) for phase in Phase] == [0] * len(Phase)
    reconciles = "diem_operator_reconciles_total"
    assert [read(metrics, reconciles, controller="diemjobs", outcome=one) for one in RECONCILE_OUTCOMES] == [0, 0, 0]


def test_depth_and_stored_objects_are_read_when_asked_for(metrics: OperatorMetrics) -> None:
    waiting: list[str] = []
    controller = metrics.for_controller("diemjobs")
    controller.read_queue_depth_from(lambda: len(waiting))
    controller.read_postponed_from(lambda: 2 * len(waiting))
    controller.read_stored_objects_from(lambda: 10 * len(waiting), resource="jobs")
    waiting += ["a", "b"]
    assert read(metrics, "diem_operator_queue_depth", controller="diemjobs") == 2
    assert read(metrics, "diem_operator_queue_postponed", controller="diemjobs") == 4
    assert read(metrics, "diem_operator_stored_objects", resource="jobs") == 20


def test_waits_transitions_and_events_are_counted(metrics: OperatorMetrics) -> None:
    metrics.for_controller("diemjobs").observe_queue_wait(0.25)
    metrics.observe_transition("Running")
    metrics.observe_kubernetes_event("posted")
    metrics.observe_watch_event("jobs", None, 1)
    metrics.observe_watch_event("jobs", "DELETED", 1)
    assert read(metrics, "diem_operator_queue_wait_seconds_sum", controller="diemjobs") == 0.25
    assert read(metrics, "diem_operator_run_transitions_total", phase="Running") == 1
    assert read(metrics, "diem_operator_kubernetes_events_total", outcome="posted") == 1
    assert read(metrics, "diem_operator_watch_events_total", resource="jobs", type="LISTED") == 1
    assert read(metrics, "diem_operator_watch_events_total", resource="jobs", type="DELETED") == 1


def test_both_processes_count_requests_under_their_own_name() -> None:
    registry = CollectorRegistry()
    for process in (OPERATOR, API):
        RequestMetrics(registry, process=process).observe("GET", "diemjobs", 200, 0.1)
    exposed = generate_latest(registry).decode()
    assert "diem_operator_kubernetes_requests_total{" in exposed
    assert "diem_api_kubernetes_requests_total{" in exposed


def test_names_follow_the_conventions() -> None:
    registry = build_registry()
    OperatorMetrics(registry)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    ours = [family for family in families if re.match("diem_.*(?<!_created)$", family.name)]
    assert len(ours) == 13
    for family in ours:
        assert family.documentation.endswith(".")
        assert re.fullmatch(r"diem_operator_[a-z_]+", family.name)
        assert not re.search(r"_(count|ms|millis\w*|minutes)$", family.name)


def test_process_tells_about_itself() -> None:
    exposed = generate_latest(build_registry()).decode()
    assert "process_resident_memory_bytes" in exposed
    assert "python_gc_collections_total" in exposed
