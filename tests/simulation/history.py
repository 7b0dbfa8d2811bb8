"""One history: the moves that a seed stands for, played and judged to the end, and made short when it fails.

A seed decides everything; no clock, hash or address does. What the moves of a seed are follows from the table of moves
as well, so a history that is to be kept is kept as moves.
"""

import json
import random
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from tests.simulation.move import Choice, Move
from tests.simulation.moves import MOVES
from tests.simulation.simulation import Simulation
from tests.simulation.trace import Trace

MIN_MOVES: Final = 12
MAX_MOVES: Final = 30


@dataclass(frozen=True, slots=True)
class Step:
    """One move with its choices."""

    move: Move
    arguments: tuple[tuple[str, Choice], ...] = ()

    def __str__(self) -> str:
        return " ".join((self.move.name, *(f"{name}={json.dumps(value)}" for name, value in self.arguments)))


@dataclass(frozen=True, slots=True)
class Failure:
    """What a history showed.

    Attributes:
        kind: the type and place of the error; the same for the same mistake, whatever ids it was made with.
        text: the error.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Played:
    """How a history went; `failure` is None when all was as it must be."""

    failure: Failure | None
    trace: Trace


_RANDOM_MOVES: Final = tuple(move for move in MOVES.values() if move.weight)
_WEIGHTS: Final = tuple(accumulate(move.weight for move in _RANDOM_MOVES))


def draw(seed: int, *, max_moves: int = MAX_MOVES) -> list[Step]:
    """Return the moves that a seed stands for."""
    chance = random.Random(seed)
    count = chance.randint(min(MIN_MOVES, max_moves), max_moves)
    moves = [MOVES["create"], *chance.choices(_RANDOM_MOVES, cum_weights=_WEIGHTS, k=count)]
    return [Step(move, tuple((name, chance.choice(values)) for name, values in move.choices.items())) for move in moves]


def play(steps: Sequence[Step]) -> Played:
    """Play the moves, come to a long rest, and judge all of it."""
    world = Simulation()
    try:
        for step in steps:
            make(world, step)
        world.server.trace.note("rest for long")
        world.rest_for_long()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what was looked for
        return Played(failure=_describe(error), trace=world.server.trace)
    return Played(failure=None, trace=world.server.trace)


def make(world: Simulation, step: Step) -> None:
    """Make one move, and judge what a caller is told then."""
    world.server.trace.note(str(step))
    step.move.play(world, **dict(step.arguments))
    if world.diemjob is not None:
        world.ledger.judge_display(world.diemjob)


def shorten(steps: Sequence[Step], failure: Failure) -> list[Step]:
    """Drop moves, many at a time and then single ones, as long as the failure stays the same."""
    shortest, size = list(steps), max(1, len(steps) // 2)
    while size:
        before = len(shortest)
        for begin in range(len(shortest) - size, -1, -1):
            shorter = shortest[:begin] + shortest[begin + size :]
            if _fails_alike(shorter, failure):
                shortest = shorter
        size = size // 2 if len(shortest) == before else min(size, len(shortest))
    return shortest


def _fails_alike(steps: Sequence[Step], failure: Failure) -> bool:
    found = play(steps).failure
    return found is not None and found.kind == failure.kind


def _describe(error: Exception) -> Failure:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return Failure(kind=f"{type(error).__name__} at {place}", text="".join(traceback.format_exception(error)))


def find_failure(seed: int, *, max_moves: int) -> Failure | None:
    """Play the history of a seed; return what went wrong in it."""
    return play(draw(seed, max_moves=max_moves)).failure


def replay(text: str) -> Failure | None:
    """Play a history that was kept as moves; return what went wrong in it."""
    return play(parse(text)).failure


def parse(text: str) -> list[Step]:
    """Return the moves written one to a line, as `Step` writes them; lines with # are comments."""
    return [_parse_step(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _parse_step(line: str) -> Step:
    name, *words = line.split(maxsplit=1)
    arguments = []
    decoder, rest = json.JSONDecoder(), words[0] if words else ""
    while rest:
        argument, rest = rest.split("=", maxsplit=1)
        value, end = decoder.raw_decode(rest)
        arguments.append((argument, value))
        rest = rest[end:].lstrip()
    return Step(MOVES[name], tuple(arguments))
