"""The moves of the operator's processes, and what becomes of their requests on the way."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from diem_operator.cluster.errors import ClusterError, OutcomeUnknown, RequestNotSent
from tests.simulation.api_server import Kind
from tests.simulation.operator_process import OperatorProcess
from tests.simulation.world import LateRequest, World

MAX_STEPS_TO_REST = 1000
"""More than any order of events needs, though a look every three seconds for seventy takes hundreds; an operator that
needs more goes round in circles."""

OldLeader = Literal["restarts", "steps down", "is fenced", "goes on"]
"""What a leader does whose lease another one has: its process ends; it notices and stops; it has not noticed, and its
fence holds it back; or it goes on writing as if it led, which the fence should prevent and names and preconditions must
survive."""

LastRequest = Literal["is lost", "may land", "lands"]
"""What becomes of the request that a process which ends is waiting for."""


class Operators(World):
    """Which process leads, goes on, or ends; which request lands, is lost, or comes late."""

    def elect(self, place: int, *, old: OldLeader = "restarts", is_warm: bool = False) -> None:
        """Another replica gains the lease; what the old leader has sent already may still land.

        Args:
            place: of the replica.
            old: what becomes of the leader until now, see OldLeader.
            is_warm: whether the new one goes on with the store it has, which may be behind; else it has just begun.
        """
        operator = self.operators[place]
        if operator is self.leader:
            return
        if self.leader is not None:
            self._depose(self.leader, old)
        self._lose_memory()
        if is_warm:
            operator.step_down()
        else:
            operator.restart()
        self.leader = operator
        operator.lead()

    def _lose_memory(self) -> None:
        self.ledger.note_memory_lost()
        self.late = [replace(late, is_remembered=False) for late in self.late]

    def _depose(self, operator: OperatorProcess, how: OldLeader) -> None:
        operator.is_fenced = how == "is fenced"
        operator.is_ghost = how == "goes on"
        if how in {"restarts", "steps down"}:
            self._leave_request_behind(operator)
        if how == "restarts":
            operator.restart()
        if how == "steps down":
            operator.step_down()

    def crash(self, place: int, *, last: LastRequest) -> None:
        """A process ends, without the answer to its last request."""
        operator = self.operators[place]
        if last == "lands" and operator.request is not None:
            with suppress(ClusterError):
                self._land(operator.request.carry_out, is_late=operator is not self.leader, is_ghost=operator.is_ghost)
        if last == "may land":
            self._leave_request_behind(operator)
        if operator is self.leader:
            self._lose_memory()
            self.leader = None
        operator.restart()

    def reconcile(self, place: int, *, is_busy: bool = False) -> None:
        """A leader looks at the DiemJob, whether or not there is a reason, and perhaps leaves what has time."""
        operator = self.operators[place]
        if operator.is_leader and operator.is_synced and operator.request is None:
            operator.begin_reconcile(is_busy=is_busy)

    def serve(self, place: int) -> None:
        """A request lands and its answer arrives."""
        operator = self.operators[place]
        if operator.request is None:
            return
        try:
            value = self._land(
                operator.request.carry_out, is_late=operator is not self.leader, is_ghost=operator.is_ghost
            )
        except ClusterError as error:
            operator.fail(error)
        else:
            if operator is self.leader and operator.request.posts is not None:
                self.ledger.post_answered(operator.request.posts)
            operator.answer(value)

    def serve_look(self, place: int) -> None:
        """A request of a look at pods lands and its answer arrives."""
        self.operators[place].answer_look()

    def lose_look(self, place: int) -> None:
        """A request of a look at pods has no answer."""
        self.operators[place].fail_look(OutcomeUnknown("time-out"))

    def lose_answer(self, place: int) -> None:
        """A request lands, and its sender never hears of it."""
        operator = self.operators[place]
        if operator.request is not None:
            with suppress(ClusterError):
                self._land(operator.request.carry_out, is_late=operator is not self.leader, is_ghost=operator.is_ghost)
            operator.fail(OutcomeUnknown("the answer was lost"))

    def lose_request(self, place: int, *, is_known: bool) -> None:
        """A request never lands; its sender may or may not know."""
        operator = self.operators[place]
        if operator.request is not None:
            operator.fail(RequestNotSent("no connection") if is_known else OutcomeUnknown("time-out"))

    def serve_to_write(self, place: int) -> None:
        """A leader goes on until it has sent a write, which is on its way."""
        self.reconcile(place)
        operator = self.operators[place]
        for _ in range(MAX_STEPS_TO_REST):
            if operator.request is None or operator.request.is_write:
                return
            self.serve(place)
        raise AssertionError(f"operator {operator.name} reads in circles")

    def wake(self, place: int) -> None:
        """The time comes that an operator waits for, and it looks again."""
        operator = self.operators[place]
        if operator.request is None and operator.wakes_at is not None:
            self.pass_time(max(0.0, operator.wakes_at - operator.find_seconds()) + 0.001)
            self.reconcile(place)

    def resync(self, place: int) -> None:
        """A leader compares its store with LISTs, as it does every few minutes."""
        operator = self.operators[place]
        if operator.is_leader and operator.is_synced and operator.request is None:
            operator.begin_resync()

    def list_anew(self, place: int, kind: Kind) -> None:
        """An operator's watch of a kind is cut off for longer than the API server remembers."""
        self.operators[place].list_anew(kind)

    def delay_request(self, place: int) -> None:
        """A request does not land within its sender's patience, but perhaps later."""
        operator = self.operators[place]
        if operator.request is not None:
            self._leave_request_behind(operator)
            operator.fail(OutcomeUnknown("time-out"))

    def land_late(self, place: int) -> None:
        if self.late:
            late = self.late.pop(place % len(self.late))
            with suppress(ClusterError):
                self._land(late.carry_out, is_late=True, is_ghost=late.is_ghost, is_remembered=late.is_remembered)

    def _land(
        self, carry_out: Callable[[], object], *, is_late: bool, is_ghost: bool, is_remembered: bool = False
    ) -> object:
        self.ledger.is_late, self.ledger.is_ghost, self.ledger.is_remembered = is_late, is_ghost, is_remembered
        try:
            return carry_out()
        finally:
            self.ledger.is_late = self.ledger.is_ghost = self.ledger.is_remembered = False

    def _leave_request_behind(self, operator: OperatorProcess) -> None:
        if operator.request is not None and operator.request.is_write:
            late = LateRequest(
                carry_out=operator.request.carry_out,
                sent_at=self._seconds(),
                is_ghost=operator.is_ghost,
                is_remembered=operator is self.leader and not any(each.is_ghost for each in self.operators),
            )
            self.late.append(late)

    def finish_reconcile(self, place: int, *, is_busy: bool = False) -> None:
        """A leader goes on until there is nothing to do but wait, or nothing that has no time."""
        self.reconcile(place, is_busy=is_busy)
        self._finish_requests(self.operators[place])

    def _finish_requests(self, operator: OperatorProcess) -> None:
        for _ in range(MAX_STEPS_TO_REST):
            if operator.request is None:
                return
            self.serve(self.operators.index(operator))
        raise AssertionError(f"operator {operator.name} goes round in circles")
