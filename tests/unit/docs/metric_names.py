"""What /metrics of both processes holds, with the labels of each series: what alerts and dashboards may ask for."""

import re
from collections.abc import Iterator
from functools import cache

import promql_parser
from prometheus_client import CollectorRegistry

from diem_operator.metrics import ApiMetrics, OperatorMetrics, RequestMetrics, build_registry

TARGET_LABELS = frozenset({"namespace", "pod", "job", "instance", "container", "endpoint"})
"""What a PodMonitor adds to every series."""

_LABEL_MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')


@cache
def read_series() -> dict[str, frozenset[str]]:
    """Return the labels of every series of either process, by its name."""
    series: dict[str, frozenset[str]] = {}
    for registry in (_count_once(OperatorMetrics(build_registry())), _serve_once(ApiMetrics(build_registry()))):
        for family in registry.collect():
            for sample in family.samples:
                series[sample.name] = series.get(sample.name, frozenset()) | frozenset(sample.labels)
    return series


def find_selectors(expression: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Return the name and the labels that are asked for of each selector in a PromQL expression."""
    selectors: list[promql_parser.VectorSelector] = []

    def collect(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)

    promql_parser.walk(promql_parser.parse(expression), collect)
    for selector in selectors:
        yield str(selector.name), frozenset(_LABEL_MATCHER.findall(selector.prettify()))


def find_unknown(expression: str) -> list[str]:
    """Return what no process serves: names of metrics, and labels that a metric does not have."""
    series = read_series()
    unknown = []
    for name, labels in find_selectors(expression):
        if name not in series:
            unknown.append(name)
            continue
        unknown += [f"{name}.{label}" for label in sorted(labels - series[name] - TARGET_LABELS)]
    return unknown


def _count_once(metrics: OperatorMetrics) -> CollectorRegistry:
    controller = metrics.for_controller("diemjobs")
    controller.observe_reconcile("done", 0.1)
    controller.observe_queue_wait(0.1)
    controller.read_queue_depth_from(lambda: 1.0)
    controller.read_postponed_from(lambda: 1.0)
    controller.read_stored_objects_from(lambda: 1.0, resource="diemjobs")
    metrics.observe_transition("Running")
    metrics.observe_watch_event("diemjobs", "ADDED", 1)
    metrics.observe_kubernetes_event("posted")
    return _request_once(metrics.registry, metrics.requests)


def _serve_once(metrics: ApiMetrics) -> CollectorRegistry:
    metrics.observe_answer("start", 200, 0.1)
    metrics.observe_authentication("accepted")
    metrics.read_cached_objects_from(lambda: 1.0, resource="diemjobs")
    metrics.read_waiting_requests_from(lambda: 0.0)
    return _request_once(metrics.registry, metrics.requests)


def _request_once(registry: CollectorRegistry, requests: RequestMetrics) -> CollectorRegistry:
    requests.observe("GET", "diemjobs", 200, 0.1)
    return registry
