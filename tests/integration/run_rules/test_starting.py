"""What starts a run, what does not, and what a start costs."""

from typing import Any

import pytest

from tests.integration.operator_process import OperatorProcess
from tests.integration.run_rules.audit import Audit
from tests.integration.run_rules.workspace import FOREVER, NAME, SHORT, Workspace, make_manifest

pytestmark = pytest.mark.usefixtures("operator")


def find_environment(job: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return found


# By id


def test_new_id_starts_one_run_and_costs_few_writes(workspace: Workspace, audit: Audit) -> None:
    workspace.create(state="running", run={"id": "r1", "requestedBy": "apikey/k1", "requestedAt": "yesterday"})

    run = workspace.wait_run("Completed")

    assert (run["number"], run["id"], run["requestedBy"], run["requestedAt"]) == (1, "r1", "apikey/k1", "yesterday")
    assert run["startedAt"] <= run["completedAt"]
    (job,) = workspace.jobs
    assert (job["metadata"]["name"], job["metadata"]["uid"]) == (run["jobName"], run["jobUid"])
    assert job["metadata"]["annotations"]["diem.io/run-id"] == "r1"
    assert len(job["metadata"]["name"]) <= 50
    workspace.wait_until("people are told", lambda: "RunCompleted" in workspace.event_reasons)
    writes = audit.count(workspace.namespace)
    assert writes.pop("patch diemjobs/status") <= 3
    assert writes == {"create jobs": 1, "patch diemjobs": 1, "create events": 2}
    assert workspace.event_reasons == ["RunCompleted", "RunStarted"]


def test_id_that_was_seen_starts_nothing_again(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"})
    workspace.wait_run("Completed")

    workspace.start("r2")
    workspace.wait_run("Completed", "r2")
    workspace.start("r1")
    workspace.wait_answered()

    assert [run["id"] for run in workspace.runs] == ["r2", "r1"]
    assert len(workspace.jobs) == 2


def test_template_as_it_is_at_the_start_counts(workspace: Workspace) -> None:
    manifest = workspace.create(state="running", run={"id": "r1"})
    workspace.wait_run("Completed")
    container = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "localhost/diem/busybox:later"

    workspace.patch(jobTemplate=manifest["spec"]["jobTemplate"])
    workspace.start("r2")
    workspace.wait_run("Completed", "r2")

    images = {
        job["metadata"]["annotations"]["diem.io/run-id"]: job["spec"]["template"]["spec"]["containers"][0]["image"]
        for job in workspace.jobs
    }
    assert images == {"r1": "localhost/diem/busybox:local", "r2": "localhost/diem/busybox:later"}


# By state


def test_state_alone_starts_a_run_and_toggling_it_another(workspace: Workspace) -> None:
    workspace.create(state="running")
    first = workspace.wait_run("Completed", "state-1")

    workspace.patch(state="stopped")
    workspace.wait_answered()
    workspace.patch(state="running")
    second = workspace.wait_run("Completed", "state-2")

    assert (first["requestedBy"], second["requestedBy"]) == ("spec.state", "spec.state")
    assert (first["number"], second["number"]) == (1, 2)
    assert len(workspace.jobs) == 2


def test_toggling_while_the_run_stops_starts_when_it_is_gone(workspace: Workspace) -> None:
    workspace.create(state="running", pod=FOREVER | {"stop-after": "1s"})
    workspace.wait_run("Running", "state-1")

    workspace.patch(state="stopped")
    workspace.wait_run("Stopping", "state-1")
    workspace.patch(state="running")
    workspace.wait_run("Running", "state-2")

    assert [(run["id"], run["phase"]) for run in workspace.runs] == [("state-1", "Stopped")]
    assert len(workspace.jobs) == 1


@pytest.mark.parametrize("state", [None, "stopped"])
def test_without_a_wish_to_run_nothing_starts(workspace: Workspace, state: str | None) -> None:
    workspace.create_as_written(make_manifest() if state is None else make_manifest(state=state))

    workspace.wait_answered()

    assert workspace.status["phase"] == "Stopped"
    assert workspace.run == {}
    assert workspace.jobs == []


# GitOps


@pytest.mark.parametrize("flags", [(), ("--server-side", "--force-conflicts")], ids=["client-side", "server-side"])
def test_manifest_without_state_starts_and_stops_nothing_however_often_it_is_applied(
    workspace: Workspace, flags: tuple[str, ...]
) -> None:
    manifest = make_manifest(pod=FOREVER)

    def apply_again(revision: str) -> None:
        manifest["spec"]["jobTemplate"]["metadata"] = {"labels": {"revision": revision}}
        workspace.apply(manifest, *flags)
        workspace.wait_answered()

    apply_again("1")
    assert workspace.jobs == []

    workspace.start("r1")
    workspace.wait_run("Running", "r1")
    apply_again("2")
    assert workspace.run["phase"] == "Running"

    workspace.steer_pods(run_for="100ms")
    workspace.wait_run("Completed", "r1")
    apply_again("3")

    assert workspace.run["id"] == "r1"
    assert len(workspace.jobs) == 1


# Requests for another object


def test_request_of_a_restored_backup_starts_nothing(workspace: Workspace) -> None:
    run = {"id": "r1", "targetUID": "00000000-0000-4000-8000-000000000000"}
    workspace.create(state="running", run=run)

    run = workspace.wait_run("Stopped", "r1", reason="RestoredRequest")
    workspace.wait_answered()
    assert workspace.jobs == []

    workspace.start("r2", targetUID=workspace.diemjob["metadata"]["uid"])
    workspace.wait_run("Completed", "r2")
    assert len(workspace.jobs) == 1


# The Job's name


def test_foreign_job_under_the_name_of_the_run_is_left_alone(workspace: Workspace) -> None:
    workspace.create()
    name = workspace.find_job_name("r1")
    workspace.kubectl("create", "job", name, "--image=localhost/diem/busybox:local")
    (foreign,) = workspace.jobs

    workspace.start("r1")
    run = workspace.wait_run("Failed", "r1", reason="JobNameTaken")

    assert name in run["message"]
    assert [job["metadata"]["uid"] for job in workspace.jobs] == [foreign["metadata"]["uid"]]
    assert workspace.find_condition("Stalled")["status"] == "True"


def test_diemjob_created_anew_waits_for_the_jobs_of_its_predecessor(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    workspace.wait_run("Running", "r1")
    old = workspace.jobs[0]["metadata"]["name"]
    hold = ("patch", "job", old, "--type=json", "--patch")
    workspace.kubectl(*hold, '[{"op": "add", "path": "/metadata/finalizers", "value": ["test.diem.io/hold"]}]')

    workspace.kubectl("delete", "diemjob", NAME)
    workspace.create(state="running", run={"id": "r1"})
    workspace.wait_run("Submitted", "r1", reason="WaitingForOldJobs")
    assert [job["metadata"]["name"] for job in workspace.jobs] == [old]

    workspace.kubectl(*hold, '[{"op": "remove", "path": "/metadata/finalizers"}]')
    run = workspace.wait_run("Completed", "r1")

    assert run["number"] == 1
    assert [job["metadata"]["name"] for job in workspace.jobs] == [run["jobName"]]
    assert run["jobName"] != old


def test_jobs_go_with_their_diemjob(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    workspace.wait_run("Running", "r1")

    workspace.kubectl("delete", "diemjob", NAME)

    workspace.wait_until("Jobs and pods are gone", lambda: not workspace.jobs and not workspace.pods)


# Parameters


def test_parameters_arrive_as_they_were_given(workspace: Workspace) -> None:
    parameters = [{"name": "DAY", "required": True}, {"name": "PRICE"}, {"name": "MODE", "default": "full"}]
    workspace.create(parameters=parameters)

    workspace.start("r1", parameters={"DAY": "2030-01-02", "PRICE": "$5 $(MODE)"})
    workspace.wait_run("Completed", "r1")

    # The kubelet reads $$ as $.
    assert find_environment(workspace.jobs[0]) == [
        {"name": "DAY", "value": "2030-01-02"},
        {"name": "PRICE", "value": "$$5 $$(MODE)"},
        {"name": "MODE", "value": "full"},
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param({}, "'DAY' is required", id="missing"),
        pytest.param({"DAY": "x", "NIGHT": "y"}, "'NIGHT' is not declared", id="not declared"),
        pytest.param({"DAY": "Sunday"}, "'DAY' must be one of", id="not allowed"),
    ],
)
def test_wrong_parameters_fail_the_run_without_a_job(workspace: Workspace, given: dict[str, str], problem: str) -> None:
    workspace.create(parameters=[{"name": "DAY", "required": True, "enum": ["x", "y"]}])

    workspace.start("r1", parameters=given)
    run = workspace.wait_run("Failed", "r1", reason="InvalidParameters")

    assert problem in run["message"]
    assert workspace.jobs == []
    workspace.start("r2", parameters={"DAY": "y"})
    workspace.wait_run("Completed", "r2")


def test_diemjobs_beside_each_other_do_not_meet(workspace: Workspace, operator: OperatorProcess) -> None:
    names = [f"etl-{number}" for number in range(8)]
    for name in names:
        workspace.create_as_written(make_manifest(name, pod=SHORT, state="running", run={"id": "same"}))

    workspace.wait_all(names, "Completed")

    assert len({run["jobUid"] for run in workspace.find_runs(names)}) == len(workspace.jobs) == 8
    assert operator.process.poll() is None
