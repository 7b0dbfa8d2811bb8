"""The listening socket: how long and how large a request may be, and what is said to those that are no HTTP.

aiohttp logs requests that it cannot parse together with pieces of their header lines, and a key is in a header line.
Hence this handler of its own: it logs the kind of the error only.
"""

import asyncio
import logging
import ssl
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from diem_operator.access.rate_limits import RateLimiter
from diem_operator.api.connections import BoundedConnection, Connections, find_max_open
from diem_operator.api.errors import Problem, ProblemKind, build_problem_response
from diem_operator.metrics import ApiMetrics, Refusal
from diem_operator.settings import ApiSettings

MAX_LINE_BYTES = 8190
MAX_HEADERS = 64
BACKLOG = 1024
HANDSHAKE_SECONDS = 10.0
LINGERING_SECONDS = 2.0
"""How long the rest of a body is read that nobody wants, so that the caller gets to see the answer."""

LOGGED_PER_SECOND = 1.0
LOGGED_AT_ONCE = 20
"""Requests that cannot be read fill a metric, not the log."""

logger = logging.getLogger(__name__)


class ConnectionHandler(BoundedConnection):
    """One connection."""

    __slots__ = ("_log_limit",)

    def __init__(self, server: web.Server, *, log_limit: RateLimiter, **settings: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(server, **settings)
        self._log_limit = log_limit

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature; it quotes the request
    ) -> web.StreamResponse:
        """Answer what did not become a request, or failed outside all middlewares; the connection is closed then."""
        if isinstance(exc, ConnectionError):
            raise exc  # the caller is gone: aiohttp then only closes the connection
        if isinstance(exc, HttpProcessingError):
            self._report_unreadable(exc)
            problem = Problem(ProblemKind.BAD_REQUEST, "this is no HTTP request, or its headers are too large")
        else:
            logger.error("Could not answer a request", exc_info=exc)
            problem = Problem(ProblemKind.INTERNAL, "something is wrong with this service", status=status)
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun already, so this connection can only be closed") from exc
        response = build_problem_response(problem, context={})
        response.force_close()
        return response

    def _report_unreadable(self, error: HttpProcessingError) -> None:
        self._connections.observe_refusal(Refusal.UNREADABLE)
        if not self._log_limit.admit("", now=self._loop.time()):
            logger.info("Refused a request that cannot be read (%s)", type(error).__name__)


async def listen(
    runner: web.AppRunner, settings: ApiSettings, *, metrics: ApiMetrics, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Accept connections for a runner that is set up; plain HTTP without a TLS context."""
    loop, server = asyncio.get_running_loop(), runner.server
    assert server is not None, "the runner is set up"
    log_limit = RateLimiter(per_second=LOGGED_PER_SECOND, burst=LOGGED_AT_ONCE)
    connections = Connections(max_open=find_max_open(settings.max_connections), observe_refusal=metrics.observe_refusal)
    metrics.read_connections_from(lambda: len(connections))

    def make_handler() -> ConnectionHandler:
        return ConnectionHandler(
            server,
            connections=connections,
            log_limit=log_limit,
            loop=loop,
            keepalive_timeout=settings.idle_timeout_seconds,
            lingering_time=LINGERING_SECONDS,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            auto_decompress=False,
            access_log=None,  # a log of requests would hold keys
            logger=logger,
        )

    return await loop.create_server(
        make_handler,
        settings.host,
        settings.port,
        backlog=BACKLOG,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else HANDSHAKE_SECONDS,
    )
