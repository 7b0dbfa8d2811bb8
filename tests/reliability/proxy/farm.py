"""Runs proxies in a thread of their own, so that tests and stories may block as they like."""

import asyncio
import itertools
import ssl
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

from tests.localcluster import LocalCluster
from tests.localcluster.pki import Authority
from tests.reliability.proxy.calls import Exchange
from tests.reliability.proxy.server import FaultProxy, Upstream

T = TypeVar("T")

CALL_SECONDS = 30.0


class ProxyFarm:
    """All proxies in front of one cluster; a context manager.

    Attributes:
        ca_file: the authority that clients must trust.
        journal: every call of every proxy, in order.
    """

    def __init__(self, cluster: LocalCluster, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = Authority(directory)
        self.ca_file = authority.ca_file
        self.journal: list[Exchange] = []
        self._server = cluster.server
        self._order = itertools.count(1)
        self._serving = _make_server_context(authority)
        self._trusting = ssl.create_default_context(cafile=str(cluster.ca_file))
        self._runners: dict[str, web.ServerRunner] = {}

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._upstream = self._call(self._connect())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, client: str) -> FaultProxy:
        """Begin to serve one client, whose name no other one has."""
        proxy = FaultProxy(client, self._upstream, self.journal, self._order)
        self._runners[client] = self._call(proxy.serve(self._serving))
        return proxy

    def close(self, proxy: FaultProxy) -> None:
        """Stop serving a client."""
        self._call(self._runners.pop(proxy.client).cleanup())

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_SECONDS)

    async def _connect(self) -> Upstream:
        connector = aiohttp.TCPConnector(ssl=self._trusting, limit=0)
        session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=["User-Agent", "Accept", "Content-Type"],
        )
        return Upstream(server=self._server, session=session)

    async def _close(self) -> None:
        await asyncio.gather(*(runner.cleanup() for runner in self._runners.values()))
        await self._upstream.session.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _make_server_context(authority: Authority) -> ssl.SSLContext:
    credential = authority.issue_server("proxy", ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(credential.certificate, credential.key)
    return context
