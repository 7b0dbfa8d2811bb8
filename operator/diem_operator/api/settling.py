"""Writes what was decided, and decides again when the world moved on meanwhile.

    decide on what is cached ─ Write ──► PATCH ─ stored ──────────────────────► settled
          ▲                    │             └ conflict, outcome unknown ─┐
          │                    └ anything else ─► already read live? ─ no ┤
          │                                        └ yes ─────────────────┼───► settled, or refused
          └──────────────────────────── live read ◄───────────────────────┘

So a Write is always decided on the version that it replaces, and nobody is refused, or told that nothing needs doing,
because of a DiemJob that is older than the question. It does not know what the commands mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from diem_operator.api.cache import JobCache
from diem_operator.api.errors import Problem, ProblemKind, UnknownJob
from diem_operator.api.gate import FairGate
from diem_operator.api.live import LiveReader
from diem_operator.cluster.errors import ClusterError, Conflict, NotFound, OutcomeUnknown
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import RunId
from diem_operator.planning.commands import NoChange, Outcome, Refusal, RefusalKind, Write

MAX_TRIES: Final = 5

_KINDS: Final = {
    RefusalKind.BEING_DELETED: ProblemKind.BEING_DELETED,
    RefusalKind.TOO_MANY_REQUESTS: ProblemKind.TOO_MANY_REQUESTS,
    RefusalKind.REUSED_IDEMPOTENCY_KEY: ProblemKind.REUSED_IDEMPOTENCY_KEY,
    RefusalKind.OTHER_RUN_EXPECTED: ProblemKind.OTHER_RUN,
}


class BadParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The run would be refused its parameters; one sentence for each thing that is wrong."""

    problems: tuple[str, ...]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to settle a command: the version it is decided on, and what is known of that and of earlier attempts.

    Attributes:
        is_live: the version was read after the command came in.
        may_be_stored: the outcome of an earlier PATCH is unknown, so this version may contain it.
    """

    diemjob: DiemJob
    is_live: bool = False
    may_be_stored: bool = False


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was carried out, or had nothing to do."""

    diemjob: DiemJob
    message: str
    run_id: RunId | None
    is_written: bool = False
    is_live: bool = False


Decision = Outcome | BadParameters
Decide = Callable[[Attempt], Decision]


class WritesDiemJobs(Protocol):
    """The part of `cluster.diemjobs` that writes."""

    async def patch_json(self, key: ObjectKey, operations: list[RawObject], *, timeout_seconds: float) -> DiemJob:
        """Apply a JSON Patch and return what is stored then."""
        ...


@dataclass(frozen=True, kw_only=True)
class Settler:
    """Settles commands on DiemJobs; `timeout_seconds` is for one write, which `subject`'s turn at the gate precedes."""

    diemjobs: WritesDiemJobs
    cache: JobCache
    live: LiveReader
    gate: FairGate
    timeout_seconds: float

    async def settle(self, diemjob: DiemJob, decide: Decide, *, subject: str) -> Settled:
        """Carry out what is decided, beginning with the DiemJob as it is cached.

        Raises:
            Problem: the command is refused, lost every race, or did not get its turn.
            ClusterError: the API server does not answer as it should.
        """
        attempt = Attempt(diemjob=diemjob)
        last_error: Conflict | OutcomeUnknown | None = None
        for _ in range(MAX_TRIES):
            decision = decide(attempt)
            if isinstance(decision, Write):
                try:
                    return await self._write(attempt.diemjob, decision, subject=subject)
                except (Conflict, OutcomeUnknown) as error:
                    last_error = error
                except (Problem, ClusterError) as error:
                    if attempt.may_be_stored:
                        raise _give_up(may_be_stored=True) from error
                    raise
            elif attempt.is_live or _is_good_for_now(decision):
                return _conclude(attempt, decision)
            may_be_stored = attempt.may_be_stored or isinstance(last_error, OutcomeUnknown)
            latest = await self._read_again(diemjob.key, subject=subject, may_be_stored=may_be_stored)
            attempt = Attempt(diemjob=latest, is_live=True, may_be_stored=may_be_stored)
        raise _give_up(may_be_stored=attempt.may_be_stored) from last_error

    async def _read_again(self, key: ObjectKey, *, subject: str, may_be_stored: bool) -> DiemJob:
        """Read after a write that failed; where that may be stored, no answer may say that it is not."""
        try:
            return await self.read(key, subject=subject)
        except UnknownJob:
            raise
        except (Problem, ClusterError) as error:
            if may_be_stored:
                raise _give_up(may_be_stored=True) from error
            raise

    async def read(self, key: ObjectKey, *, subject: str) -> DiemJob:
        """Return the DiemJob as it is now.

        Raises:
            UnknownJob: it is gone.
            Problem: it did not get its turn.
            ClusterError: it cannot be read.
        """
        try:
            diemjob = await self.live.read(key, subject=subject)
        except NotFound:
            raise UnknownJob from None
        self.cache.put(diemjob)
        return diemjob

    async def _write(self, diemjob: DiemJob, write: Write, *, subject: str) -> Settled:
        operations = list(write.operations)
        try:
            async with self.gate.turn(subject):
                stored = await self.diemjobs.patch_json(diemjob.key, operations, timeout_seconds=self.timeout_seconds)
        except NotFound:
            raise UnknownJob from None
        self.cache.put(stored)
        return Settled(diemjob=stored, message=write.message, run_id=write.run_id, is_written=True, is_live=True)


def _is_good_for_now(decision: Decision) -> bool:
    return isinstance(decision, NoChange) and not decision.needs_live


def _conclude(attempt: Attempt, decision: NoChange | Refusal | BadParameters) -> Settled:
    if isinstance(decision, Refusal):
        raise Problem(_KINDS[decision.kind], decision.message)
    if isinstance(decision, BadParameters):
        raise Problem(
            ProblemKind.INVALID_PARAMETERS, "; ".join(decision.problems), details={"problems": decision.problems}
        )
    return Settled(diemjob=attempt.diemjob, message=decision.message, run_id=decision.run_id, is_live=attempt.is_live)


def _give_up(*, may_be_stored: bool) -> Problem:
    if may_be_stored:
        return Problem(
            ProblemKind.CLUSTER_UNAVAILABLE,
            "the cluster does not say whether the command was carried out; ask for the status before trying again",
        )
    return Problem(ProblemKind.LOST_RACE, "the job changed each time the command was decided; try again")
