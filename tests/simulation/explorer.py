"""Plays the histories of many seeds, in several processes, and says which was the first to fail."""

import gc
import itertools
import logging
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from tests.simulation.history import MAX_MOVES, Failure, draw, find_failure, shorten
from tests.simulation.mutants import MUTANTS

CHUNK: Final = 200
"""Seeds that a process is given at once. Worlds are full of cycles: their garbage is collected once for all of them."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is to be played: the histories of `count` seeds from `first` on, or fewer if the time is over earlier.

    Args:
        max_moves: of one history.
        seconds: after which no new seeds are given out; None for no limit.
        processes: how many play at the same time.
        mutant: the name of a mistake that is planted into them.
    """

    first: int
    count: int
    max_moves: int = MAX_MOVES
    seconds: float | None = None
    processes: int = 2
    mutant: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A failure, and the smallest seed that shows one."""

    seed: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search showed; `seconds` is how long it took, with the start of its processes."""

    histories: int
    seconds: float
    found: Found | None = None

    def __str__(self) -> str:
        return f"{self.histories} histories in {self.seconds:.1f} s: {60 * self.histories / self.seconds:.0f} a minute"


@dataclass(frozen=True, slots=True)
class _Played:
    histories: int
    found: Found | None = None


def explore(search: Search) -> Findings:
    """Play until a history fails or the search is at its end."""
    begun_at = time.monotonic()
    with _start_processes(search.processes, search.mutant) as pool:
        chunks = (pool.submit(_play_chunk, seeds, search.max_moves) for seeds in _give_out(search, begun_at))
        played = _gather(chunks, ahead=2 * search.processes)
    found = min((each.found for each in played if each.found), key=lambda found: found.seed, default=None)
    return Findings(sum(each.histories for each in played), time.monotonic() - begun_at, found)


def _give_out(search: Search, begun_at: float) -> Iterator[range]:
    end = search.first + search.count
    for begin in range(search.first, end, CHUNK):
        if search.seconds is not None and time.monotonic() - begun_at > search.seconds:
            return
        yield range(begin, min(begin + CHUNK, end))


def _gather(chunks: Iterator[Future[_Played]], *, ahead: int) -> list[_Played]:
    """Keep so many chunks under way; after a failure begin no more, and wait for those of smaller seeds."""
    played: list[_Played] = []
    under_way = set(itertools.islice(chunks, ahead))
    while under_way:
        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
        played += [future.result() for future in done]
        if not any(each.found for each in played):
            under_way |= set(itertools.islice(chunks, len(done)))
    return played


def prepare(mutant: str | None) -> None:
    """Make this process play, quietly, with a mistake planted if one is named."""
    logging.getLogger("diem_operator").setLevel(logging.CRITICAL)
    if mutant is not None:
        MUTANTS[mutant].plant()


def shorten_elsewhere(found: Found, search: Search) -> list[str]:
    """Return the moves of a failed history, made short; in a process of its own, where the mistake, if any, stays."""
    with _start_processes(1, search.mutant) as pool:
        return pool.submit(_shorten, found, search.max_moves).result()


def tell(found: Found, search: Search, steps: Sequence[str]) -> str:
    """Return what failed, the moves that show it, and how to play it again."""
    command = f"python -m tests.simulation replay {found.seed}"
    command += f" --moves {search.max_moves}" if search.max_moves != MAX_MOVES else ""
    command += f" --mutant {search.mutant}" if search.mutant else ""
    last_line = found.failure.text.splitlines()[-1]
    return "\n".join((f"Seed {found.seed} failed: {last_line}", *(f"  {step}" for step in steps), command))


def _shorten(found: Found, max_moves: int) -> list[str]:
    return [str(step) for step in shorten(draw(found.seed, max_moves=max_moves), found.failure)]


def _start_processes(count: int, mutant: str | None) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=prepare, initargs=(mutant,))


def _play_chunk(seeds: range, max_moves: int) -> _Played:
    gc.disable()
    try:
        for count, seed in enumerate(seeds, start=1):
            failure = find_failure(seed, max_moves=max_moves)
            if failure is not None:
                return _Played(count, Found(seed, failure))
        return _Played(len(seeds))
    finally:
        gc.enable()
        gc.collect()
