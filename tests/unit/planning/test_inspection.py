"""Why pods are not running, or not gone: what is read off pods and Events, and what is no news."""

import pytest

from diem_operator.model import reasons
from diem_operator.model.event import Event
from diem_operator.model.job import Job
from diem_operator.model.metadata import Condition, ObjectMeta
from diem_operator.model.names import Uid
from diem_operator.model.pod import ContainerState, ContainerStatus, Pod, PodSpec, PodStatus, WaitingState
from diem_operator.planning.inspection import explain_deletion, explain_pending
from diem_operator.planning.world import Inspection
from tests.builders import NAMESPACE, NOW, seconds_ago

JOB_TRACKING = "batch.kubernetes.io/job-tracking"


def make_job(*finalizers: str) -> Job:
    return Job(metadata=ObjectMeta(name="job", namespace=NAMESPACE, uid=Uid("job-1"), finalizers=finalizers))


def make_pod(
    name: str = "pod",
    *,
    phase: str = "Pending",
    deleted_seconds_ago: float | None = None,
    finalizers: tuple[str, ...] = (JOB_TRACKING,),
    node: str = "",
    conditions: tuple[Condition, ...] = (),
    init: tuple[ContainerStatus, ...] = (),
    containers: tuple[ContainerStatus, ...] = (),
) -> Pod:
    deleted_at = None if deleted_seconds_ago is None else seconds_ago(deleted_seconds_ago)
    return Pod(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE, deletion_timestamp=deleted_at, finalizers=finalizers),
        spec=PodSpec(node_name=node),
        status=PodStatus(
            phase=phase, conditions=conditions, init_container_statuses=init, container_statuses=containers
        ),
    )


def waiting(reason: str, message: str = "", *, name: str = "main") -> ContainerStatus:
    return ContainerStatus(name=name, state=ContainerState(waiting=WaitingState(reason=reason, message=message)))


def make_event(message: str, *, reason: str = "FailedCreate", age_seconds: float | None = 0) -> Event:
    last_timestamp = None if age_seconds is None else seconds_ago(age_seconds)
    return Event(metadata=ObjectMeta(name="event"), reason=reason, message=message, last_timestamp=last_timestamp)


def explain(*pods: Pod, events: tuple[Event, ...] = ()) -> Inspection:
    return explain_pending(make_job(), pods, events, now=NOW)


NO_NEWS = Inspection(job_uid="job-1", at=NOW)
UNSCHEDULABLE = Condition(type="PodScheduled", status="False", message="0/1 nodes are available")
SCHEDULED = Condition(type="PodScheduled", status="True")
NOT_READY = Condition(type="Ready", status="False", message="containers with unready status")
PULL_FAILED = waiting("ImagePullBackOff", "no such image")


# Pending


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param((make_pod(),), id="nothing told yet"),
        pytest.param((make_pod(conditions=(SCHEDULED, NOT_READY)),), id="scheduled"),
        pytest.param((make_pod(containers=(waiting("ContainerCreating"),)),), id="container is being created"),
        pytest.param((make_pod(containers=(waiting("PodInitializing"),)),), id="pod is being initialised"),
        pytest.param((make_pod(containers=(waiting(""),)),), id="waiting for no reason"),
        pytest.param((make_pod(containers=(ContainerStatus(name="main"),)),), id="container in no state"),
        pytest.param((), id="no pod yet"),
        pytest.param((make_pod(deleted_seconds_ago=1, conditions=(UNSCHEDULABLE,)),), id="only a pod that goes"),
        pytest.param((make_pod(phase="Running", deleted_seconds_ago=1),), id="only a running pod that goes"),
    ],
)
def test_ordinary_start_is_no_news(pods: tuple[Pod, ...]) -> None:
    assert explain(*pods) == NO_NEWS


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
def test_pod_that_runs_or_ran_is_told_whatever_ails_the_others(phase: str) -> None:
    inspection = explain(make_pod(conditions=(UNSCHEDULABLE,)), make_pod(phase=phase, containers=(PULL_FAILED,)))

    assert inspection == Inspection(job_uid="job-1", at=NOW, has_running_pod=True)


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        pytest.param(
            make_pod(conditions=(NOT_READY, UNSCHEDULABLE)),
            reasons.POD_UNSCHEDULABLE,
            "pod pod: 0/1 nodes are available",
            id="unschedulable",
        ),
        pytest.param(
            make_pod(containers=(PULL_FAILED,)),
            "ImagePullBackOff",
            "pod pod, container main: no such image",
            id="image",
        ),
        pytest.param(
            make_pod(init=(waiting("CrashLoopBackOff", "again", name="init"),), containers=(PULL_FAILED,)),
            "CrashLoopBackOff",
            "pod pod, container init: again",
            id="init container first",
        ),
        pytest.param(
            make_pod(containers=(waiting("ContainerCreating"), waiting("CreateContainerConfigError", name="b"))),
            "CreateContainerConfigError",
            "pod pod, container b: ",
            id="second container, which says no more",
        ),
    ],
)
def test_pod_that_cannot_run_is_explained(pod: Pod, reason: str, message: str) -> None:
    assert explain(pod) == Inspection(job_uid="job-1", at=NOW, reason=reason, message=message)


def test_first_pod_with_a_reason_is_told() -> None:
    pods = (
        make_pod("fine"),
        make_pod("bad", containers=(PULL_FAILED,)),
        make_pod("worse", conditions=(UNSCHEDULABLE,)),
    )

    assert explain(*pods).message == "pod bad, container main: no such image"


@pytest.mark.parametrize(
    ("events", "message"),
    [
        pytest.param((make_event("quota"),), "quota", id="one"),
        pytest.param((make_event("new"), make_event("old", age_seconds=9)), "new", id="the latest"),
        pytest.param(
            (make_event("timed", age_seconds=9), make_event("timeless", age_seconds=None)), "timed", id="timed"
        ),
        pytest.param(
            (make_event("a", age_seconds=None), make_event("b", age_seconds=None)), "b", id="the last of timeless ones"
        ),
        pytest.param((make_event("template", reason="FailedCreatePodTemplate"),), "template", id="pod template"),
        pytest.param((make_event("quota"), make_event("other", reason="SuccessfulCreate")), "quota", id="not others"),
    ],
)
def test_pod_that_could_not_be_created_is_explained_by_events(events: tuple[Event, ...], message: str) -> None:
    expected = Inspection(job_uid="job-1", at=NOW, reason=reasons.POD_CREATION_FAILED, message=message)

    assert explain(events=events) == expected


def test_other_events_explain_nothing() -> None:
    assert explain(events=(make_event("created", reason="SuccessfulCreate"),)) == NO_NEWS


def test_events_do_not_count_once_there_is_a_pod() -> None:
    assert explain(make_pod(), events=(make_event("quota"),)) == NO_NEWS


@pytest.mark.parametrize(
    "inspection",
    [
        pytest.param(explain(make_pod(containers=(waiting("Bad", "x" * 9999),))), id="pod"),
        pytest.param(explain(events=(make_event("x" * 9999),)), id="event"),
    ],
)
def test_long_message_is_cut(inspection: Inspection) -> None:
    assert len(inspection.message) == 512


# Deletion


@pytest.mark.parametrize(
    ("job", "pods", "blocker"),
    [
        pytest.param(make_job(), (), "", id="nothing left"),
        pytest.param(make_job("foregroundDeletion", "orphan"), (), "", id="our own way of deleting"),
        pytest.param(make_job("foregroundDeletion"), (make_pod(),), "", id="pod not asked to go yet"),
        pytest.param(make_job(), (make_pod(deleted_seconds_ago=60),), "", id="pod within its time"),
        pytest.param(make_job(), (make_pod(deleted_seconds_ago=-30),), "", id="pod within its own grace"),
        pytest.param(
            make_job(),
            (make_pod("a", deleted_seconds_ago=1), make_pod("b", deleted_seconds_ago=61, node="node-7")),
            "pod b on node-7 does not end; is the node alive?",
            id="node does not answer",
        ),
        pytest.param(
            make_job(),
            (make_pod(deleted_seconds_ago=61),),
            "pod pod on no node does not end; is the node alive?",
            id="pod without a node",
        ),
        pytest.param(
            make_job("other/finalizer"),
            (make_pod(finalizers=(JOB_TRACKING, "some/finalizer"), deleted_seconds_ago=99),),
            "pod pod keeps the finalizer some/finalizer",
            id="foreign finalizer of a pod",
        ),
        pytest.param(
            make_job("foregroundDeletion", "kueue/guard"),
            (make_pod(),),
            "Job job keeps the finalizer kueue/guard",
            id="foreign finalizer of the Job",
        ),
    ],
)
def test_what_keeps_a_job_is_named(job: Job, pods: tuple[Pod, ...], blocker: str) -> None:
    expected = Inspection(job_uid="job-1", at=NOW, deletion_blocker=blocker)

    assert explain_deletion(job, pods, now=NOW) == expected


def test_long_blocker_is_cut() -> None:
    assert len(explain_deletion(make_job("a/" + "x" * 9999), (), now=NOW).deletion_blocker) == 512
