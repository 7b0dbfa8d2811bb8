"""Operators that are killed, replaced, doubled or cut off: still at most one Job per run, and no run is forgotten."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.identities import SYSTEM_NAMESPACE
from tests.integration.operator_process import OperatorProcess, running_operator
from tests.integration.run_rules.audit import Audit
from tests.integration.run_rules.faults import kill, paused
from tests.integration.run_rules.rights import without_right
from tests.integration.run_rules.workspace import FOREVER, SHORT, Workspace, make_manifest
from tests.localcluster import LocalCluster

MANY = 12

QUICK_LEASE = ("--lease-duration=4", "--lease-renew=0.5", "--lease-poll=0.2")
"""So that nobody waits long for the Lease of a killed leader."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


@contextmanager
def leading(kubeconfig: Path, directory: Path, *arguments: str) -> Iterator[OperatorProcess]:
    """Run an operator that leads."""
    with running_operator(kubeconfig, directory, *QUICK_LEASE, *arguments) as operator:
        operator.wait_leading()
        yield operator
        if operator.process.poll() is None:
            operator.terminate()


def find_only_job(workspace: Workspace) -> str:
    """Return the uid of the only Job."""
    (job,) = workspace.jobs
    uid: str = job["metadata"]["uid"]
    return uid


# Between the POST and the status


@pytest.mark.parametrize("outcome", ["Running", "Completed"])
def test_job_created_just_before_the_crash_is_adopted(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path, audit: Audit, outcome: str
) -> None:
    workspace.create(pod=FOREVER if outcome == "Running" else SHORT)
    with leading(operator_kubeconfig, directory) as operator:
        with without_right(workspace.cluster, "patch", "diemjobs/status"):
            workspace.start("r1")
            workspace.wait_until("the Job is there", lambda: len(workspace.jobs) == 1)
            uid = find_only_job(workspace)
            kill(operator)
        assert workspace.run == {}
        if outcome == "Completed":
            workspace.wait_until("the Job is over", lambda: "completionTime" in workspace.jobs[0]["status"])

    with leading(operator_kubeconfig, directory):
        run = workspace.wait_run(outcome, "r1")
        workspace.wait_answered()

    assert run["jobUid"] == uid == find_only_job(workspace)
    assert audit.count(workspace.namespace)["create jobs"] == 1


def test_job_created_just_before_the_crash_is_stopped_when_that_was_asked_for_meanwhile(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path
) -> None:
    workspace.create(pod=FOREVER)
    with leading(operator_kubeconfig, directory) as operator:
        with without_right(workspace.cluster, "patch", "diemjobs/status"):
            workspace.start("r1")
            workspace.wait_until("the Job is there", lambda: len(workspace.jobs) == 1)
            kill(operator)
        workspace.stop("r1")

    with leading(operator_kubeconfig, directory):
        workspace.wait_run("Stopped", "r1", reason="StopRequested")

    assert workspace.jobs == []
    assert len(workspace.runs) == 1


# While a run goes on, and after it


def test_run_goes_on_under_the_standby_when_the_leader_is_killed(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path, audit: Audit
) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    with (
        leading(operator_kubeconfig, directory) as leader,
        running_operator(operator_kubeconfig, directory, *QUICK_LEASE) as standby,
    ):
        standby.wait_ready()
        workspace.wait_run("Running", "r1")
        uid = find_only_job(workspace)

        kill(leader)
        workspace.steer_pods(run_for="100ms")
        run = workspace.wait_run("Completed", "r1")

        assert standby.is_leader

    assert run["jobUid"] == uid == find_only_job(workspace)
    assert audit.count(workspace.namespace)["create jobs"] == 1
    assert workspace.event_reasons == ["RunCompleted", "RunStarted"]


def test_restart_repeats_nothing_and_misses_nothing(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path, audit: Audit
) -> None:
    workspace.create(state="running", pod=FOREVER)
    with leading(operator_kubeconfig, directory):
        workspace.wait_run("Running", "state-1")
    workspace.steer_pods(run_for="1ms")
    workspace.wait_until("the Job is over", lambda: "completionTime" in workspace.jobs[0]["status"])

    with leading(operator_kubeconfig, directory):
        workspace.wait_run("Completed", "state-1")
    with leading(operator_kubeconfig, directory):
        workspace.patch(aliases=["later"])
        workspace.wait_answered()

    assert [run["id"] for run in workspace.runs] == ["state-1"]
    assert audit.count(workspace.namespace)["create jobs"] == 1


def test_what_was_asked_for_while_no_operator_ran_is_done_or_accounted_for(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path
) -> None:
    requests = [{"id": "r1", "action": "start"}, {"id": "r1", "action": "stop"}, {"id": "r2", "action": "start"}]
    workspace.create()
    workspace.patch(requests=requests)
    workspace.start("r2")

    with leading(operator_kubeconfig, directory):
        workspace.wait_run("Completed", "r2")
        workspace.wait_until("r1 is accounted for", lambda: len(workspace.runs) == 2)

    assert {run["id"]: run["reason"] for run in workspace.runs} == {"r1": "NeverStarted", "r2": "Completed"}
    assert len(workspace.jobs) == 1


def test_job_deleted_while_no_operator_ran_fails_its_run(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path
) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    with leading(operator_kubeconfig, directory):
        workspace.wait_run("Running", "r1")
    workspace.kubectl("delete", "job", "--all")

    with leading(operator_kubeconfig, directory):
        workspace.wait_run("Failed", "r1", reason="JobDeleted")
        workspace.wait_answered()

    assert workspace.jobs == []


# Two at once


@pytest.fixture
def second_lease(simulated_cluster: LocalCluster, operator_kubeconfig: Path) -> str:
    """Let the operator use another Lease too, so that two processes lead at once; it is the only right it gets."""
    name = "diem-operator-2"
    role: dict[str, object] = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}}
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [name]}
    role["rules"] = [rule | {"verbs": ["get", "update"]}]
    in_system = ("--namespace", SYSTEM_NAMESPACE)
    simulated_cluster.kubectl("apply", *in_system, "--filename", "-", input=json.dumps(role))
    binding = ("create", "rolebinding", name, f"--role={name}", f"--serviceaccount={SYSTEM_NAMESPACE}:diem-operator")
    manifest = simulated_cluster.kubectl(*binding, *in_system, "--dry-run=client", "--output=json")
    simulated_cluster.kubectl("apply", "--filename", "-", input=manifest)
    return name


def test_two_writers_make_one_job_per_run(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path, second_lease: str
) -> None:
    names = [f"etl-{number}" for number in range(MANY)]
    with (
        leading(operator_kubeconfig, directory) as first,
        leading(operator_kubeconfig, directory, f"--lease-name={second_lease}") as second,
    ):
        assert first.is_leader
        assert second.is_leader
        with paused(first, second):
            for name in names:
                workspace.create_as_written(make_manifest(name, state="running", run={"id": "r1"}))
        workspace.wait_all(names, "Completed")

    assert len(workspace.jobs) == MANY
    assert {run["jobUid"] for run in workspace.find_runs(names)} == {job["metadata"]["uid"] for job in workspace.jobs}
    assert max(workspace.count_events().values()) == 1, "people are told twice"
    errors = [entry for operator in (first, second) for entry in operator.log if entry["level"] == "error"]
    assert errors == []


def test_two_writers_stop_and_supersede_once(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path, second_lease: str
) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    with (
        leading(operator_kubeconfig, directory),
        leading(operator_kubeconfig, directory, f"--lease-name={second_lease}"),
    ):
        workspace.wait_run("Running", "r1")
        workspace.start("r2")
        workspace.wait_run("Running", "r2")
        workspace.stop("r2")
        workspace.wait_run("Stopped", "r2", reason="StopRequested")
        workspace.wait_answered()

    assert [(run["id"], run["reason"]) for run in workspace.runs] == [("r2", "StopRequested"), ("r1", "Superseded")]
    assert workspace.jobs == []


# The API server


def test_api_server_that_is_killed_under_many_starts_costs_no_run(
    workspace: Workspace, operator_kubeconfig: Path, directory: Path
) -> None:
    names = [f"etl-{number}" for number in range(MANY)]
    with leading(operator_kubeconfig, directory) as operator:
        for name in names:
            workspace.create_as_written(make_manifest(name, state="running", run={"id": "r1"}))
        workspace.cluster.apiserver.kill()
        workspace.cluster.apiserver.start()
        workspace.wait_all(names, "Completed", within_seconds=60)
        assert operator.process.poll() is None

    assert len(workspace.jobs) == MANY
