"""What can happen to a watch: each fault is a way in which its events reach the client, or do not.

Watching(dropped(lambda event: event["type"] == "DELETED"))
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.reliability.proxy.faults import build_status
from tests.reliability.proxy.forwarding import Answer, Forwarding, Lines, Outgoing

Event = Mapping[str, Any]
Way = Callable[[Lines], Lines]
Choice = Callable[[Event], bool]


@dataclass(frozen=True)
class Watching:
    """The events go another way."""

    way: Way

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        answer = await forwarding.ask()
        if isinstance(answer, Answer):
            return answer
        return replace(answer, chunks=self.way(answer.chunks))

    def __str__(self) -> str:
        return f"watch {self.way.__qualname__.split('.')[0]}"


@dataclass
class Rewound:
    """Each watch but the first goes back to where that began, and ends a few events beyond the end of the last one.

    Attributes:
        progress: how many more events each one tells.
    """

    progress: int
    _beginning: str = ""
    _count: int = 0

    async def handle(self, forwarding: Forwarding) -> Outgoing:
        self._beginning = self._beginning or forwarding.call.query["resourceVersion"]
        self._count += 1
        query = {**forwarding.call.query, "resourceVersion": self._beginning}
        answer = await forwarding.ask(replace(forwarding.call, query=query))
        if isinstance(answer, Answer):
            return answer
        return replace(answer, chunks=ended(after=self._count * self.progress)(answer.chunks))

    def __str__(self) -> str:
        return f"watch rewound, time {self._count}"


def frozen(*, after: int, seconds: float) -> Way:
    """After some events nothing comes for a while; then everything that has happened meanwhile."""

    async def freeze(events: Lines) -> Lines:
        count = 0
        async for event in events:
            if count == after:
                await asyncio.sleep(seconds)
            yield event
            count += 1

    return freeze


def half_open(*, after: int = 0) -> Way:
    """The connection stays, and after some events nothing comes any more."""
    return frozen(after=after, seconds=float("inf"))


def dropped(is_dropped: Choice) -> Way:
    """Some events never come."""

    async def dropping(events: Lines) -> Lines:
        async for event in events:
            if not is_dropped(json.loads(event)):
                yield event

    return dropping


async def duplicated(events: Lines) -> Lines:
    """Every event comes twice."""
    async for event in events:
        yield event
        yield event


async def replayed(events: Lines) -> Lines:
    """After every event, all earlier ones come again: versions go back and forth."""
    told: list[bytes] = []
    async for event in events:
        told.append(event)
        for earlier in told:
            yield earlier
        yield event


def reordered(count: int, *, within_seconds: float = 0.3) -> Way:
    """Events come in groups, each backwards."""

    async def reordering(events: Lines) -> Lines:
        async for group in _grouped(events, count, within_seconds):
            for event in reversed(group):
                yield event

    return reordering


def coalesced(*, within_seconds: float) -> Way:
    """Of several events of one object that come close together, only the last one comes."""

    async def coalescing(events: Lines) -> Lines:
        async for group in _grouped(events, 10_000, within_seconds):
            last = {_identify(event): event for event in group}
            for event in last.values():
                yield event

    return coalescing


def ended(*, after: int, line: bytes = b"", is_reset: bool = False) -> Way:
    """The watch ends after some events, with another line if one is given, cleanly or not."""

    async def ending(events: Lines) -> Lines:
        count = 0
        async for event in events:
            if count == after:
                break
            yield event
            count += 1
        yield line
        if is_reset:
            raise ConnectionResetError

    return ending


def failed(code: int, *, after: int) -> Way:
    """The watch ends with an ERROR event."""
    error = b'{"type":"ERROR","object":' + build_status(code) + b"}\n"
    return ended(after=after, line=error)


def trickled(*, pieces: int, pause_seconds: float) -> Way:
    """Every event comes in so many pieces at most, each some time after the one before."""

    async def trickle(events: Lines) -> Lines:
        async for event in events:
            size = -(-len(event) // pieces)
            for place in range(0, len(event), size):
                await asyncio.sleep(pause_seconds)
                yield event[place : place + size]

    return trickle


def garbled(*, after: int) -> Way:
    """One event comes as a whole line that is no JSON; those after it come as they are."""

    async def garbling(events: Lines) -> Lines:
        count = 0
        async for event in events:
            yield event if count != after else event[: len(event) // 2] + b"\xff\n"
            count += 1

    return garbling


def truncated(*, after: int) -> Way:
    """The watch ends within an event."""
    return ended(after=after, line=b'{"type":"MODIFIED","object":{"apiVersion":"diem.io/v1","ki')


without_bookmarks = dropped(lambda event: event["type"] == "BOOKMARK")


def _identify(event: bytes) -> tuple[str, str]:
    told = json.loads(event)
    metadata = told["object"].get("metadata", {})
    return told["object"].get("kind", ""), metadata.get("uid", "")


async def _grouped(events: Lines, count: int, within_seconds: float) -> AsyncIterator[list[bytes]]:
    """Gather events until there are enough, or none has come for a while."""
    upcoming = aiter(events)
    group: list[bytes] = []
    pending: asyncio.Future[bytes] | None = None
    while True:
        pending = pending or asyncio.ensure_future(anext(upcoming))
        done, _ = await asyncio.wait({pending}, timeout=within_seconds if group else None)
        if not done or len(group) == count:
            yield group
            group = []
            continue
        try:
            group.append(pending.result())
        except StopAsyncIteration:
            break
        pending = None
    if group:
        yield group
