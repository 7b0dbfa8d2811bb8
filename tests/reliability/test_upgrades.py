"""The operator is replaced by its next revision, and that by the previous one again, while runs go on.

The previous revision is the last commit that had another operator than this one, or what DIEM_PREVIOUS_REVISION names.
The CRDs are those of this revision throughout: they are applied before an upgrade, and stay when it is rolled back.
"""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.reliability.installation import Installation
from tests.reliability.matrix import long_form
from tests.reliability.people import make_diemjob
from tests.reliability.playing import Theatre, conclude

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "operator/diem_operator"


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def find_previous_revision() -> str:
    """Return a commit; empty where this checkout has no history that tells."""
    named = os.environ.get("DIEM_PREVIOUS_REVISION", "")
    if named:
        return named
    try:
        commits = git("log", "--format=%H", "--max-count=2", "--", PACKAGE).decode().split()
        is_changed = bool(git("status", "--porcelain", "--", PACKAGE).strip())
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commits[0] if is_changed else next(iter(commits[1:]), "")


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out the previous revision's source root."""
    revision = find_previous_revision()
    if not revision:
        pytest.skip("there is no previous revision in this checkout; name one with DIEM_PREVIOUS_REVISION")
    directory = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(git("archive", revision, PACKAGE))) as archive:
        archive.extractall(directory, filter="data")
    return directory / "operator"


def roll_out(installation: Installation, source: Path | None) -> None:
    """Replace every process by one of another revision, one after the other, as a Deployment does."""
    for program in installation.programs:
        program.stop()
        program.source = source
        program.start()
        program.wait_ready()


@pytest.mark.parametrize("direction", ["up", pytest.param("down", marks=long_form)])
def test_runs_go_on_through_a_rollout_and_its_rollback(theatre: Theatre, previous: Path, direction: str) -> None:
    first, second = (previous, None) if direction == "up" else (None, previous)

    def begin_with_first(installation: Installation) -> None:
        for program in installation.programs:
            program.source = first

    with theatre.stage(operators=2, arrange=begin_with_first) as stage:
        stage.create(make_diemjob("live"))
        stage.create(make_diemjob("idle"))
        stage.start("live", "through")
        stage.wait_run("live", "Running", "through")
        stage.start("idle", "before")
        stage.wait_run("idle", "Running", "before")
        stage.finish_pods("idle")
        stage.wait_run("idle", "Completed", "before")

        for round_trip, source in enumerate((second, first, second)):
            roll_out(stage.installation, source)
            stage.start("idle", f"after-{round_trip}")
            stage.wait_run("idle", "Running", f"after-{round_trip}")
            stage.stop("idle")
            stage.wait_run("idle", "Stopped", f"after-{round_trip}", reason="StopRequested")
            assert stage.ask("live")["message"] == "Running"
        stage.finish_pods("live")
        stage.wait_run("live", "Completed", "through")

        outcome = conclude(stage)
        assert outcome.complaints == []
        assert len(outcome.end["live"]["runs"]) == 1
        assert len(outcome.end["idle"]["runs"]) == 4
