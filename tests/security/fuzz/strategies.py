"""Inputs that nobody would write by hand, and those that somebody would write on purpose."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from diem_operator.model.metadata import RawObject

MARK = "s3cr3t-of-the-caller"
"""Stands in values that must not come out again in a message."""

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "",
            "\0",
            "$(HOME)",
            "$$",
            "../..",
            "a/b",
            "a/b/c",
            "*",
            "null",
            "\ud800",
            "\u202e",
            "\N{LATIN SMALL LIGATURE FI}",
            "\N{LATIN SMALL LETTER LONG S}",
            "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}",
            "\N{MATHEMATICAL DOUBLE-STRUCK DIGIT ZERO}",
            "%00",
            "\r\n",
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -0.0, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, 5e-324, 60, 60.0000001]),
)


def build_values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return JSON values of every kind, with these texts in them and as names."""
    scalars = st.one_of(st.none(), st.booleans(), NUMBERS, texts)
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
        max_leaves=12,
    )


JSON_VALUES = build_values(TEXTS)
PLAIN_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
"""What UTF-8 can hold."""

STORED_VALUES = build_values(st.one_of(PLAIN_TEXTS, TEXTS.filter(lambda text: "\ud800" not in text)))
"""What the API server can hold: it stores half a character as U+FFFD."""

PARAMETER_NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,6}", fullmatch=True)
PARAMETER_VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60),
    st.lists(st.sampled_from(["$", "$$", "(", ")", "$(A)", "$(B)", "A", "B", "{", "}"]), max_size=12).map("".join),
)


def replacing(valid: RawObject) -> st.SearchStrategy[RawObject]:
    """Return the object with one of its parts replaced: by anything, or by another part of its kind."""

    def replace_at(place: list[str | int]) -> st.SearchStrategy[RawObject]:
        new = st.one_of(STORED_VALUES, build_alike(read(valid, place)), build_alike(read(valid, place)))
        return new.map(lambda value: replace(valid, place, value))

    return st.sampled_from(find_places(valid)).flatmap(replace_at)


def build_alike(value: Any) -> st.SearchStrategy[Any]:
    """Return values of the same JSON type."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.one_of(st.integers(), st.sampled_from([-1, 0, 1, 2**31, 2**63 - 1, -(2**63)]))
    if isinstance(value, str):
        return st.one_of(PLAIN_TEXTS, st.sampled_from(["", "state-1", "state-99999999999", "running", "Stopped"]))
    if isinstance(value, list):
        return st.integers(0, 40).map(value.__mul__)
    return st.dictionaries(PLAIN_TEXTS, STORED_VALUES, max_size=3).map(
        lambda more: more | (value if isinstance(value, dict) else {})
    )


def read(value: Any, place: list[str | int]) -> Any:
    """Return the part of a JSON value at one place."""
    for step in place:
        value = value[step]
    return value


def find_places(value: Any) -> list[list[str | int]]:
    """Return the way to each part of a JSON value but the whole."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [[step, *rest] for step, part in inner for rest in [[], *find_places(part)]]


def replace(value: Any, place: list[str | int], new: Any) -> Any:
    """Return a JSON value with another part at one place."""
    if not place:
        return new
    changed: Any = dict(value) if isinstance(value, dict) else list(value)
    changed[place[0]] = replace(value[place[0]], place[1:], new)
    return changed


def is_json(is_good: Callable[[Any], bool], value: Any) -> bool:
    """Whether a predicate holds for every text in a JSON value, names of fields among them."""
    if isinstance(value, dict):
        return all(is_good(name) and is_json(is_good, part) for name, part in value.items())
    if isinstance(value, list):
        return all(is_json(is_good, part) for part in value)
    return not isinstance(value, str) or is_good(value)
