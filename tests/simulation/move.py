"""What a move is, and the table that all of them are in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

Choice = str | int | float | bool | None
Play = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of move.

    Attributes:
        weight: how often it is taken, compared with others; 0 for what only begins a history.
        choices: the values that each of its arguments may have.
        play: does it.
    """

    name: str
    weight: int
    choices: Mapping[str, tuple[Choice, ...]]
    play: Play


MOVES: Final[dict[str, Move]] = {}


def move(weight: int, **choices: tuple[Choice, ...]) -> Callable[[Play], Play]:
    """Enter a function into the table."""

    def enter(play: Play) -> Play:
        MOVES[play.__name__] = Move(name=play.__name__, weight=weight, choices=choices, play=play)
        return play

    return enter
