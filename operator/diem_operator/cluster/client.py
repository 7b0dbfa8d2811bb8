"""The one HTTP session with the API server: connections, credentials, time-outs.

It knows nothing about resources. Its promise is the error tree of `errors`: after a write, the caller knows whether the
request was certainly not carried out, or perhaps. Nothing is ever sent twice behind the caller's back.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from diem_operator.cluster.answers import error_of
from diem_operator.cluster.credentials import Credentials
from diem_operator.cluster.errors import RequestNotSent
from diem_operator.cluster.failures import failure_of, never_resend, safe_cause
from diem_operator.cluster.paths import resource_of

CONNECT_TIMEOUT_SECONDS: Final = 5.0
CONNECT_SHARE: Final = 0.8
"""A connection must stand within this share of a request's time: "not connected" is then told from "no answer"."""

KEEPALIVE_SECONDS: Final = 45.0
"""Less than the API server keeps an idle connection (90 s): a write should not meet one that is just being closed."""

UNACKNOWLEDGED_MILLISECONDS: Final = 15_000
"""How long the kernel goes on sending what nobody acknowledged, also after we gave up and closed the socket."""

USER_AGENT: Final = "diem-operator"

RequestObserver = Callable[[str, str, int | None, float], None]
"""Takes the method, the resource (`diemjobs/status`), the HTTP status (None without an answer) and the seconds."""

WATCH: Final = "WATCH"
"""The method of a watch, as observers are told it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request, ready to be sent."""

    method: str
    path: str
    url: URL
    body: bytes | None = None
    content_type: str = "application/json"

    @property
    def what(self) -> str:
        """The request as errors name it; without the query."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None


class ApiServer:
    """A session with one API server; made inside or outside the event loop, opened by the first request.

    Args:
        connection_limit: counts watches too; requests beyond it wait, within their time-out.
        on_request: is told of every request that ended, and of every watch when it has begun or could not.
    """

    def __init__(
        self, credentials: Credentials, *, connection_limit: int = 50, on_request: RequestObserver | None = None
    ) -> None:
        self._credentials = credentials
        self._connection_limit = connection_limit
        self._on_request = on_request
        self._open_session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_seconds: float,
    ) -> bytes:
        """Send one request and return the body of its 2xx answer.

        Args:
            method: in capitals.
            path: absolute, its segments already quoted (see `paths`).
            query: not yet quoted.
            body: encoded as JSON; None sends none.
            content_type: of the body; the API server tells kinds of patches apart by it.
            timeout_seconds: for all of it, from waiting for a connection to the answer's last byte.

        Raises:
            RequestNotSent, OutcomeUnknown, Refused: see `errors`.
        """
        data = None if body is None else msgspec.json.encode(body)
        request = Request(method=method, path=path, url=self._url(path, query), body=data, content_type=content_type)
        answer = await self._exchange(request, timeout_seconds)
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return answer.body
        raise error_of(request.what, answer.status, answer.body, retry_after=answer.retry_after)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], inactivity_seconds: float, timeout_seconds: float = 15.0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch and give its bytes as they come; the connection is closed, never reused, at the end.

        Args:
            path: as for `request`.
            query: as for `request`; the caller asks for the watch here.
            inactivity_seconds: without a byte for so long, the connection counts as lost, and what was not yet taken of
                it is not given any more.
            timeout_seconds: until the answer begins, if that is sooner.

        Raises:
            RequestNotSent, OutcomeUnknown, Refused: also from the iterator; see `errors`.
        """
        request = Request(method="GET", path=path, url=self._url(path, query))
        until_begun = min(timeout_seconds, inactivity_seconds)
        response = await self._open_stream(request, until_begun, inactivity_seconds=inactivity_seconds)
        try:
            async with aclosing(_read_chunks(request, response, inactivity_seconds)) as chunks:
                yield chunks
        finally:
            _abort(response)

    async def close(self) -> None:
        """Close all connections; later requests fail with RequestNotSent."""
        self._is_closed = True
        if self._open_session is not None:
            await self._open_session.close()

    async def _exchange(self, request: Request, timeout_seconds: float) -> Answer:
        started_at = asyncio.get_running_loop().time()
        status: int | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await self._authorized(request, timeout_seconds)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failure_of(request.what, request.url, error, timeout_seconds) from safe_cause(error)
        else:
            status = answer.status
            return answer
        finally:
            self._observe(request.method, request.path, status, started_at)

    async def _authorized(self, request: Request, timeout_seconds: float) -> Answer:
        """Send the request, and once more if only the token was too old: a 401 was certainly not carried out."""
        authorization = await self._credentials.authorization.current()
        answer = await self._send(request, authorization, timeout_seconds)
        if answer.status != HTTPStatus.UNAUTHORIZED or not await self._credentials.authorization.renew(authorization):
            return answer
        return await self._send(request, await self._credentials.authorization.current(), timeout_seconds)

    async def _send(self, request: Request, authorization: str | None, timeout_seconds: float) -> Answer:
        async with await self._start(request, authorization, _limit_time(timeout_seconds)) as response:
            body = await response.read()
        return Answer(status=response.status, body=body, retry_after=response.headers.get("Retry-After"))

    async def _open_stream(
        self, request: Request, timeout_seconds: float, *, inactivity_seconds: float
    ) -> aiohttp.ClientResponse:
        started_at = asyncio.get_running_loop().time()
        status: int | None = None
        try:
            authorization = await self._credentials.authorization.current()
            async with asyncio.timeout(timeout_seconds):
                limits = _limit_time(timeout_seconds, inactivity_seconds=inactivity_seconds)
                response = await self._start(request, authorization, limits)
                status = response.status
                if status == HTTPStatus.OK:
                    return response
                async with response:
                    body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failure_of(request.what, request.url, error, timeout_seconds) from safe_cause(error)
        finally:
            self._observe(WATCH, request.path, status, started_at)
        if response.status == HTTPStatus.UNAUTHORIZED:
            await self._credentials.authorization.renew(authorization)
        raise error_of(request.what, response.status, body, retry_after=response.headers.get("Retry-After"))

    async def _start(
        self, request: Request, authorization: str | None, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send the request and return when the answer begins; the caller limits the whole time itself."""
        is_read = request.method == "GET"
        headers = {} if authorization is None else {"Authorization": authorization}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        # The API server compresses only what is large, so asking for it costs a small answer nothing.
        headers["Accept-Encoding"] = "gzip" if is_read else "identity"
        return await self._session().request(
            request.method,
            request.url,
            data=request.body,
            headers=headers,
            timeout=limits,
            allow_redirects=False,
            proxy=self._credentials.proxy_url,
            middlewares=() if is_read else (never_resend,),
        )

    def _observe(self, method: str, path: str, status: int | None, started_at: float) -> None:
        if self._on_request is not None:
            self._on_request(method, resource_of(path), status, asyncio.get_running_loop().time() - started_at)

    def _session(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise RequestNotSent("The session with the API server is closed; this process is ending")
        if self._open_session is None:
            connector = aiohttp.TCPConnector(
                limit=self._connection_limit,
                keepalive_timeout=KEEPALIVE_SECONDS,
                ssl=self._credentials.tls.make_context(),
                socket_factory=_make_socket,
            )
            self._open_session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "User-Agent": USER_AGENT},
            )
        return self._open_session

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        return URL(f"{self._credentials.server}{path}{'?' if query else ''}{urlencode(query or {})}", encoded=True)


async def _read_chunks(
    request: Request, response: aiohttp.ClientResponse, inactivity_seconds: float
) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise failure_of(request.what, request.url, error, inactivity_seconds) from safe_cause(error)


def _abort(response: aiohttp.ClientResponse) -> None:
    """Drop a response's connection at once, with what it may still bring; nobody reads that any more."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def _limit_time(timeout_seconds: float, *, inactivity_seconds: float | None = None) -> aiohttp.ClientTimeout:
    """Limit the connecting and the silence; aiohttp rounds longer totals up to whole seconds, which a lease forbids."""
    connect = min(CONNECT_TIMEOUT_SECONDS, timeout_seconds * CONNECT_SHARE)
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=inactivity_seconds)


def _make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket that notices a dead peer, and does not deliver a write long after its time-out."""
    family, kind, protocol, *_ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MILLISECONDS)
    return made
