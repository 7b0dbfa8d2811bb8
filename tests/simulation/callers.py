"""The moves of those who call the HTTP API; what it decides is decided by the real `planning.commands`."""

from collections.abc import Callable

from diem_operator.cluster.errors import ClusterError
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.names import RunId
from diem_operator.planning.commands import (
    STARTED,
    STOPPED,
    Caller,
    Outcome,
    Refusal,
    StartCommand,
    Write,
    plan_start,
    plan_stop,
)
from tests.simulation.world import ClientCommand, World


class Callers(World):
    """Starts and stops, each a read and later a write."""

    def begin_start(self, *, run_id: RunId | None = None, parameters: dict[str, str] | None = None) -> None:
        """A caller sends a start; with a run id it is one that carries an Idempotency-Key."""
        command = StartCommand(
            run_id=run_id or self.next_id("api"), parameters=parameters or {}, is_replayable=run_id is not None
        )
        self._begin(lambda diemjob: plan_start(diemjob, command, self._caller()), stops=False)

    def begin_stop(self) -> None:
        self._begin(lambda diemjob: plan_stop(diemjob, self._caller(), fingerprint=""), stops=True)

    def go_on_with_command(self, place: int) -> None:
        """The API writes what it decided, or reads again after a conflict."""
        if not self.commands:
            return
        command = self.commands.pop(place % len(self.commands))
        outcome = command.decide(command.seen)
        if isinstance(outcome, Write) and not self._is_stored(outcome):
            if self.diemjob is not None:
                command.seen = self.diemjob
                self.commands.append(command)
            return
        self._acknowledge(command, outcome)

    def start(self) -> None:
        """A caller starts, without anything in between."""
        self.begin_start()
        self._finish_last_command()

    def stop(self) -> None:
        """A caller stops, without anything in between."""
        self.begin_stop()
        self._finish_last_command()

    def _finish_last_command(self) -> None:
        if self.diemjob is not None:
            self.go_on_with_command(-1)

    def _begin(self, decide: Callable[[DiemJob], Outcome], *, stops: bool) -> None:
        if self.diemjob is not None:
            self.commands.append(ClientCommand(decide=decide, seen=self.diemjob, stops=stops))

    def _is_stored(self, write: Write) -> bool:
        try:
            self.server.patch_json(list(write.operations))
        except ClusterError:
            return False
        return True

    def _acknowledge(self, command: ClientCommand, outcome: Outcome) -> None:
        if isinstance(outcome, Refusal):
            return
        if isinstance(outcome, Write) and outcome.message == STARTED:
            self.ledger.accepted.append(outcome.run_id)
        if command.stops and outcome.message == STOPPED and outcome.run_id is not None and self.diemjob is not None:
            is_same = command.seen.metadata.uid == self.diemjob.metadata.uid
            is_current = isinstance(outcome, Write) or command.seen.spec == self.diemjob.spec
            if is_same and is_current and not self.ledger.is_wiped:
                self.ledger.stopped.add(outcome.run_id)

    def _caller(self) -> Caller:
        return Caller(requested_by="apikey/1", now=self.server.now)
