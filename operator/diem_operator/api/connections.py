"""The open connections of the process: no more than it can bear, and none that holds on to what others need.

aiohttp ends a connection that is idle, or whose headers do not arrive, after the idle time-out; the body has a time-out
of its own. What it leaves open is here: how many there may be, how much of a request that is not complete is kept, how
many requests may be sent ahead of their answers, and how long nobody need read those answers.
"""

import asyncio
import resource
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from diem_operator.metrics import Refusal

MAX_HEAD_BYTES: Final = 32 * 1024
"""Of a request whose headers are not complete. The limits on lines and on their number alone would allow 1 MB."""

MAX_HEADS_BYTES: Final = 64 * 1024 * 1024
"""Of all such requests together."""

MAX_AHEAD: Final = 2
"""Requests on a connection that wait for the answer before them; further bytes stay in the socket."""

UNREAD_SECONDS: Final = 20.0
"""How long a caller may leave more than the socket's buffers full of answers unread."""

SPARE_FILES: Final = 128
"""File descriptors for everything that is no connection of a caller."""

_MAKE_ROOM_SHARE: Final = 16
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nServer: diem-operator\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class Connections:
    """All that are open.

    Args:
        max_open: one more closes some that are idle, or is closed itself where none is idle.
        observe_refusal: is told of each that is closed by force.
    """

    def __init__(self, *, max_open: int, observe_refusal: Callable[[Refusal], None]) -> None:
        self._max_open = max_open
        self._open: set[BoundedConnection] = set()
        self._head_bytes = 0
        self.observe_refusal = observe_refusal

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "BoundedConnection") -> None:
        """Take in a new connection."""
        if len(self._open) >= self._max_open and not self._make_room():
            self._close(connection)
            return
        self._open.add(connection)

    def discard(self, connection: "BoundedConnection") -> None:
        """Forget a connection, known or not."""
        self._open.discard(connection)

    def keep_head(self, count: int) -> bool:
        """Count bytes of a request that is not complete, or what is no longer kept; return whether there is room."""
        self._head_bytes += count
        return self._head_bytes <= MAX_HEADS_BYTES

    def _make_room(self) -> bool:
        """Close idle connections, some at a time, because finding them means looking at all.

        Those come first that never sent a whole request, or owe the rest of one; a proxy keeps the others for later.
        """
        idle = [each for each in self._open if each.is_idle]
        idle.sort(key=lambda each: (each.has_asked, each.idle_until))
        for connection in idle[: max(1, len(idle) // _MAKE_ROOM_SHARE)]:
            self._open.discard(connection)
            self._close(connection)
        return bool(idle)

    def _close(self, connection: "BoundedConnection") -> None:
        self.observe_refusal(Refusal.CONNECTIONS)
        connection.abort()


class BoundedConnection(web.RequestHandler):
    """One connection, with bounds that aiohttp's own has not.

    It reads attributes of its base class that are not public, as there is no other way to learn them.
    """

    __slots__ = ("_connections", "_has_sent_whole", "_head_bytes", "_paused_at", "_unread_timer")

    def __init__(self, server: web.Server, *, connections: Connections, **settings: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(server, **settings)
        self._max_msg_queue_size = MAX_AHEAD
        self._msg_queue_resume_size = MAX_AHEAD - 1
        self._connections = connections
        self._has_sent_whole = False
        self._head_bytes = 0
        self._paused_at: float | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request, or for the rest of its headers."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def has_asked(self) -> bool:
        """Whether it has sent a whole request, and nothing of a next one."""
        return self._has_sent_whole and not self._head_bytes

    @property
    def idle_until(self) -> float:
        """When the idle time-out ends it; the same time after its beginning, or its last answer, for all."""
        return self._next_keepalive_close_time

    def abort(self) -> None:
        """Close it at once, whatever is under way."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it in."""
        super().connection_made(transport)
        self._connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out."""
        super().connection_lost(exc)
        self._connections.discard(self)
        self._forget_head()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def data_received(self, data: bytes) -> None:
        """Take in bytes; too many without a complete request among them end the connection."""
        super().data_received(data)
        if not self.is_idle:
            self._has_sent_whole = True
            self._forget_head()
            return
        self._head_bytes += len(data)
        has_room = self._connections.keep_head(len(data))
        if not (has_room and self._head_bytes <= MAX_HEAD_BYTES) and self.transport is not None:
            self._connections.observe_refusal(Refusal.UNREADABLE)
            self.transport.write(_HEAD_TOO_LARGE)
            self.force_close()

    def pause_writing(self) -> None:
        """Begin to lose patience with a caller that does not read its answers."""
        super().pause_writing()
        self._paused_at = self._loop.time()
        if self._unread_timer is None and self.transport is not None:
            self._watch_unread(self.transport)

    def resume_writing(self) -> None:
        """Have patience again."""
        super().resume_writing()
        self._paused_at = None

    def _watch_unread(self, transport: asyncio.Transport) -> None:
        self._unread_timer = self._loop.call_later(UNREAD_SECONDS, self._look_for_unread, transport)

    def _look_for_unread(self, transport: asyncio.Transport) -> None:
        """Close it if its answers are not read; one that is being closed waits for that, too, and without end."""
        self._unread_timer = None
        if not transport.get_write_buffer_size():
            return
        is_paused = self._paused_at is not None and self._loop.time() - self._paused_at >= UNREAD_SECONDS
        if not is_paused and not transport.is_closing():
            self._watch_unread(transport)
            return
        self._connections.observe_refusal(Refusal.UNREAD)
        transport.abort()  # not by abort(): a connection that is being closed has let go of its transport already

    def _forget_head(self) -> None:
        if self._head_bytes:
            self._connections.keep_head(-self._head_bytes)
            self._head_bytes = 0


def find_max_open(wanted: int) -> int:
    """Return how many connections the process can hold open: accepting without a file descriptor would stall all."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if limit == resource.RLIM_INFINITY else max(1, min(wanted, limit - SPARE_FILES))
