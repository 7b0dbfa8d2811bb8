"""What ends a run, when it counts as ended, and that every accepted request is accounted for."""

import pytest

from tests.integration.operator_process import OperatorProcess
from tests.integration.run_rules.audit import Audit
from tests.integration.run_rules.faults import paused
from tests.integration.run_rules.workspace import FOREVER, Workspace, make_manifest

pytestmark = pytest.mark.usefixtures("operator")


def find_accounts(workspace: Workspace) -> list[tuple[str, str, str]]:
    """Return id, phase and reason of the runs that are over, newest first."""
    return [(run["id"], run["phase"], run.get("reason", "")) for run in workspace.runs]


# When a run is stopped


def test_run_is_stopped_only_when_its_pods_are_gone(workspace: Workspace, audit: Audit) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER | {"stop-after": "1500ms"})
    workspace.wait_run("Running")

    workspace.stop("r1")
    workspace.wait_run("Stopping", "r1", reason="StopRequested")
    assert len(workspace.pods) == 1
    workspace.wait_run("Stopped", "r1", reason="StopRequested")

    assert workspace.pods == []
    assert workspace.jobs == []
    workspace.wait_until("people are told", lambda: workspace.event_reasons == ["RunStarted", "RunStopped"])
    writes = audit.count(workspace.namespace)
    assert (writes["create jobs"], writes["delete jobs"]) == (1, 1)


def test_state_alone_stops_a_run(workspace: Workspace) -> None:
    workspace.create(state="running", pod=FOREVER)
    workspace.wait_run("Running", "state-1")

    workspace.patch(state="stopped")
    workspace.wait_run("Stopped", "state-1", reason="StopRequested")

    assert workspace.jobs == []


def test_run_whose_pod_never_started_can_be_stopped(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod={"start-after": "never"})
    workspace.wait_run("Pending")

    workspace.stop("r1")
    workspace.wait_run("Stopped", "r1", reason="StopRequested")

    assert workspace.pods == []


def test_run_that_waits_for_its_job_can_be_stopped(workspace: Workspace) -> None:
    workspace.forbid("job", "create", "quota", "none", "--hard=count/jobs.batch=0")
    workspace.create(state="running", run={"id": "r1"})
    workspace.wait_run("Submitted", "r1", reason="QuotaExceeded")

    workspace.stop("r1")
    workspace.wait_run("Stopped", "r1", reason="StopRequested")


def test_run_that_finished_before_its_stop_arrived_is_completed(
    workspace: Workspace, operator: OperatorProcess
) -> None:
    """Several at once, because it is open which news the operator hears first: the stop is to be one of them."""
    names = [f"etl-{number}" for number in range(8)]
    for name in names:
        workspace.create_as_written(make_manifest(name, pod=FOREVER, state="running", run={"id": "r1"}))
    workspace.wait_all(names, "Running")

    with paused(operator):
        for name in names:
            stop = [{"op": "add", "path": "/spec/run/stop", "value": {}}]
            workspace.oracle.patch_diemjob(workspace.namespace, name, stop)
        workspace.steer_pods(run_for="1ms")
        workspace.wait_until(
            "the Jobs are over", lambda: all("completionTime" in job["status"] for job in workspace.jobs)
        )
    workspace.wait_all(names, "Completed")

    assert len(workspace.jobs) == len(names)


def test_stop_of_a_run_that_is_over_changes_nothing(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"})
    workspace.wait_run("Completed")

    workspace.stop("r1")
    workspace.wait_answered()

    assert find_accounts(workspace) == [("r1", "Completed", "Completed")]
    assert len(workspace.jobs) == 1


# What may undo a stop


def test_stop_by_the_api_is_not_undone_by_a_state_that_heals(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER | {"stop-after": "1s"})
    workspace.wait_run("Running")

    workspace.stop("r1")
    workspace.wait_run("Stopping")
    workspace.patch(state="running")  # as a GitOps tool does that owns the field
    workspace.wait_run("Stopped", "r1")
    workspace.wait_answered()
    assert workspace.jobs == []

    workspace.start("r2")
    workspace.wait_run("Running", "r2")
    assert len(workspace.jobs) == 1


def test_stop_that_heals_before_it_is_seen_ends_the_run_too(workspace: Workspace, operator: OperatorProcess) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    workspace.wait_run("Running")

    with paused(operator):
        workspace.stop("r1")
        workspace.patch(state="running")
    workspace.wait_run("Stopped", "r1", reason="StopRequested")

    assert workspace.jobs == []


# A new run in place of a live one


def test_new_id_ends_the_live_run_and_starts_when_that_is_gone(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER | {"stop-after": "1s"})
    workspace.wait_run("Running", "r1")

    workspace.start("r2")
    workspace.wait_run("Stopping", "r1", reason="Superseded")
    assert [job["metadata"]["annotations"]["diem.io/run-id"] for job in workspace.jobs] == ["r1"]
    workspace.wait_run("Running", "r2")

    assert find_accounts(workspace) == [("r1", "Stopped", "Superseded")]
    assert [job["metadata"]["annotations"]["diem.io/run-id"] for job in workspace.jobs] == ["r2"]


def test_start_while_the_run_before_is_stopping_waits_for_its_end(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER | {"stop-after": "1s"})
    workspace.wait_run("Running", "r1")

    workspace.stop("r1")
    workspace.wait_run("Stopping", "r1", reason="StopRequested")
    workspace.start("r2")
    workspace.wait_run("Running", "r2")

    assert find_accounts(workspace) == [("r1", "Stopped", "StopRequested")]
    assert len(workspace.jobs) == 1


# Requests that start nothing


def test_request_that_was_stopped_before_it_started_is_accounted_for(workspace: Workspace) -> None:
    workspace.create(state="stopped", run={"id": "r1", "stop": {}})

    workspace.wait_run("Stopped", "r1", reason="NeverStarted")
    workspace.wait_answered()

    assert workspace.jobs == []
    assert workspace.status["phase"] == "Stopped"


def test_requests_that_were_replaced_unseen_are_accounted_for(workspace: Workspace) -> None:
    requests = [{"id": run_id, "action": "start", "by": f"apikey/{run_id}"} for run_id in ("r1", "r2", "r3")]
    workspace.create(state="running", run={"id": "r3"}, requests=requests)

    workspace.wait_run("Completed", "r3")

    never = "NeverStarted"
    expected = {("r3", "Completed", "Completed"), ("r1", "Stopped", never), ("r2", "Stopped", never)}
    workspace.wait_until("all are accounted for", lambda: set(find_accounts(workspace)) == expected)
    assert {run["id"]: run.get("requestedBy") for run in workspace.runs if run["id"] != "r3"} == {
        "r1": "apikey/r1",
        "r2": "apikey/r2",
    }
    assert len(workspace.jobs) == 1


def test_request_under_state_stopped_is_accounted_for_and_never_starts(workspace: Workspace) -> None:
    workspace.create(state="stopped", run={"id": "r1"})
    workspace.wait_run("Stopped", "r1", reason="NeverStarted")

    workspace.patch(state="running")
    run = workspace.wait_run("Completed")

    assert run["id"] == "state-1", "the id was seen, so state alone asks for this run"
