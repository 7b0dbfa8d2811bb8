"""A relay in front of the API server whose wire a test can cut or mute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class TcpRelay:
    """Passes bytes on, both ways.

    Attributes:
        is_cut: new connections are closed at once.
        port: where it listens.
    """

    target_port: int
    is_cut: bool = False
    port: int = 0
    _pumps: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._writers.add(sink)
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)

    def mute(self) -> None:
        """Let the open connections stand, and pass nothing on any more."""
        for pump in self._pumps:
            pump.cancel()

    def cut(self) -> None:
        """Close the open connections, and all new ones until `mend`."""
        self.is_cut = True
        self.mute()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def mend(self) -> None:
        self.is_cut = False


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[TcpRelay]:
    relay = TcpRelay(target_port=port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    yield relay
    server.close()
    relay.cut()
    await asyncio.sleep(0)
