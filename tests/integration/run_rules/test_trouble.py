"""Runs that cannot start, or not yet: what their phase and reason tell, and what becomes of them."""

import os
from typing import Any

import pytest

from tests.integration.operator_process import OperatorProcess
from tests.integration.run_rules.audit import Audit
from tests.integration.run_rules.rights import without_right
from tests.integration.run_rules.workspace import FOREVER, NEVER_STARTS, Workspace, make_manifest

pytestmark = pytest.mark.usefixtures("operator")

slow = pytest.mark.skipif("DIEM_SLOW_TESTS" not in os.environ, reason="takes over a minute; set DIEM_SLOW_TESTS")


def make_pod_manifest(**pod_spec: Any) -> dict[str, Any]:
    """Return a DiemJob that is asked to run, with more in its pods' spec."""
    manifest = make_manifest(state="running", run={"id": "r1"})
    manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"] |= pod_spec
    return manifest


# Refused Jobs


def test_job_that_kubernetes_rejects_fails_the_run(workspace: Workspace, audit: Audit) -> None:
    container = {"name": "main", "image": "x", "volumeMounts": [{"name": "nowhere", "mountPath": "/data"}]}
    workspace.create_as_written(make_pod_manifest(containers=[container]))

    run = workspace.wait_run("Failed", "r1", reason="JobRejected")

    assert "volumeMounts" in run["message"]
    assert workspace.find_condition("Stalled")["status"] == "True"
    workspace.wait_until("people are told", lambda: workspace.event_reasons == ["JobRejected"])
    assert audit.count(workspace.namespace)["create jobs"] == 1
    assert workspace.jobs == []


def test_run_over_quota_waits_with_that_reason_and_starts_by_itself(workspace: Workspace) -> None:
    workspace.forbid("job", "create", "quota", "jobs", "--hard=count/jobs.batch=0")
    workspace.create(state="running", run={"id": "r1"})

    run = workspace.wait_run("Submitted", "r1", reason="QuotaExceeded")
    reconciling = workspace.find_condition("Reconciling")
    assert (reconciling["status"], reconciling["reason"]) == ("True", "QuotaExceeded")
    assert "exceeded quota: jobs" in run["message"]
    assert workspace.jobs == []

    workspace.kubectl("delete", "quota", "jobs")
    workspace.wait_run("Completed", "r1")
    assert len(workspace.jobs) == 1


def test_job_that_an_administrator_forbids_waits_until_it_is_allowed(workspace: Workspace) -> None:
    with without_right(workspace.cluster, "create", "jobs"):
        workspace.create(state="running", run={"id": "r1"})
        workspace.wait_run("Submitted", "r1", reason="Forbidden")
        assert workspace.jobs == []

    workspace.wait_run("Completed", "r1")


# Pods that cannot be made


def test_pods_that_pod_security_refuses_are_explained(workspace: Workspace) -> None:
    workspace.forbid("pod", "label", "namespace", workspace.namespace, "pod-security.kubernetes.io/enforce=restricted")
    workspace.create(state="running", run={"id": "r1"})

    run = workspace.wait_run("Pending", "r1", reason="PodCreationFailed")

    assert "violates PodSecurity" in run["message"]
    assert workspace.find_condition("Reconciling")["reason"] == "PodCreationFailed"


def test_pods_over_quota_are_explained(workspace: Workspace) -> None:
    workspace.forbid("pod", "create", "quota", "pods", "--hard=pods=0")
    workspace.create(state="running", run={"id": "r1"})

    run = workspace.wait_run("Pending", "r1", reason="PodCreationFailed")

    assert "exceeded quota: pods" in run["message"]


# Pods that cannot start


def test_image_that_cannot_be_pulled_is_explained(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod={"waiting-reason": "ImagePullBackOff"})

    run = workspace.wait_run("Pending", "r1", reason="ImagePullBackOff")

    assert "container main" in run["message"]


def test_pod_that_no_node_takes_is_explained(workspace: Workspace) -> None:
    workspace.create_as_written(make_pod_manifest(nodeSelector={"disk": "none-has-it"}))

    run = workspace.wait_run("Pending", "r1", reason="PodUnschedulable")

    assert "node" in run["message"]


def test_job_that_a_queue_suspends_is_pending_until_it_is_admitted(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=NEVER_STARTS)
    name = workspace.wait_run("Pending", "r1")["jobName"]
    suspend = ("patch", "job", name, "--type=merge", "--patch")

    workspace.kubectl(*suspend, '{"spec": {"suspend": true}}')
    workspace.wait_run("Pending", "r1", reason="JobSuspended")
    workspace.kubectl(*suspend, '{"spec": {"suspend": false}}')
    workspace.wait_run("Pending", "r1", reason="WaitingForPod")
    workspace.wait_until("there is a pod", lambda: len(workspace.pods) == 1)
    workspace.steer_pods(start_after="0s", run_for="100ms")
    workspace.wait_run("Completed", "r1")


def test_waiting_pod_costs_reads_but_no_writes(workspace: Workspace, audit: Audit) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod={"waiting-reason": "ImagePullBackOff"})
    workspace.wait_run("Pending", "r1", reason="ImagePullBackOff")

    workspace.steer_pods(anything="else")
    workspace.patch(aliases=["later"])
    workspace.wait_answered()

    assert audit.count(workspace.namespace)["patch diemjobs/status"] == 3, "Pending, its reason, the new generation"


# Deadlines and failures


def test_run_that_does_not_start_in_time_fails_and_its_job_goes(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=NEVER_STARTS, startDeadlineSeconds=2)

    workspace.wait_run("Failed", "r1", reason="StartDeadlineExceeded")

    assert workspace.jobs == []
    assert workspace.pods == []
    workspace.wait_answered()
    assert len(workspace.runs) == 1


def test_run_that_gets_no_job_in_time_fails(workspace: Workspace) -> None:
    workspace.forbid("job", "create", "quota", "jobs", "--hard=count/jobs.batch=0")
    workspace.create(state="running", run={"id": "r1"}, startDeadlineSeconds=3)

    workspace.wait_run("Failed", "r1", reason="StartDeadlineExceeded")


def test_run_that_started_in_time_may_take_as_long_as_it_wants(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER, startDeadlineSeconds=4)
    workspace.wait_run("Running", "r1")

    workspace.steer_pods(run_for="5s")
    workspace.wait_run("Completed", "r1")


def test_failed_job_fails_its_run_and_tells_why(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod={"run-for": "100ms", "exit-code": "3"})

    run = workspace.wait_run("Failed", "r1")

    assert run["reason"] == "BackoffLimitExceeded"
    assert run["completedAt"]
    assert workspace.find_condition("Ready")["status"] == "True", "it is ready for the next run"
    workspace.wait_until("people are told", lambda: workspace.event_reasons == ["RunFailed", "RunStarted"])


def test_namespace_that_is_being_deleted_ends_quietly(workspace: Workspace, operator: OperatorProcess) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER)
    workspace.wait_run("Running", "r1")

    workspace.oracle.delete_namespace(workspace.namespace)
    workspace.wait_until("Jobs and pods are gone", lambda: not workspace.jobs and not workspace.pods)

    lines = [entry for entry in operator.log if entry.get("namespace") == workspace.namespace]
    assert [entry for entry in lines if entry["level"] == "error"] == []


@slow
def test_deletion_that_hangs_names_what_it_hangs_on(workspace: Workspace) -> None:
    workspace.create(state="running", run={"id": "r1"}, pod=FOREVER | {"stop-after": "never"})
    workspace.wait_run("Running", "r1")

    workspace.stop("r1")
    workspace.wait_run("Stopping", "r1")
    workspace.wait_until(
        "the blocker is named",
        lambda: workspace.find_condition("Reconciling").get("reason") == "JobDeletionBlocked",
        within_seconds=90,
    )

    assert workspace.pods[0]["metadata"]["name"] in workspace.run["message"]
    assert workspace.run["phase"] == "Stopping"
    workspace.steer_pods(stop_after="0s")
    workspace.wait_run("Stopped", "r1", reason="StopRequested")
