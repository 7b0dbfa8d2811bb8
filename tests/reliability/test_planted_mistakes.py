"""The harness finds mistakes: those of the field are planted into the real operator, and each must be seen.

They are the simulation's, planted when the process starts. That the same histories hold without them, other tests show.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.reliability.installation import Installation, make_key
from tests.reliability.matrix import long_form
from tests.reliability.playing import Theatre, conclude
from tests.reliability.processes import SOURCE_ROOT
from tests.reliability.stage import Stage, make_diemjob
from tests.reliability.story import find_story
from tests.reliability.test_leaders import wait_for_another_leader

ROOT = SOURCE_ROOT.parent
PATIENCE_SECONDS = 20.0
PLANTING = f"""\
import asyncio, sys
sys.path.append({str(ROOT)!r})
from diem_operator.reconciler.apikeys import ApiKeyController
from diem_operator.reconciler.leader import LeaderElector
from tests.simulation.mutants import MUTANTS
"""
FORGETTING_THE_LEASE = "LeaderElector._keep = lambda _: asyncio.Event().wait()"
NO_FENCE_FOR_KEYS = "ApiKeyController._budget_seconds = lambda _: 5.0"


def plant_mutant(name: str) -> str:
    return f"MUTANTS[{name!r}].plant()"


def plant(lines: Sequence[str], directory: Path, installation: Installation) -> None:
    """Have the first operator execute lines of Python before it starts."""
    (directory / "sitecustomize.py").write_text("\n".join([PLANTING, *lines]), encoding="utf-8")
    installation.operator.source = SOURCE_ROOT
    installation.operator.shadows = (directory,)


@contextmanager
def mistaken(theatre: Theatre, directory: Path, *lines: str, operators: int = 1) -> Iterator[Stage]:
    """Give a stage whose first operator makes a mistake."""
    arrange = partial(plant, lines, directory)
    with theatre.stage(operators=operators, patience_seconds=PATIENCE_SECONDS, arrange=arrange) as stage:
        yield stage


def test_adoption_without_a_uid_is_seen(theatre: Theatre, tmp_path: Path) -> None:
    with mistaken(theatre, tmp_path, plant_mutant("adopt-by-id-alone")) as stage:
        with pytest.raises(AssertionError):
            find_story("name_of_the_job_is_taken").play(stage)
        run = stage.status_of("etl")["run"]

    assert (run["id"], run["reason"]) != ("mine", "JobNameTaken")


def test_status_before_its_job_is_seen(theatre: Theatre, tmp_path: Path) -> None:
    with mistaken(theatre, tmp_path, plant_mutant("status-before-post")) as stage:
        find_story("runs_come_to_their_end").play(stage)
        complaints = conclude(stage).complaints

    assert [each for each in complaints if "was recorded before its Job" in each] != []


def start_run(stage: Stage) -> None:
    stage.create(make_diemjob("etl", pod={"run-for": "100ms"}))
    stage.set_state("etl", "running")
    stage.wait_run("etl", "Completed", "state-1")


def issue_key(stage: Stage) -> None:
    stage.reapply(make_key("late"), resource="diemapikeys")
    stage.wait_answered("late", resource="diemapikeys")


@pytest.mark.parametrize("is_fenced", [pytest.param(True, marks=long_form), False])
@pytest.mark.parametrize(
    ("deed", "mistake"), [(start_run, plant_mutant("no-fence")), (issue_key, NO_FENCE_FOR_KEYS)], ids=["run", "key"]
)
def test_write_past_the_fence_is_seen(
    theatre: Theatre, tmp_path: Path, deed: Callable[[Stage], None], mistake: str, is_fenced: bool
) -> None:
    """The first leader never notices that its lease is over; the fence, where there is one, keeps it from writing."""
    lines = [FORGETTING_THE_LEASE, *([] if is_fenced else [mistake])]
    with mistaken(theatre, tmp_path, *lines, operators=2) as stage:
        wait_for_another_leader(stage.installation)
        deed(stage)
        complaints = conclude(stage).complaints

    past_the_fence = [each for each in complaints if "was sent although" in each]
    assert (past_the_fence == []) is is_fenced
