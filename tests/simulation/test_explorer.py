"""The explorer on new seeds, on the histories that once failed, and on mistakes that it has to find.

The first of the new seeds is printed with the results; DIEM_SIMULATION_SEED chooses it.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.explorer import Search, explore, prepare, shorten_elsewhere, tell
from tests.simulation.history import MAX_MOVES, draw, find_failure, parse, replay
from tests.simulation.moves import MOVES
from tests.simulation.mutants import MUTANTS

SECONDS: Final = 11.0
FIRST_SEED: Final = int(os.environ.get("DIEM_SIMULATION_SEED") or int.from_bytes(os.urandom(4)))
HISTORIES: Final = sorted((Path(__file__).parent / "histories").glob("*.txt"))
ROOT: Final = Path(__file__).parents[2]

TRACES_OF_A_SEED: Final = """
import hashlib
from tests.simulation.history import draw, play
lines = [line for seed in range({first}, {first} + 40) for line in play(draw(seed)).trace.full_lines()]
print(len(lines), hashlib.sha256("\\n".join(lines).encode()).hexdigest())
"""


def test_new_histories_keep_the_run_rules(record_property: Callable[[str, object], None]) -> None:
    search = Search(FIRST_SEED, count=10**9, seconds=SECONDS)
    findings = explore(search)
    record_property("simulation", f"seeds from {FIRST_SEED} on, {findings}")
    assert findings.histories > 0
    assert findings.found is None, tell(findings.found, search, shorten_elsewhere(findings.found, search))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_history_that_failed_once_keeps_the_run_rules(path: Path) -> None:
    failure = replay(path.read_text())
    assert failure is None, failure.text


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_mistake_is_found(name: str) -> None:
    """The seed that first showed it shows it, and so do the moves that are left of it.

    When the table of moves has changed, its seeds are others: `python -m tests.simulation mutants --record`.
    """
    text = (ROOT / "tests/simulation/histories" / f"{name}.txt").read_text()
    seed = int(text.splitlines()[0].removeprefix("# seed "))
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, context, initializer=prepare, initargs=(name,)) as pool:
        short = pool.submit(replay, text).result()
        whole = pool.submit(find_failure, seed, max_moves=MAX_MOVES).result()
    assert short is not None
    assert whole is not None, f"seed {seed} does not show {name} any more"
    assert whole.kind == short.kind


def test_seed_decides_everything_whatever_the_hashes() -> None:
    printed = {_play_elsewhere(FIRST_SEED, hash_seed=hash_seed) for hash_seed in ("1", "2")}
    assert len(printed) == 1
    assert int(printed.pop().split()[0]) > 1000


def _play_elsewhere(first: int, *, hash_seed: str) -> str:
    command = [sys.executable, "-c", TRACES_OF_A_SEED.format(first=first)]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def test_different_seeds_are_different_histories() -> None:
    texts = [" ".join(map(str, draw(seed))) for seed in range(100)]
    assert len(set(texts)) == len(texts)


def test_written_moves_are_read_as_what_they_were() -> None:
    for seed in range(100):
        steps = draw(seed)
        assert parse("\n".join(map(str, steps))) == steps


def test_every_move_is_drawn() -> None:
    drawn = {step.move.name for seed in range(400) for step in draw(seed)}
    assert drawn == set(MOVES)
