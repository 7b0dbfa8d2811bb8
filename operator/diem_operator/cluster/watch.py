"""Reads a watch's bytes: lines of JSON, one change each; decides nothing.

bytes ──► lines ──► Changed | Undecodable | Bookmark, or an error
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

import msgspec

from diem_operator.cluster.answers import error_of_status
from diem_operator.cluster.errors import UndecodableAnswer
from diem_operator.model.metadata import ObjectKey

T = TypeVar("T")

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
"""Far more than the API server stores of one object; a stream without line ends must not fill the memory."""


class EventType(StrEnum):
    """What happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed(Generic[T]):
    """An object was added, modified or deleted; DELETED has its last state."""

    type: EventType
    item: T
    resource_version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Undecodable:
    """An object changed in a way that its type does not know; nothing but its name can be said of it."""

    type: EventType
    key: ObjectKey
    resource_version: int
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bookmark:
    """Everything up to this resourceVersion has been sent."""

    resource_version: int


class Envelope(msgspec.Struct, frozen=True):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class SketchMeta(msgspec.Struct, frozen=True, rename="camel"):
    """What every object's metadata has, also that of a bookmark."""

    name: str = ""
    namespace: str = ""
    resource_version: str = "0"


class Sketch(msgspec.Struct, frozen=True):
    """Any object, seen from far away."""

    metadata: SketchMeta

    @property
    def key(self) -> ObjectKey:
        """The namespace and name of the object."""
        return ObjectKey(namespace=self.metadata.namespace, name=self.metadata.name)


ENVELOPE: Final = msgspec.json.Decoder(Envelope)
SKETCH: Final = msgspec.json.Decoder(Sketch)


async def read_changes(
    what: str, chunks: AsyncIterator[bytes], decoder: msgspec.json.Decoder[T]
) -> AsyncGenerator[Changed[T] | Undecodable | Bookmark, None]:
    """Decode a watch until its end; a last line without its end was cut off and is left out.

    Raises:
        UndecodableAnswer: a line is no watch event; nothing after it can be trusted.
        ClusterError: the server ended the watch with an ERROR event, for example Gone.
    """
    lines = LineBuffer(what)
    async for chunk in chunks:
        for line in lines.feed(chunk):
            yield decode_change(what, line, decoder)


def decode_change(what: str, line: bytes, decoder: msgspec.json.Decoder[T]) -> Changed[T] | Undecodable | Bookmark:
    """Decode one line of a watch.

    Raises:
        UndecodableAnswer: it is no watch event.
        ClusterError: it is an ERROR event.
    """
    try:
        envelope = ENVELOPE.decode(line)
        if envelope.type == "ERROR":
            raise error_of_status(what, bytes(envelope.object))
        sketch = SKETCH.decode(envelope.object)
        resource_version = int(sketch.metadata.resource_version)
        if envelope.type == "BOOKMARK":
            return Bookmark(resource_version=resource_version)
        event_type = EventType(envelope.type)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise UndecodableAnswer(f"{what}: a line of the watch makes no sense ({type(error).__name__})") from None
    try:
        item = decoder.decode(envelope.object)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Undecodable(type=event_type, key=sketch.key, resource_version=resource_version, problem=place_of(error))
    return Changed(type=event_type, item=item, resource_version=resource_version)


def place_of(error: Exception) -> str:
    """Return where in an object the error is, without the value there."""
    _, separator, place = str(error).rpartition(" - at `")
    return place.rstrip("`") if separator else type(error).__name__


class LineBuffer:
    """Cuts a stream of bytes into lines, however the bytes arrive; keeps the start of a line until its end comes."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that this chunk completes, without empty ones.

        Raises:
            UndecodableAnswer: a line is longer than any object.
        """
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            line = b"".join((*self._pieces, piece))
            self._pieces.clear()
            self._size = 0
            if line.strip():
                yield line
        self._keep(rest)

    def _keep(self, rest: bytes) -> None:
        self._pieces.append(rest)
        self._size += len(rest)
        if self._size > MAX_LINE_BYTES:
            raise UndecodableAnswer(f"{self._what}: a line of the watch is longer than {MAX_LINE_BYTES} bytes")
