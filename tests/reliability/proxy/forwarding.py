"""The way of one call to the API server and back, and the kinds of answers that a client can get from a proxy."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.reliability.proxy.calls import Call

Headers = Mapping[str, str]
Lines = AsyncIterator[bytes]
"""The events of a watch, one JSON object with its newline each."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A complete answer."""

    status: int
    headers: Headers = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An answer that comes in pieces; `ConnectionResetError` from its chunks ends it in the middle.

    Attributes:
        chunks: what is sent; each piece as soon as it is there.
    """

    status: int
    headers: Headers
    chunks: Lines


@dataclass(frozen=True)
class Reset:
    """No answer: the connection ends."""


@dataclass(frozen=True)
class Silence:
    """No answer, and the connection stays, until the client has had enough."""


Outgoing = Answer | Stream | Reset | Silence


@dataclass(frozen=True)
class Forwarding:
    """What a fault has at hand."""

    call: Call
    send: Callable[[Call], Awaitable[Answer | Stream]]

    async def ask(self, call: Call | None = None) -> Answer | Stream:
        """Pass the call on, or another in its place, and return what the API server answers; a Stream for a watch."""
        return await self.send(call or self.call)
