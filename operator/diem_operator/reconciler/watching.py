"""The operator's watches of DiemJobs and of Jobs, which change with every run; kopf watches the keys.

Both pass on what is served, and leave it to the controller what a change or a list means.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from diem_operator.cluster.reflector import Reactions, Reflector, Watch
from diem_operator.cluster.resources import DIEMJOBS, JOBS, DiemJobs, Jobs
from diem_operator.cluster.watch import EventType
from diem_operator.metrics import WatchEventCounter
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.names import JOB_LABEL_SELECTOR
from diem_operator.reconciler.controller import DiemJobController
from diem_operator.reconciler.scope import Scope

T = TypeVar("T", DiemJob, Job)


def watch_diemjobs(
    diemjobs: DiemJobs, controller: DiemJobController, *, scope: Scope, count: WatchEventCounter
) -> Watch[DiemJob]:
    """Return the watch that tells the controller about DiemJobs.

    Args:
        diemjobs: where they are.
        controller: is told about those that are served.
        scope: which namespaces are watched, and which of their objects are served.
        count: is told about every DiemJob that can be decoded, whoever it is for.
    """

    def forget(key: ObjectKey, resource_version: int) -> None:
        controller.forget_diemjob(key, resource_version=resource_version)

    def build_reactions(namespace: str | None) -> Reactions[DiemJob]:
        observe_list = partial(controller.observe_diemjob_list, namespace=namespace)
        return Reactions(
            on_replace=_pass_list_on(observe_list, scope, partial(count, DIEMJOBS.plural)),
            on_event=_pass_on(controller.observe_diemjob, scope, partial(count, DIEMJOBS.plural)),
            on_undecodable=forget,
        )

    return Watch([Reflector(diemjobs, build_reactions(namespace), namespace=namespace) for namespace in scope.listed])


def watch_jobs(jobs: Jobs, controller: DiemJobController, *, scope: Scope, count: WatchEventCounter) -> Watch[Job]:
    """Return the watch that tells the controller about Jobs.

    Args:
        jobs: where they are.
        controller: is told about those that are served.
        scope: which namespaces are watched, and which of their objects are served.
        count: is told about every Job that can be decoded, whoever it is for.
    """

    def build_reactions(namespace: str | None) -> Reactions[Job]:
        observe_list = partial(controller.observe_job_list, namespace=namespace)
        return Reactions(
            on_replace=_pass_list_on(observe_list, scope, partial(count, JOBS.plural)),
            on_event=_pass_on(controller.observe_job, scope, partial(count, JOBS.plural)),
            # What a Job was before it made no sense is the best that is known of it; its absence would be believed.
            on_undecodable=lambda _key, _resource_version: None,
        )

    return Watch(
        [
            Reflector(jobs, build_reactions(namespace), namespace=namespace, label_selector=JOB_LABEL_SELECTOR)
            for namespace in scope.listed
        ]
    )


def _pass_list_on(
    observe_list: Callable[[Sequence[T]], None], scope: Scope, count: Callable[[str | None, int], None]
) -> Callable[[Sequence[T], int], None]:
    def pass_on(items: Sequence[T], _resource_version: int) -> None:
        count(None, len(items))
        observe_list([item for item in items if scope.serves(item.metadata.namespace)])

    return pass_on


def _pass_on(
    observe: Callable[[EventType, T], None], scope: Scope, count: Callable[[str | None, int], None]
) -> Callable[[EventType, T, int], None]:
    def pass_on(event_type: EventType, item: T, _resource_version: int) -> None:
        count(event_type, 1)
        if scope.serves(item.metadata.namespace):
            observe(event_type, item)

    return pass_on
