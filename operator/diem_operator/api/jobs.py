"""Carries out callers' commands on DiemJobs that they may use, and waits for the effect where they want that.

    status   `wait`: until no run is live
    start    `wait`: until the run is no longer Submitted, so its Job exists, or it came to nothing
    stop     `wait`: until the run is over, so its pods are gone

Phases that pass are answered from the watch cache, phases that last from a live read. Waiting asks the API server
nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from diem_operator.access.registry import KeyEntry
from diem_operator.api.answers import Reply
from diem_operator.api.cache import JobCache, Predicate
from diem_operator.api.command import Command, derive_run_id
from diem_operator.api.errors import Problem, UnknownJob
from diem_operator.api.settling import Attempt, BadParameters, Decision, Settled, Settler
from diem_operator.cluster.errors import ClusterError
from diem_operator.model.diemapikey import Action
from diem_operator.model.diemjob import DiemJob, Phase
from diem_operator.model.names import RunId
from diem_operator.planning.commands import Caller, StartCommand, Write, plan_start, plan_stop
from diem_operator.planning.ids import is_seen
from diem_operator.planning.parameters import check_parameters
from diem_operator.planning.rules import displayed_phase

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobDesk:
    """Where commands are carried out.

    Attributes:
        is_watch_confirmed: whether the cache has lately heard from the API server about a namespace.
        now: reads the wall time.
        make_run_id: makes an id that nobody else makes.
        max_waiting: further callers that want to wait are answered at once.
    """

    settler: Settler
    cache: JobCache
    is_watch_confirmed: Callable[[str], bool]
    now: Callable[[], datetime]
    make_run_id: Callable[[], RunId]
    max_waiting: int

    async def carry_out(self, command: Command, diemjob: DiemJob, entry: KeyEntry) -> Reply:
        """Do what the command asks and return what became of it.

        Raises:
            Problem: it is refused.
            ClusterError: the API server does not answer as it should.
        """
        if command.action is Action.STATUS:
            latest = await self._wait(command, diemjob, _is_idle)
            return Reply(diemjob=await self._confirm(latest, entry, is_live=False))
        if command.action is Action.START:
            return await self._start(command, diemjob, entry)
        return await self._stop(command, diemjob, entry)

    async def _start(self, command: Command, diemjob: DiemJob, entry: KeyEntry) -> Reply:
        key = command.idempotency_key
        run_id = self.make_run_id() if key is None else derive_run_id(entry, key)
        caller = Caller(requested_by=entry.requested_by, now=self.now())

        def decide(attempt: Attempt) -> Decision:
            start = StartCommand(
                run_id=run_id,
                parameters=command.parameters,
                fingerprint=command.fingerprint,
                is_replayable=key is not None or attempt.may_be_stored,
            )
            decision = plan_start(attempt.diemjob, start, caller)
            faults = check_parameters(attempt.diemjob.spec.parameters, command.parameters)
            return BadParameters(problems=faults) if faults and isinstance(decision, Write) else decision

        settled = await self.settler.settle(diemjob, decide, subject=entry.uid)
        _log(command, settled, entry)
        return await self._reply(command, settled, entry, lambda latest: has_begun(latest, settled.run_id))

    async def _stop(self, command: Command, diemjob: DiemJob, entry: KeyEntry) -> Reply:
        caller = Caller(requested_by=entry.requested_by, now=self.now())

        def decide(attempt: Attempt) -> Decision:
            expected = command.expected_run
            return plan_stop(attempt.diemjob, caller, fingerprint=command.fingerprint, expected_run=expected)

        settled = await self.settler.settle(diemjob, decide, subject=entry.uid)
        _log(command, settled, entry)
        return await self._reply(command, settled, entry, lambda latest: has_ended(latest, settled.run_id))

    async def _reply(self, command: Command, settled: Settled, entry: KeyEntry, is_effective: Predicate) -> Reply:
        latest = await self._wait(command, settled.diemjob, is_effective)
        is_live = settled.is_live and latest is settled.diemjob
        try:
            confirmed = await self._confirm(latest, entry, is_live=is_live)
        except UnknownJob:
            raise
        except (Problem, ClusterError):
            # What was written was carried out: no answer may tell the caller to send it again.
            if not settled.is_written:
                raise
            confirmed = settled.diemjob
        return Reply(diemjob=confirmed, message=settled.message, run_id=settled.run_id)

    async def _wait(self, command: Command, diemjob: DiemJob, is_reached: Predicate) -> DiemJob:
        """Return the DiemJob at the latest when the predicate holds or the caller's time is over."""
        if not command.wait_seconds or is_reached(diemjob) or self.cache.waiting_count >= self.max_waiting:
            return diemjob
        await self.cache.wait_until(diemjob.key, is_reached, timeout_seconds=command.wait_seconds)
        latest = self.cache.get(diemjob.key)
        if latest is None:
            raise UnknownJob
        return latest

    async def _confirm(self, diemjob: DiemJob, entry: KeyEntry, *, is_live: bool) -> DiemJob:
        """Return a version on which the caller may act for good."""
        if is_live or (not displayed_phase(diemjob).is_terminal and self.is_watch_confirmed(diemjob.key.namespace)):
            return diemjob
        return await self.settler.read(diemjob.key, subject=entry.uid)


def has_begun(diemjob: DiemJob | None, run_id: RunId | None) -> bool:
    """Whether nothing more is to be waited for after a start: the run has a Job, or came to nothing, or all is gone."""
    if diemjob is None or run_id is None:
        return True
    run = diemjob.status.run
    is_submitted = run is not None and run.id == run_id and run.phase is Phase.SUBMITTED
    return is_seen(diemjob.status, run_id) and not is_submitted


def has_ended(diemjob: DiemJob | None, run_id: RunId | None) -> bool:
    """Whether nothing more is to be waited for after a stop: the run is over, or all is gone."""
    if diemjob is None or run_id is None:
        return True
    run = diemjob.status.run
    is_live = run is not None and run.id == run_id and run.is_live
    return is_seen(diemjob.status, run_id) and not is_live


def _is_idle(diemjob: DiemJob | None) -> bool:
    return diemjob is None or displayed_phase(diemjob).is_terminal


def _log(command: Command, settled: Settled, entry: KeyEntry) -> None:
    if not settled.is_written:
        return
    metadata = settled.diemjob.metadata
    logger.info(
        "Accepted a %s",
        command.action,
        extra={
            "namespace": metadata.namespace,
            "diemjob": metadata.name,
            "run": settled.run_id,
            "requested_by": entry.requested_by,
        },
    )
