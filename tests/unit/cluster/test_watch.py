"""A watch is read the same however its bytes arrive, and one strange object does not end it."""

import json
from collections.abc import AsyncIterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diem_operator.cluster import watch
from diem_operator.cluster.errors import Gone, OutcomeUnknown, UndecodableAnswer
from diem_operator.cluster.watch import (
    Bookmark,
    Changed,
    EventType,
    LineBuffer,
    Undecodable,
    decode_change,
    read_changes,
)
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey
from tests.unit.cluster.objects import bookmark, diemjob, event, failure, undecodable

DECODER = msgspec.json.Decoder(DiemJob)


def decode(line: object) -> Changed[DiemJob] | Undecodable | Bookmark:
    encoded = line if isinstance(line, bytes) else json.dumps(line).encode()
    return decode_change("WATCH /x", encoded, DECODER)


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_change_has_its_type_object_and_version(kind: str) -> None:
    change = decode(event(kind, diemjob("a", version=7)))
    assert isinstance(change, Changed)
    assert (change.type, change.item.metadata.name, change.resource_version) == (EventType(kind), "a", 7)


def test_bookmark_has_only_a_version() -> None:
    assert decode(bookmark(8)) == Bookmark(resource_version=8)


def test_undecodable_object_is_named_and_placed_but_not_quoted() -> None:
    change = decode(event("MODIFIED", undecodable("a", version=9)))
    assert change == Undecodable(
        type=EventType.MODIFIED,
        key=ObjectKey(namespace="team-a", name="a"),
        resource_version=9,
        problem="$.spec.state",
    )


def test_error_event_is_raised_as_what_its_code_says() -> None:
    with pytest.raises(Gone):
        decode(event("ERROR", failure(410, "Expired")))
    with pytest.raises(OutcomeUnknown):
        decode(event("ERROR", failure(500, "InternalError")))


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","obj',
        b"hunter2",
        b"[]",
        b'{"type":"INVENTED","object":{"metadata":{"resourceVersion":"1"}}}',
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"hunter2"}}}',
        b'{"type":"ADDED","object":{}}',
        b'{"type":"\xff","object":{}}',
    ],
)
def test_nonsense_ends_the_watch_without_being_quoted(line: bytes) -> None:
    with pytest.raises(UndecodableAnswer) as caught:
        decode(line)
    assert "hunter2" not in str(caught.value)


@given(
    lines=st.lists(st.binary(min_size=1, max_size=30).map(lambda data: data.replace(b"\n", b"x") + b"x"), max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=300), max_size=8),
)
def test_lines_do_not_depend_on_how_the_bytes_arrive(lines: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    buffer = LineBuffer("WATCH /x")
    chunks = [whole[start:end] for start, end in pairwise(edges)]
    assert [line for chunk in chunks for line in buffer.feed(chunk)] == lines


def test_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_LINE_BYTES", 10)
    buffer = LineBuffer("WATCH /x")
    assert list(buffer.feed(b"12345")) == []
    with pytest.raises(UndecodableAnswer, match="longer than"):
        list(buffer.feed(b"678901"))


async def test_last_line_without_an_end_is_left_out() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield json.dumps(event("ADDED", diemjob("a"))).encode() + b"\n\n"
        yield json.dumps(event("ADDED", diemjob("b"))).encode()[:-5]

    changes = [change async for change in read_changes("WATCH /x", chunks(), DECODER)]
    assert [change.item.metadata.name for change in changes if isinstance(change, Changed)] == ["a"]
