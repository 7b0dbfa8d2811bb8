"""What the proxy does to the events of a watch, where a client that copes with it would not show it."""

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.reliability.proxy.watches import Way, garbled, trickled

EVENTS = (b'{"type":"ADDED"}\n', b'{"type":"MODIFIED"}\n', b'{"type":"DELETED"}\n')


async def send(way: Way, events: Sequence[bytes] = EVENTS) -> list[bytes]:
    """Return the pieces that reach the client."""

    async def tell() -> AsyncIterator[bytes]:
        for event in events:
            yield event

    return [piece async for piece in way(tell())]


async def test_trickled_events_come_whole_but_in_pieces() -> None:
    pieces = await send(trickled(pieces=5, pause_seconds=0))

    assert b"".join(pieces) == b"".join(EVENTS)
    assert len(pieces) == 5 * len(EVENTS)


@pytest.mark.parametrize("after", [0, 1])
async def test_one_line_is_garbled_and_the_others_come_as_they_are(after: int) -> None:
    lines = await send(garbled(after=after))

    is_whole = [line.endswith(b"\n") for line in lines]
    is_garbled = [line != event for line, event in zip(lines, EVENTS, strict=True)]
    assert is_whole == [True] * len(EVENTS)
    assert is_garbled == [place == after for place in range(len(EVENTS))]
    with pytest.raises(UnicodeDecodeError):
        lines[after].decode()
