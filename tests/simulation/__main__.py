"""The explorer's command line: `python -m tests.simulation --help`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.explorer import Search, explore, prepare, shorten_elsewhere, tell
from tests.simulation.history import MAX_MOVES, Step, draw, parse, play, shorten
from tests.simulation.mutants import MUTANTS

HISTORIES = Path(__file__).parent / "histories"


def main() -> int:
    """Do what the command line says; return 1 when a history failed, or a mistake was not found."""
    arguments = _build_parser().parse_args()
    code: int = arguments.run(arguments)
    return code


def run_explore(arguments: argparse.Namespace) -> int:
    first = int.from_bytes(os.urandom(4)) if arguments.seed is None else arguments.seed
    search = Search(first, arguments.histories, arguments.moves, processes=arguments.processes, mutant=arguments.mutant)
    print(f"Seeds from {first} on, at most {arguments.moves} moves each", flush=True)
    findings = explore(search)
    print(findings)
    if findings.found is None:
        return 0
    print(tell(findings.found, search, shorten_elsewhere(findings.found, search)))
    return 1


def run_replay(arguments: argparse.Namespace) -> int:
    prepare(arguments.mutant)
    steps = _read_steps(arguments)
    failure = play(steps).failure
    if failure is not None and not arguments.whole:
        steps = shorten(steps, failure)
    return _show(steps, is_full=arguments.full)


def _read_steps(arguments: argparse.Namespace) -> Sequence[Step]:
    if arguments.history.lstrip("-").isdigit():
        return draw(int(arguments.history), max_moves=arguments.moves)
    return parse(Path(arguments.history).read_text())


def _show(steps: Sequence[Step], *, is_full: bool) -> int:
    played = play(steps)
    print("Moves", *steps, sep="\n  ")
    print("Trace", *(played.trace.full_lines() if is_full else played.trace.readable_lines()), sep="\n  ")
    if played.failure is None:
        print("Nothing is wrong with this history")
        return 0
    print(played.failure.text)
    return 1


def run_mutants(arguments: argparse.Namespace) -> int:
    """Search for every planted mistake; print after how many histories it was found."""
    missed = [name for name in MUTANTS if not _find_mutant(name, arguments)]
    print("Not found: " + ", ".join(missed) if missed else "Every mistake was found")
    return 1 if missed else 0


def _find_mutant(name: str, arguments: argparse.Namespace) -> bool:
    search = Search(arguments.seed, arguments.histories, arguments.moves, processes=arguments.processes, mutant=name)
    found = explore(search).found
    if found is None:
        print(f"{name}: {MUTANTS[name].text}: NOT FOUND in {arguments.histories} histories", flush=True)
        return False
    print(f"{name}: {MUTANTS[name].text}: found by history {found.seed - arguments.seed + 1}", flush=True)
    steps = shorten_elsewhere(found, search)
    print(tell(found, search, steps), end="\n\n", flush=True)
    if arguments.record:
        (HISTORIES / f"{name}.txt").write_text("\n".join((f"# seed {found.seed}", *steps, "")))
    return True


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    commands = parser.add_subparsers(required=True)
    explorer = commands.add_parser("explore", help="play random histories until one fails")
    explorer.add_argument("--histories", type=int, default=20_000)
    explorer.add_argument("--seed", type=int, help="the first of the seeds; random by default")
    explorer.add_argument("--mutant", choices=MUTANTS, help="a mistake to plant")
    explorer.set_defaults(run=run_explore)
    replay = commands.add_parser("replay", help="play one history, shortened if it fails, and print what happened")
    replay.add_argument("history", help="a seed, or a file with one move a line")
    replay.add_argument("--whole", action="store_true", help="do not shorten it")
    replay.add_argument("--full", action="store_true", help="print whole objects")
    replay.add_argument("--mutant", choices=MUTANTS, help="a mistake to plant")
    replay.set_defaults(run=run_replay)
    mutants = commands.add_parser("mutants", help="plant mistakes, and see that each is found")
    mutants.add_argument("--histories", type=int, default=20_000, help="for each")
    mutants.add_argument("--seed", type=int, default=0)
    mutants.add_argument("--record", action="store_true", help="write the short histories that the tests play")
    mutants.set_defaults(run=run_mutants)
    for command in (explorer, replay, mutants):
        command.add_argument("--moves", type=int, default=MAX_MOVES, help="of one history, at most")
        command.add_argument("--processes", type=int, default=2)
    return parser


if __name__ == "__main__":
    sys.exit(main())
