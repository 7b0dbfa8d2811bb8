"""The operator's watches of DiemJobs and of Jobs, which change with every run; kopf watches the keys.

Both pass on what is served, and leave it to the controller what a change or a list means.
"""

from collections.abc import Sequence

from diem_operator.cluster.reflector import Reactions, Reflector, Watch
from diem_operator.cluster.resources import DIEMJOBS, JOBS, DiemJobs, Jobs
from diem_operator.cluster.watch import EventType
from diem_operator.metrics import WatchEventCounter
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.names import JOB_LABEL_SELECTOR
from diem_operator.reconciler.controller import DiemJobController
from diem_operator.reconciler.scope import Scope


def watch_diemjobs(
    diemjobs: DiemJobs, controller: DiemJobController, *, scope: Scope, count: WatchEventCounter
) -> Watch[DiemJob]:
    """Return the watch that tells the controller about DiemJobs.

    Args:
        diemjobs: where they are.
        controller: is told about those that are served.
        scope: which namespaces are watched, and which of their objects are served.
        count: is told about every DiemJob, whoever it is for.
    """

    def reactions(namespace: str | None) -> Reactions[DiemJob]:
        def replace(items: Sequence[DiemJob], _resource_version: int) -> None:
            for _ in items:
                count(DIEMJOBS.plural, None)
            served = [diemjob for diemjob in items if scope.serves(diemjob.metadata.namespace)]
            controller.observe_diemjob_list(served, namespace=namespace)

        def observe(event_type: EventType, diemjob: DiemJob, _resource_version: int) -> None:
            count(DIEMJOBS.plural, event_type)
            if scope.serves(diemjob.metadata.namespace):
                controller.observe_diemjob(event_type, diemjob)

        return Reactions(
            on_replace=replace,
            on_event=observe,
            on_undecodable=lambda key, _resource_version: controller.forget_diemjob(key),
        )

    return Watch([Reflector(diemjobs, reactions(namespace), namespace=namespace) for namespace in scope.listed])


def watch_jobs(jobs: Jobs, controller: DiemJobController, *, scope: Scope, count: WatchEventCounter) -> Watch[Job]:
    """Return the watch that tells the controller about Jobs.

    Args:
        jobs: where they are.
        controller: is told about those that are served.
        scope: which namespaces are watched, and which of their objects are served.
        count: is told about every Job, whoever it is for.
    """

    def reactions(namespace: str | None) -> Reactions[Job]:
        def replace(items: Sequence[Job], _resource_version: int) -> None:
            for _ in items:
                count(JOBS.plural, None)
            served = [job for job in items if scope.serves(job.metadata.namespace)]
            controller.observe_job_list(served, namespace=namespace)

        def observe(event_type: EventType, job: Job, _resource_version: int) -> None:
            count(JOBS.plural, event_type)
            if scope.serves(job.metadata.namespace):
                controller.observe_job(event_type, job)

        # What a Job was before it made no sense is the best that is known of it; its absence would be believed.
        return Reactions(on_replace=replace, on_event=observe, on_undecodable=lambda _key, _version: None)

    return Watch(
        [
            Reflector(jobs, reactions(namespace), namespace=namespace, label_selector=JOB_LABEL_SELECTOR)
            for namespace in scope.listed
        ]
    )
