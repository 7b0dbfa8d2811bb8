"""A server on loopback that plays a script of answers and faults, byte by byte; the real API server plays no faults."""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SeenRequest:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


Play = Callable[[asyncio.StreamWriter], Awaitable[bool]]
"""One answer; returns whether the connection stays open."""


def answer(status: int, body: object = None, **headers: str) -> Play:
    """A complete answer; `body` is bytes, or becomes JSON."""

    async def play(writer: asyncio.StreamWriter) -> bool:
        writer.write(_head(status, _encode(body), headers) + _encode(body))
        await writer.drain()
        return True

    return play


def truncated(body: bytes) -> Play:
    """An answer that ends before its length says so."""

    async def play(writer: asyncio.StreamWriter) -> bool:
        writer.write(_head(200, body + b"the rest", {}) + body)
        await writer.drain()
        return False

    return play


def raw(content: bytes) -> Play:
    """Any bytes, then the end of the connection."""

    async def play(writer: asyncio.StreamWriter) -> bool:
        writer.write(content)
        await writer.drain()
        return False

    return play


def stream(*chunks: object, then_hang: bool = False) -> Play:
    """A chunked answer: dicts become lines of JSON, bytes are sent as they are; ends in order unless it hangs."""

    async def play(writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            data = chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode() + b"\n"
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
        if then_hang:
            await asyncio.Event().wait()
        writer.write(b"0\r\n\r\n")
        return True

    return play


async def hang(writer: asyncio.StreamWriter) -> bool:
    """Never answer."""
    await asyncio.Event().wait()
    return False


async def close(writer: asyncio.StreamWriter) -> bool:
    """End the connection instead of an answer."""
    return False


async def reset(writer: asyncio.StreamWriter) -> bool:
    """Break the connection with RST."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


@dataclass
class ScriptedServer:
    """Plays one entry of the script for each request; without a script left it hangs."""

    script: deque[Play] = field(default_factory=deque)
    requests: list[SeenRequest] = field(default_factory=list)
    url: str = ""
    port: int = 0
    _connections: int = 0
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def plays(self, *entries: Play) -> None:
        self.script.extend(entries)

    async def wait_for_requests(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.requests) < count:  # noqa: ASYNC110 - a test polls what the code under test knows nothing of
                await asyncio.sleep(0.005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await self._converse(reader, writer, self._connections)
        writer.close()
        self._tasks.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        stays_open = True
        while stays_open:
            self.requests.append(await _read_request(reader, number))
            play = self.script.popleft() if self.script else hang
            stays_open = await play(writer)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def run_scripted_server(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
    scripted.port = server.sockets[0].getsockname()[1]
    scripted.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{scripted.port}"
    try:
        yield scripted
    finally:
        server.close()
        await scripted.end()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> SeenRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return SeenRequest(method=method, target=target, headers=headers, body=body, connection=connection)


def _encode(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def _head(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Some", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
