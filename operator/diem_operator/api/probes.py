"""/healthz, /readyz and /metrics of the API process; open to everybody in the cluster, and telling nothing of jobs.

/healthz says that the event loop turns, so that neither overload nor an absent API server gets the container killed.
"""

from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Checks = Mapping[str, Callable[[], bool]]
"""What must hold, by the name that a failed probe tells."""


def add_probes(app: web.Application, *, ready: Checks, registry: CollectorRegistry) -> None:
    """Add the three paths."""
    app.router.add_get("/healthz", _build_probe({}))
    app.router.add_get("/readyz", _build_probe(ready))
    app.router.add_get("/metrics", _build_exposition(registry))


def _build_probe(checks: Checks) -> Handler:
    async def probe(_: web.Request) -> web.Response:
        failed = [name for name, holds in checks.items() if not holds()]
        body = {"message": f"not yet or no longer: {', '.join(failed)}" if failed else "ok"}
        return web.Response(
            status=503 if failed else 200, body=msgspec.json.encode(body), content_type="application/json"
        )

    return probe


def _build_exposition(registry: CollectorRegistry) -> Handler:
    async def expose(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return expose
