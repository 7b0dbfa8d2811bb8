"""What can happen to one call: before it arrives, after it was carried out, or to its answer.

Faults of watches, which are calls without an end, are in `watches`.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.reliability.proxy.calls import ARRIVED_LATE, Call
from tests.reliability.proxy.forwarding import Answer, Forwarding, Lines, Outgoing, Reset, Silence, Stream

LONGEST_SECONDS = 300.0
"""Nothing is held for longer, so that a test that fails before it lets go ends all the same."""

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def build_status(code: int, *, message: str = "a fault of the test") -> bytes:
    """Return the body that the API server sends with an error."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
    return json.dumps(status | {"reason": _REASONS[code], "metadata": {}}).encode()


def refusal(code: int, *, retry_after: str | None = None) -> Answer:
    """Return an error as the API server words it."""
    headers = {"Content-Type": "application/json"} | ({} if retry_after is None else {"Retry-After": retry_after})
    return Answer(status=code, headers=headers, body=build_status(code))


@dataclass(frozen=True)
class LoseRequest:
    """The API server never hears of it; the client gets `instead`."""

    instead: Outgoing

    async def handle(self, _: Forwarding) -> Outgoing:
        return self.instead

    def __str__(self) -> str:
        return f"request lost: {_name(self.instead)}"


@dataclass(frozen=True)
class LoseReply:
    """The API server carries it out; the client gets `instead` of the answer."""

    instead: Outgoing

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        await forwarding.ask()
        return self.instead

    def __str__(self) -> str:
        return f"reply lost: {_name(self.instead)}"


@dataclass(frozen=True)
class Delay:
    """It is carried out at once, and the answer comes late; for a request that arrives late there is `Straggle`."""

    seconds: float

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        answer = await forwarding.ask()
        await asyncio.sleep(self.seconds)
        return answer

    def __str__(self) -> str:
        return f"answered after {self.seconds} s"


@dataclass(frozen=True)
class Trickle:
    """The answer comes in small pieces."""

    bytes_at_once: int
    pause_seconds: float

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        answer = await forwarding.ask()
        if isinstance(answer, Stream):
            return answer
        return Stream(status=answer.status, headers=answer.headers, chunks=self._cut(answer.body))

    async def _cut(self, body: bytes) -> Lines:
        for place in range(0, len(body), self.bytes_at_once):
            yield body[place : place + self.bytes_at_once]
            await asyncio.sleep(self.pause_seconds)

    def __str__(self) -> str:
        return f"trickled: {self.bytes_at_once} bytes each {self.pause_seconds} s"


@dataclass(frozen=True)
class Truncate:
    """Only the first half of the answer comes: as if it were whole, or followed by the connection's end."""

    is_reset: bool

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        answer = await forwarding.ask()
        if isinstance(answer, Stream):
            return answer
        half = answer.body[: len(answer.body) // 2]
        if self.is_reset:
            return Stream(status=answer.status, headers=answer.headers, chunks=_then_reset(half))
        return Answer(status=answer.status, headers=answer.headers, body=half)

    def __str__(self) -> str:
        return f"truncated{', then reset' if self.is_reset else ''}"


@dataclass(frozen=True)
class Kill:
    """The client is killed: before the API server hears of the call, or after it has carried it out."""

    kill: Callable[[], object]
    is_after: bool

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        if self.is_after:
            await forwarding.ask()
        self.kill()
        return Reset()

    def __str__(self) -> str:
        return f"killed {'after' if self.is_after else 'before'}"


@dataclass(frozen=True)
class Hold:
    """It waits, before it is passed on or before its answer is, until the test lets it go."""

    is_answer: bool = False
    _released: threading.Event = field(default_factory=threading.Event)

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        answer = await forwarding.ask() if self.is_answer else None
        await asyncio.to_thread(self._released.wait, LONGEST_SECONDS)
        return answer or await forwarding.ask()

    def release(self) -> None:
        self._released.set()

    def __str__(self) -> str:
        return f"held {'after' if self.is_answer else 'before'}"


@dataclass(frozen=True)
class Straggle:
    """The client's connection ends; the API server hears of it, too, but only later.

    Attributes:
        after_seconds: how much later, unless the test lets it go before.
    """

    after_seconds: float = LONGEST_SECONDS
    _released: threading.Event = field(default_factory=threading.Event)
    _under_way: list[asyncio.Future[Answer | Stream]] = field(default_factory=list)

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        self._under_way.append(asyncio.ensure_future(self._pass_on(forwarding)))
        return Reset()

    async def _pass_on(self, forwarding: Forwarding) -> Answer | Stream:
        await asyncio.to_thread(self._released.wait, self.after_seconds)
        return await forwarding.ask()

    def release(self) -> None:
        self._released.set()

    def __str__(self) -> str:
        return ARRIVED_LATE


@dataclass(frozen=True)
class Notice:
    """Nothing happens to it, but the test is told of it just before it is passed on, or just after."""

    tell: Callable[[Call], object]
    is_after: bool = False

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        answer = await forwarding.ask() if self.is_after else None
        await asyncio.to_thread(self.tell, forwarding.call)
        return answer or await forwarding.ask()

    def __str__(self) -> str:
        return "noticed"


async def _then_reset(chunk: bytes) -> Lines:
    yield chunk
    raise ConnectionResetError


def _name(outgoing: Outgoing) -> str:
    return str(outgoing.status) if isinstance(outgoing, (Answer, Stream)) else type(outgoing).__name__.lower()


RESET, SILENCE = Reset(), Silence()
