"""Serves the API until the process is to end, and ends so that no caller notices.

cancelled ─► not ready, waiting callers answered ─► drain: still serving ─► socket closed ─► requests in flight ─► end
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from diem_operator.api.app import KNOWLEDGE, METRICS, WATCHING
from diem_operator.api.certificate import ServerCertificate
from diem_operator.api.listener import listen
from diem_operator.settings import ApiSettings, CertificateSettings

logger = logging.getLogger(__name__)


class WatchesEnded(Exception):  # noqa: N818 - it is what happened
    """The watches of the cluster ended by themselves, so what is known gets old."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A listening API.

    Attributes:
        port: the one it listens on, also where any free one was asked for.
        watching: ends only by an error.
    """

    port: int
    watching: asyncio.Task[None]


async def serve(app: web.Application, settings: ApiSettings) -> None:
    """Serve until cancelled.

    Raises:
        CertificateError: there is no usable certificate.
        WatchesEnded: only a new process is known to be whole again.
    """
    async with serving(app, settings) as served:
        logger.info("Listened for requests on port %d", served.port)
        await asyncio.wait({served.watching})
        error = None if served.watching.cancelled() else served.watching.exception()
        raise WatchesEnded("The watches of the cluster ended, so this process does too") from error


@asynccontextmanager
async def serving(app: web.Application, settings: ApiSettings) -> AsyncIterator[Served]:
    """Serve while the block runs; at its end, let load balancers notice before the socket is closed."""
    runner = web.AppRunner(app, shutdown_timeout=settings.shutdown_seconds)
    async with _followed_certificate(settings.certificate) as tls:
        await runner.setup()
        try:
            listener = await listen(runner, settings, metrics=app[METRICS], tls=tls)
            try:
                yield Served(port=listener.sockets[0].getsockname()[1], watching=app[WATCHING])
            finally:
                app[KNOWLEDGE].end()
                await asyncio.sleep(settings.drain_seconds)
                listener.close()
        finally:
            await runner.cleanup()


@asynccontextmanager
async def _followed_certificate(settings: CertificateSettings | None) -> AsyncIterator[ssl.SSLContext | None]:
    """Give what connections are encrypted with, kept up to date while the block runs; None for plain HTTP."""
    if settings is None:
        yield None
        return
    certificate = ServerCertificate(settings.certificate_file, settings.key_file)
    following = asyncio.create_task(certificate.follow(), name="certificate")
    try:
        yield certificate.make_context()
    finally:
        following.cancel()
        await asyncio.wait({following})
