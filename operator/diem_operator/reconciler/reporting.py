"""Tells people and monitoring what a status write meant: log lines, metrics and Kubernetes Events, after the fact."""

import logging

from diem_operator.metrics import OperatorMetrics
from diem_operator.model.diemjob import DiemJob, DiemJobStatus
from diem_operator.planning.transitions import Transition, find_transitions
from diem_operator.reconciler.events import EventRecorder

logger = logging.getLogger(__name__)


class Reporter:
    """Reports transitions of runs.

    Args:
        recorder: posts Events in the background.
        metrics: counts transitions.
    """

    def __init__(self, *, recorder: EventRecorder, metrics: OperatorMetrics) -> None:
        self._recorder = recorder
        self._metrics = metrics

    def report(self, diemjob: DiemJob, before: DiemJobStatus, after: DiemJobStatus) -> None:
        """Report every run that entered another phase by this write."""
        for transition in find_transitions(before, after):
            self._report_one(diemjob, transition)

    def _report_one(self, diemjob: DiemJob, transition: Transition) -> None:
        run = transition.run
        self._metrics.observe_transition(run.phase)
        logger.info(
            "Run is %s",
            run.phase,
            extra={
                "namespace": diemjob.metadata.namespace,
                "diemjob": diemjob.metadata.name,
                "run": run.id,
                "reason": run.reason,
                "job": run.job_name,
            },
        )
        if transition.event:
            self._recorder.record(
                diemjob, reason=transition.event, message=transition.message, run=run, type=transition.event_type
            )
