"""What the operator makes of a world that others have changed: Jobs that vanish or appear, a status that is lost."""

import pytest

from tests.integration.operator_process import OperatorProcess
from tests.integration.run_rules.workspace import FOREVER, Workspace

pytestmark = pytest.mark.usefixtures("operator")

RECORDED_UID = "diem.io/recorded-uid"


def find_run_ids(workspace: Workspace) -> list[str]:
    """Return the run ids of the Jobs that exist, sorted."""
    return sorted(job["metadata"]["annotations"]["diem.io/run-id"] for job in workspace.jobs)


def has_mark(workspace: Workspace) -> bool:
    metadata = workspace.diemjob["metadata"]
    return bool(metadata.get("annotations", {}).get(RECORDED_UID) == metadata["uid"])


# Jobs that others delete


def test_job_deleted_by_hand_fails_its_run_which_is_not_repeated(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    workspace.wait_run("Running")

    workspace.kubectl("delete", "job", "--all", "--wait=false")
    workspace.wait_run("Failed", "r1", reason="JobDeleted")
    workspace.wait_answered()
    assert workspace.jobs == []

    workspace.start("r2")
    workspace.wait_run("Running", "r2")
    assert [run["reason"] for run in workspace.runs] == ["JobDeleted"]


def test_job_of_a_run_that_is_over_may_be_deleted(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"})
    workspace.wait_run("Completed")

    workspace.kubectl("delete", "job", "--all")
    workspace.patch(aliases=["later"])
    workspace.wait_answered()

    assert workspace.run["phase"] == "Completed"
    assert workspace.jobs == []


def test_job_that_loses_its_label_is_followed_on(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    workspace.wait_run("Running")

    workspace.kubectl("label", "job", "--all", "app.kubernetes.io/managed-by-")
    workspace.patch(aliases=["later"])
    workspace.wait_answered()
    assert workspace.run["phase"] == "Running"

    workspace.stop("r1")
    workspace.wait_run("Stopped", "r1", reason="StopRequested")
    assert workspace.jobs == []


# Jobs that are there unexpectedly


def test_unfinished_job_of_a_run_that_is_over_is_deleted(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"})
    workspace.wait_run("Completed")

    workspace.forge_job("r1", number=1, finished_seconds_ago=None)

    workspace.wait_until("the late Job is gone", lambda: find_run_ids(workspace) == ["r1"])
    assert workspace.jobs[0]["metadata"]["name"] == workspace.run["jobName"]
    assert [run["id"] for run in workspace.runs] == ["r1"]


def test_job_of_a_run_that_nobody_recorded_is_recorded(workspace: Workspace) -> None:
    workspace.create()
    workspace.wait_answered()

    workspace.forge_job("lost", number=7, finished_seconds_ago=5)
    run = workspace.wait_run("Completed", "lost")

    assert run["number"] == 7
    workspace.start("next")
    assert workspace.wait_run("Completed", "next")["number"] == 8


# Finished Jobs that are kept, and not


def test_only_the_latest_finished_jobs_are_kept(workspace: Workspace) -> None:
    workspace.create(jobHistoryLimit=2)
    for number in (1, 2, 3):
        workspace.forge_job(f"r{number}", number=number, finished_seconds_ago=100)

    workspace.wait_until("the oldest is gone", lambda: find_run_ids(workspace) == ["r2", "r3"])

    assert sorted(run["id"] for run in workspace.runs) == ["r1", "r2", "r3"]


def test_finished_job_goes_after_its_time_to_live(workspace: Workspace) -> None:
    workspace.create(ttlSecondsAfterFinished=600)
    workspace.forge_job("old", number=1, finished_seconds_ago=700)
    workspace.forge_job("young", number=2, finished_seconds_ago=500)

    workspace.wait_until("the old one is gone", lambda: find_run_ids(workspace) == ["young"])


def test_job_that_has_just_finished_stays_whatever_the_limits_say(workspace: Workspace) -> None:
    workspace.create(jobHistoryLimit=0, ttlSecondsAfterFinished=0)
    workspace.forge_job("fresh", number=1, finished_seconds_ago=5)
    workspace.wait_run("Completed", "fresh")
    workspace.forge_job("old", number=2, finished_seconds_ago=61)

    workspace.wait_until("the old one is gone", lambda: find_run_ids(workspace) == ["fresh"])
    workspace.patch(aliases=["later"])
    workspace.wait_answered()

    assert find_run_ids(workspace) == ["fresh"]


def test_history_of_runs_is_bounded(workspace: Workspace) -> None:
    workspace.create(runHistoryLimit=2)
    for number in (1, 2, 3, 4):
        workspace.start(f"r{number}")
        workspace.wait_run("Completed", f"r{number}")

    assert [run["id"] for run in workspace.runs] == ["r4", "r3"]

    workspace.patch(runHistoryLimit=1)
    workspace.wait_answered()
    assert [run["id"] for run in workspace.runs] == ["r4"]


# A status that is lost


def test_live_run_is_adopted_when_status_is_lost(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    before = workspace.wait_run("Running", "r1")
    assert not has_mark(workspace), "it is written after the first run only"

    workspace.write_status(None)
    after = workspace.wait_run("Running", "r1")

    assert (after["jobUid"], after["number"]) == (before["jobUid"], 1)
    assert len(workspace.jobs) == 1


def test_lost_status_is_rebuilt_from_the_jobs_and_starts_nothing(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"})
    workspace.wait_run("Completed", "r1")
    workspace.start("r2")
    workspace.wait_run("Completed", "r2")
    workspace.wait_until("the mark is there", lambda: has_mark(workspace))

    workspace.write_status(None)
    workspace.wait_run("Completed", "r2")
    workspace.wait_answered()

    assert sorted(run["id"] for run in workspace.runs) == ["r1", "r2"]
    assert find_run_ids(workspace) == ["r1", "r2"]


@pytest.mark.parametrize("run", [{"id": "r1"}, None], ids=["by id", "by state"])
def test_lost_status_without_jobs_starts_nothing(workspace: Workspace, run: dict[str, str] | None) -> None:
    workspace.create(state="running", run=run)
    workspace.wait_run("Completed")
    workspace.wait_until("the mark is there", lambda: has_mark(workspace))

    workspace.kubectl("delete", "job", "--all")
    workspace.write_status(None)
    workspace.wait_answered()
    workspace.patch(aliases=["later"])
    workspace.wait_answered()

    assert workspace.jobs == []
    if run is not None:
        assert (workspace.run["id"], workspace.run["reason"]) == ("r1", "StateLost")
    workspace.start("r2")
    workspace.wait_run("Completed", "r2")


def test_status_scribbled_over_is_put_right(workspace: Workspace, operator: OperatorProcess) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    workspace.wait_run("Running", "r1")

    workspace.write_status({"phase": "Completed", "conditions": None, "observedGeneration": 99})
    workspace.wait_until("status is right", lambda: workspace.status["phase"] == "Running")
    workspace.wait_answered()

    assert len(workspace.jobs) == 1
    assert [entry for entry in operator.log if entry["level"] == "error"] == []
