"""What Prometheus is told. Holds numbers only: no decision reads them, and nothing here knows where they come from.

Names follow the Prometheus conventions: base units, `_total` for counters. Labels have few values: a DiemJob, a run
or a key is never one. What every request looks up is kept by its labels, since `labels()` makes texts of them and takes
a lock each time.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from diem_operator.model.diemjob import Phase

OPERATOR: Final = "diem_operator"
API: Final = "diem_api"

RECONCILE_OUTCOMES: Final = ("done", "retry", "error")

NO_ANSWER: Final = "none"
"""The `code` of a request that got no HTTP status."""


class Refusal(StrEnum):
    """What the API protects itself from, and one caller from another."""

    FAILED_KEYS = "failed-keys"
    REQUESTS = "requests"
    QUEUE_FULL = "queue-full"
    QUEUE_TIME = "queue-time"
    CONNECTIONS = "connections"
    UNREADABLE = "unreadable"
    UNREAD = "unread"


WatchEventCounter = Callable[[str, str | None, int], None]
"""Takes the resource, the type of what a watch told (None for objects of a list), and how many objects."""


_REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RECONCILE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WAIT_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)


def build_registry() -> CollectorRegistry:
    """Return a registry that already tells about the process, its interpreter and its garbage."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class RequestMetrics:
    """Requests to the Kubernetes API server, of either process."""

    def __init__(self, registry: CollectorRegistry, *, process: str) -> None:
        requests = Counter(
            "kubernetes_requests",
            "Requests to the Kubernetes API server by HTTP method or WATCH, resource and status code.",
            ("method", "resource", "code"),
            namespace=process,
            registry=registry,
        )
        seconds = Histogram(
            "kubernetes_request_duration_seconds",
            "Time until the Kubernetes API server's answer was read, or its watch began.",
            ("method", "resource"),
            namespace=process,
            registry=registry,
            buckets=_REQUEST_BUCKETS,
        )
        self._requests = cache(requests.labels)
        self._seconds = cache(seconds.labels)

    def observe(self, method: str, resource: str, status: int | None, seconds: float) -> None:
        """Count one request; its signature is that of the client's observer.

        Args:
            method: the HTTP method; WATCH for a watch that began or could not.
            resource: the plural, with the subresource if any: `diemjobs/status`.
            status: the HTTP status; None when no answer came.
            seconds: how long it took.
        """
        code = NO_ANSWER if status is None else str(status)
        self._requests(method, resource, code).inc()
        self._seconds(method, resource).observe(seconds)


class ControllerMetrics:
    """One controller's queue and reconciles; `controller` is the plural of what it works on."""

    def __init__(self, metrics: "OperatorMetrics", controller: str) -> None:
        self._metrics = metrics
        self._controller = controller
        self._reconciles = {outcome: metrics.reconciles.labels(controller, outcome) for outcome in RECONCILE_OUTCOMES}
        self._reconcile_seconds = metrics.reconcile_seconds.labels(controller)
        self._queue_wait_seconds = metrics.queue_wait_seconds.labels(controller)

    def observe_reconcile(self, outcome: str, seconds: float) -> None:
        """Count one reconcile; `outcome` is one of RECONCILE_OUTCOMES."""
        self._reconciles[outcome].inc()
        self._reconcile_seconds.observe(seconds)

    def observe_queue_wait(self, seconds: float) -> None:
        """Record how long a due key waited for a worker."""
        self._queue_wait_seconds.observe(seconds)

    def read_queue_depth_from(self, count: Callable[[], float]) -> None:
        """Ask `count` for the number of due keys whenever Prometheus asks us."""
        self._metrics.queue_depth.labels(self._controller).set_function(count)

    def read_postponed_from(self, count: Callable[[], float]) -> None:
        """Ask `count` for the number of postponed keys whenever Prometheus asks us."""
        self._metrics.queue_postponed.labels(self._controller).set_function(count)

    def read_stored_objects_from(self, count: Callable[[], float], *, resource: str) -> None:
        """Ask `count` for the number of cached objects whenever Prometheus asks us."""
        self._metrics.stored_objects.labels(resource).set_function(count)


class OperatorMetrics:
    """Everything the operator counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = RequestMetrics(registry, process=OPERATOR)
        self.reconciles = self._counter(
            "reconciles", "Reconciles by controller and outcome.", ("controller", "outcome")
        )
        self.reconcile_seconds = self._histogram(
            "reconcile_duration_seconds", "Time of one reconcile.", ("controller",), _RECONCILE_BUCKETS
        )
        self.queue_wait_seconds = self._histogram(
            "queue_wait_seconds", "Time a due key waited for a worker.", ("controller",), _WAIT_BUCKETS
        )
        self.queue_depth = self._gauge(
            "queue_depth", "Due keys that wait for a worker, without postponed ones.", ("controller",)
        )
        self.queue_postponed = self._gauge(
            "queue_postponed", "Keys that wait for a worker with nothing but status and tidying up.", ("controller",)
        )
        self.stored_objects = self._gauge("stored_objects", "Objects in the watch cache.", ("resource",))
        watch_events = self._counter("watch_events", "Objects received from lists and watches.", ("resource", "type"))
        self._watch_events = cache(watch_events.labels)
        self.run_transitions = self._counter("run_transitions", "Runs that entered a phase.", ("phase",))
        self.live_runs = self._gauge("live_runs", "Runs that are not over.")
        self.leader = self._gauge("leader", "Whether this replica is the one that writes (1) or stands by (0).")
        self.events = self._counter("kubernetes_events", "Kubernetes Events by what became of them.", ("outcome",))

        # A counter that appears with its first event hides that event from rate() and increase().
        for phase in Phase:
            self.run_transitions.labels(phase)

    def for_controller(self, controller: str) -> ControllerMetrics:
        """Return what one controller may touch."""
        return ControllerMetrics(self, controller)

    def observe_transition(self, phase: str) -> None:
        """Count a run that entered a phase."""
        self.run_transitions.labels(phase).inc()

    def observe_watch_event(self, resource: str, event_type: str | None, count: int) -> None:
        """Count so many objects from a watch; those of a list have no type."""
        self._watch_events(resource, event_type or "LISTED").inc(count)

    def observe_kubernetes_event(self, outcome: str) -> None:
        """Count what became of a Kubernetes Event."""
        self.events.labels(outcome).inc()

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, namespace=OPERATOR, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, namespace=OPERATOR, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, labels, namespace=OPERATOR, registry=self.registry, buckets=buckets)


class ApiMetrics:
    """Everything the API counts; an `action` is status, start, stop, or NO_ACTION where none was understood."""

    NO_ACTION: Final = "none"

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = RequestMetrics(registry, process=API)
        answers = Counter(
            "requests", "Answers by action and HTTP status.", ("action", "code"), namespace=API, registry=registry
        )
        seconds = Histogram(
            "request_duration_seconds",
            "Time until the answer, including what the caller wanted to wait.",
            ("action",),
            namespace=API,
            registry=registry,
            buckets=(*_REQUEST_BUCKETS, 60.0),
        )
        authentications = Counter(
            "authentications", "Keys that were shown, by verdict.", ("verdict",), namespace=API, registry=registry
        )
        self._answers = cache(answers.labels)
        self._seconds = cache(seconds.labels)
        self._authentications = cache(authentications.labels)
        self._cached = Gauge(
            "cached_objects", "Objects in the watch cache.", ("resource",), namespace=API, registry=registry
        )
        self._waiting = Gauge(
            "waiting_requests", "Requests that wait for a job to change.", namespace=API, registry=registry
        )

        self._refusals = Counter(
            "refusals",
            "Requests and connections that were refused or closed to protect others, by kind.",
            ("kind",),
            namespace=API,
            registry=registry,
        )
        self._queued = Gauge(
            "queued_operations", "Reads and writes that wait for their turn.", namespace=API, registry=registry
        )
        self._connections = Gauge("connections", "Connections of callers.", namespace=API, registry=registry)

        # A counter that appears with its first event hides that event from rate() and increase().
        for kind in Refusal:
            self._refusals.labels(kind)

    def observe_answer(self, action: str | None, status: int, seconds: float) -> None:
        """Count one answer."""
        label = action or self.NO_ACTION
        self._answers(label, str(status)).inc()
        self._seconds(label).observe(seconds)

    def observe_authentication(self, verdict: str) -> None:
        """Count one key that was shown, or was missing."""
        self._authentications(verdict).inc()

    def observe_refusal(self, kind: Refusal) -> None:
        """Count a request that was refused, or a connection that was closed."""
        self._refusals.labels(kind).inc()

    def read_queued_operations_from(self, count: Callable[[], float]) -> None:
        """Ask `count` for the number of operations that wait whenever Prometheus asks us."""
        self._queued.set_function(count)

    def read_connections_from(self, count: Callable[[], float]) -> None:
        """Ask `count` for the number of connections whenever Prometheus asks us."""
        self._connections.set_function(count)

    def read_cached_objects_from(self, count: Callable[[], float], *, resource: str) -> None:
        """Ask `count` for the number of cached objects whenever Prometheus asks us."""
        self._cached.labels(resource).set_function(count)

    def read_waiting_requests_from(self, count: Callable[[], float]) -> None:
        """Ask `count` for the number of requests that wait whenever Prometheus asks us."""
        self._waiting.set_function(count)
