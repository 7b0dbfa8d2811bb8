"""What a history was made of: moves, requests and writes in their order, turned into text only if somebody reads it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from diem_operator.model.metadata import RawObject
from diem_operator.model.names import RunId

_CONSTANT_FIELDS = frozenset({"jobTemplate", "template", "ownerReferences", "labels", "namespace"})
"""Left out where a person reads."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the operator asks of the API server; `carry_out` does it, then and only then.

    Attributes:
        posts: the run whose Job it creates; None for any other request.
    """

    text: str
    is_write: bool
    carry_out: Callable[[], object]
    posts: RunId | None = None


@dataclass
class Trace:
    """Everything that happened; objects are kept as references, which never change."""

    _entries: list[tuple[str, RawObject | None]] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Note a move, or a request."""
        self._entries.append((text, None))

    def note_write(self, event: str, raw: RawObject) -> None:
        """Note a version of an object that was stored or removed."""
        self._entries.append((event, raw))

    def full_lines(self) -> list[str]:
        """Return everything, to compare."""
        return [text if raw is None else f"{text} {json.dumps(raw)}" for text, raw in self._entries]

    def readable_lines(self) -> list[str]:
        """Return what a person needs to follow it."""
        return [text if raw is None else f"    {text} {_sketch(raw)}" for text, raw in self._entries]


def _sketch(raw: RawObject) -> str:
    """Return the object without what never changes."""
    metadata = _without_constants(raw["metadata"])
    parts = {name: _without_constants(raw[name]) for name in ("spec", "status") if raw.get(name)}
    return " ".join((str(raw.get("kind", "Job")), *(json.dumps(part) for part in (metadata, *parts.values()))))


def _without_constants(part: RawObject) -> RawObject:
    shown = {name: value for name, value in part.items() if name not in _CONSTANT_FIELDS}
    if "conditions" in shown:
        shown["conditions"] = [f"{condition['type']}={condition['status']}" for condition in shown["conditions"]]
    return shown
