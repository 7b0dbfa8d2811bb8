"""What the kubelet, load balancers and Prometheus ask either process: /healthz, /readyz and /metrics.

/healthz says only that the event loop turns and what cannot heal by itself is well, so that overload or an API server
that is away never gets a container killed. Nothing here tells of jobs or keys, but /metrics counts them: it has a port
of its own, which is not meant for callers.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

logger = logging.getLogger(__name__)

Checks = Mapping[str, Callable[[], bool]]
"""By the name that a failed probe tells."""

_SHUTDOWN_SECONDS: Final = 0.2


def add_probes(app: web.Application, *, alive: Checks, ready: Checks) -> None:
    """Add /healthz and /readyz.

    Args:
        app: gets them.
        alive: must all hold, else the container is restarted.
        ready: must all hold, else nobody waits for this replica any longer, for example a rollout.
    """
    app.router.add_get("/healthz", _build_probe(alive))
    app.router.add_get("/readyz", _build_probe(ready))


def once(holds: Callable[[], bool]) -> Callable[[], bool]:
    """Return a check that goes on to hold when it has held once; it must be asked to notice that."""
    has_held = False

    def check() -> bool:
        nonlocal has_held
        has_held = has_held or holds()
        return has_held

    return check


def build_app(*, alive: Checks, ready: Checks, registry: CollectorRegistry) -> web.Application:
    """Return an app with the probes, and with what the registry holds as /metrics."""
    app = web.Application()
    add_probes(app, alive=alive, ready=ready)
    app.router.add_get("/metrics", _build_exposition(registry))
    return app


@asynccontextmanager
async def serving(app: web.Application, *, host: str, port: int) -> AsyncIterator[None]:
    """Serve the app while the block runs; no line in the log for each probe."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        logger.info("Served probes and metrics on port %d", port)
        yield
    finally:
        await runner.cleanup()


def _build_probe(checks: Checks) -> Handler:
    async def probe(_: web.Request) -> web.Response:
        failed = [name for name, holds in checks.items() if not holds()]
        if failed:
            return web.Response(status=503, text=f"not yet or no longer: {', '.join(failed)}\n")
        return web.Response(text="ok\n")

    return probe


def _build_exposition(registry: CollectorRegistry) -> Handler:
    async def expose(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return expose
