"""What kopf watches, and how: it lists, watches and authenticates; nothing else of it is used.

That is DiemApiKeys. DiemJobs and Jobs are not among it: they change several times in each run, and kopf takes longer to
pass a change on than the operator to decide what follows from it; see `reconciler.watching`.

Its handler only passes raw objects on, on the event loop, without an await: the order of one object's versions stays
what the API server sent. It is an `on.event` handler, which stores nothing, and kopf is kept from what it would do for
others: so it never writes to the cluster, whatever stands in an object.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import kopf

from diem_operator.handlers.login import Connection
from diem_operator.metrics import WatchEventCounter
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import DIEMAPIKEY_PLURAL, GROUP, VERSION

Observer = Callable[[str | None, RawObject], None]
"""Takes the type (None for an object of a list) and the object."""

REQUEST_TIMEOUT_SECONDS: Final = 30.0
CONNECT_TIMEOUT_SECONDS: Final = 5.0
INACTIVITY_TIMEOUT_SECONDS: Final = 70.0
EXIT_SECONDS: Final = 0.5
CHUNK_SIZE: Final = 500
NO_FINALIZER: Final = "none of kopf's"
"""What kopf takes for its finalizer, and would remove: no object can have one of that name."""

LOGIN_RETRY_SECONDS: Final = 5.0

Login = Callable[[], Awaitable[Connection]]


class EndlessBackoffs:
    """Pauses between attempts of one request, in seconds; kopf gives up, and ends, when they run out.

    An API server that is away for minutes is no reason to end: a restarted container would have to wait for the
    kubelet's own backoff, and list everything again.
    """

    def __iter__(self) -> Iterator[float]:
        """Return a new series, because kopf iterates anew for each request."""
        yield from (0.5, 1.0, 2.0)
        while True:
            yield 3.0


class NoDifference(kopf.DiffBaseStorage):
    """Knows of no earlier state, and finds nothing in the present one.

    kopf's own looks for the earlier state in an annotation, which anybody may have written, before it calls a handler.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:  # noqa: ANN401 - whatever kopf passes is ignored
        """Return the nothing that later states would be compared with."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:  # noqa: ANN401 - whatever kopf passes is ignored
        """Return no earlier state."""

    def store(self, **_: Any) -> None:  # noqa: ANN401 - whatever kopf passes is ignored
        """Keep nothing."""


def build_settings() -> kopf.OperatorSettings:
    """Return kopf's settings."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NoDifference()
    settings.persistence.finalizer = NO_FINALIZER
    settings.process.ultimate_exiting_timeout = None
    settings.queueing.exit_timeout = EXIT_SECONDS
    settings.networking.request_timeout = REQUEST_TIMEOUT_SECONDS
    settings.networking.connect_timeout = CONNECT_TIMEOUT_SECONDS
    settings.networking.error_backoffs = EndlessBackoffs()
    settings.watching.inactivity_timeout = INACTIVITY_TIMEOUT_SECONDS
    settings.watching.chunk_size = CHUNK_SIZE
    return settings


def build_registry(
    observe_apikey: Observer, *, is_served: Callable[[str], bool], count: WatchEventCounter, login: Login
) -> kopf.OperatorRegistry:
    """Return handlers that pass DiemApiKeys on; kopf's global registry, which adds logins, is not used.

    Args:
        observe_apikey: is told about those that are served.
        is_served: whether objects of a namespace are passed on.
        count: is told about every DiemApiKey, whoever it is for.
        login: gives what kopf connects with.
    """
    registry = kopf.OperatorRegistry()

    # ErrorsMode.TEMPORARY: without credentials nothing works, and a task of kopf that gave up would not be noticed.
    @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.TEMPORARY, backoff=LOGIN_RETRY_SECONDS)
    async def log_in(**_: Any) -> Connection:  # noqa: ANN401 - kopf passes whatever it has
        return await login()

    # A coroutine, because kopf runs plain functions in threads. It must return nothing: a result would be patched into
    # the object's status.
    @kopf.on.event(GROUP, VERSION, DIEMAPIKEY_PLURAL, registry=registry, id=f"observe-{DIEMAPIKEY_PLURAL}")
    async def pass_on(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf passes whatever it has
        raw: RawObject = dict(event["object"])
        count(DIEMAPIKEY_PLURAL, event["type"], 1)
        if is_served(raw["metadata"].get("namespace", "")):
            observe_apikey(event["type"], raw)

    return registry
