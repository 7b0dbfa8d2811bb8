"""One proxy: takes calls over TLS, lets rules decide, and passes on what is to be passed on."""

import asyncio
import contextlib
import itertools
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from yarl import URL

from tests.reliability.proxy.calls import Call, Exchange, describe
from tests.reliability.proxy.forwarding import Answer, Forwarding, Lines, Outgoing, Reset, Silence, Stream
from tests.reliability.proxy.rules import Rules

MAX_BODY_BYTES = 64 * 1024 * 1024
_SILENT = logging.getLogger("tests.proxy")
_SILENT.disabled = True  # aiohttp complains of connections that break, which is what they are for

LOOK_SECONDS = 0.05
"""Between two looks whether a client that waits is still there."""

BREAK_SECONDS = 10 * LOOK_SECONDS
"""How long a network has to be broken for every watch to have noticed."""

_NOT_PASSED_ON = {"host", "connection", "content-length", "transfer-encoding", "keep-alive"}


@dataclass(kw_only=True)
class Upstream:
    """The API server, as all proxies reach it."""

    server: str
    session: aiohttp.ClientSession


@dataclass
class FaultProxy:
    """A proxy for one client.

    Attributes:
        client: its name in records.
        port: where it listens, on 127.0.0.1.
        rules: what goes wrong; nothing at first.
        process: the client's pid, set by whoever starts it.
        is_cut: the network is gone: open connections are broken, new calls too, until it is mended.
    """

    client: str
    upstream: Upstream
    journal: list[Exchange]
    order: "itertools.count[int]"
    rules: Rules = field(default_factory=Rules)
    port: int = 0
    process: int = 0
    is_cut: bool = False
    is_booting: bool = True
    _count: int = 0

    def begin_count(self) -> None:
        """Give the next call the index 0: the client serves."""
        self._count = 0
        self.is_booting = False

    @property
    def exchanges(self) -> list[Exchange]:
        """All that came through, in order."""
        return [exchange for exchange in self.journal if exchange.call.client == self.client]

    def cut(self) -> None:
        """Break the network between this client and the API server."""
        self.is_cut = True

    def mend(self) -> None:
        self.is_cut = False

    def break_connections(self) -> None:
        """Break every watch, and every call that is under way; others may be made at once."""
        self.cut()
        time.sleep(BREAK_SECONDS)
        self.mend()

    async def serve(self, ssl_context: ssl.SSLContext) -> web.ServerRunner:
        """Listen on a free port."""
        runner = web.ServerRunner(web.Server(self._handle, logger=_SILENT), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=ssl_context)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = await self._read(request)
        exchange = Exchange(call=call, received=next(self.order))
        self.journal.append(exchange)
        fault = self.rules.find(call)
        exchange.fault = "" if fault is None else str(fault)
        way = self._way_of(exchange, request)
        forwarding = Forwarding(call, way)
        if self.is_cut:
            outgoing: Outgoing = Reset()
        else:
            try:
                outgoing = await (forwarding.ask() if fault is None else fault.handle(forwarding))
            except (aiohttp.ClientError, OSError):
                outgoing = Reset()
        return await self._reply(request, Reset() if self.is_cut else outgoing)

    async def _read(self, request: web.BaseRequest) -> Call:
        url = URL(request.raw_path, encoded=True)
        index, self._count = self._count, self._count + 1
        query = dict(url.query)
        return Call(
            client=self.client,
            process=self.process,
            index=index,
            is_boot=self.is_booting,
            method=request.method,
            path=url.raw_path,
            query=query,
            body=await request.read(),
            **describe(request.method, url.path, query),
        )

    def _way_of(
        self, exchange: Exchange, request: web.BaseRequest
    ) -> Callable[[Call], "asyncio.Future[Answer | Stream]"]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}

        def send(call: Call) -> "asyncio.Future[Answer | Stream]":
            # A task of its own: what was passed on is carried out, whatever becomes of the client.
            return asyncio.ensure_future(self._send(exchange, call, headers))

        return send

    async def _send(self, exchange: Exchange, call: Call, headers: dict[str, str]) -> Answer | Stream:
        is_watch = call.verb == "watch"
        if is_watch:
            headers = headers | {"Accept-Encoding": "identity"}
        query = f"?{urlencode(call.query)}" if call.query else ""
        url = URL(f"{self.upstream.server}{call.path}{query}", encoded=True)
        response = await self.upstream.session.request(call.method, url, data=call.body or None, headers=headers)
        exchange.status = response.status
        kept = {name: value for name, value in response.headers.items() if name.lower() not in _NOT_PASSED_ON}
        if is_watch and response.status == 200:
            exchange.completed = next(self.order)
            return Stream(status=200, headers=kept, chunks=_read_lines(response))
        async with response:
            body = await response.read()
        exchange.completed = next(self.order)
        if exchange.is_stored:
            exchange.answered = json.loads(body)
        return Answer(status=response.status, headers=kept, body=body)

    async def _reply(self, request: web.BaseRequest, outgoing: Outgoing) -> web.StreamResponse:
        if isinstance(outgoing, Silence):
            await _wait_for_its_end(request)
            outgoing = Reset()
        if isinstance(outgoing, Reset):
            _abort(request)
            return web.Response(status=500)
        if isinstance(outgoing, Answer):
            return web.Response(status=outgoing.status, headers=dict(outgoing.headers), body=outgoing.body)
        response = web.StreamResponse(status=outgoing.status, headers=dict(outgoing.headers))
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            async for chunk in self._while_there(request, outgoing.chunks):
                await response.write(chunk)
        except (aiohttp.ClientError, OSError):
            _abort(request)
        return response

    async def _while_there(self, request: web.BaseRequest, chunks: Lines) -> AsyncIterator[bytes]:
        """Give the chunks until the client is gone or the network is cut."""
        upcoming = aiter(chunks)
        pending = asyncio.ensure_future(anext(upcoming))
        try:
            while True:
                done, _ = await asyncio.wait({pending}, timeout=LOOK_SECONDS)
                if self.is_cut or _is_gone(request):
                    raise ConnectionResetError
                if done:
                    with contextlib.suppress(StopAsyncIteration):
                        yield pending.result()
                        pending = asyncio.ensure_future(anext(upcoming))
                        continue
                    return
        finally:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
            await upcoming.aclose()  # type: ignore[attr-defined] # every way of events is a generator


async def _read_lines(response: aiohttp.ClientResponse) -> Lines:
    """Give a watch's events; leaving it ends the connection."""
    rest = b""
    try:
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line + b"\n"
    finally:
        response.close()


async def _wait_for_its_end(request: web.BaseRequest) -> None:
    while not _is_gone(request):  # noqa: ASYNC110 - aiohttp tells nobody
        await asyncio.sleep(LOOK_SECONDS)


def _is_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()
