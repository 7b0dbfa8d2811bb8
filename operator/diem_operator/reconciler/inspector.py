"""Looks up a Job's pods and Events, when and only when a plan asks why they are not as they should be."""

from datetime import datetime

from diem_operator.cluster.resources import Cluster
from diem_operator.model.job import Job
from diem_operator.model.names import LABEL_JOB_NAME
from diem_operator.planning.inspection import explain_deletion, explain_pending
from diem_operator.planning.world import Inspection


class Inspector:
    """Reads pods and Events of one Job at a time; nothing of them is cached or watched."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def inspect(self, job: Job, *, at: datetime) -> Inspection:
        """Return why the Job's pods are not running, or not gone; as of the moment `at` before they are asked for."""
        namespace, name = job.metadata.namespace, job.metadata.name
        pods = await self._cluster.pods.list(namespace, label_selector=f"{LABEL_JOB_NAME}={name}")
        if job.metadata.is_being_deleted:
            return explain_deletion(job, pods, now=at)
        events = () if pods else await self._cluster.events.list_for(namespace, kind="Job", name=name, uid=job.uid)
        return explain_pending(job, pods, events, now=at)
