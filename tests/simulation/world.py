"""What the moves of a history share: the servers and operators there are, and what is under way between them."""

from collections.abc import Callable
from dataclasses import dataclass

from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import RunId
from diem_operator.planning.commands import Outcome
from diem_operator.planning.world import REQUEST_TIMEOUT_SECONDS, PostOutcome
from tests.simulation.api_server import ModelApiServer
from tests.simulation.ledger import Ledger
from tests.simulation.operator_process import KEY, OperatorProcess
from tests.simulation.truth import decode

LOST_REQUEST_SECONDS = REQUEST_TIMEOUT_SECONDS - 1
"""A request that has not landed by then never does."""


@dataclass
class ClientCommand:
    """A caller's command between the API's read and its write."""

    decide: Callable[[DiemJob], Outcome]
    seen: DiemJob
    stops: bool


@dataclass(frozen=True)
class LateRequest:
    """A write that its sender has given up on and that is still on its way.

    Attributes:
        is_remembered: its sender leads alone, and knows that it may still land.
    """

    carry_out: Callable[[], object]
    sent_at: float
    is_ghost: bool
    is_remembered: bool


class World:
    """The world between two moves."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.server = ModelApiServer(watcher=self.ledger)
        self.ledger.server = self.server
        self.operators = [OperatorProcess(self.server, name="a"), OperatorProcess(self.server, name="b")]
        self.commands: list[ClientCommand] = []
        self.late: list[LateRequest] = []
        self.backups: list[RawObject] = []
        self.leader: OperatorProcess | None = None
        self._ids = 0

    @property
    def diemjob(self) -> DiemJob | None:
        return None if self.server.diemjob is None else decode(self.server.diemjob)

    def next_id(self, prefix: str) -> RunId:
        self._ids += 1
        return RunId(f"{prefix}-{self._ids}")

    def _choose_job(self, place: int) -> str | None:
        names = [name for name in self.server.jobs if name not in self.ledger.foreign]
        return names[place % len(names)] if names else None

    def _remembers(self, run_id: RunId) -> bool:
        if self.leader is None or self.diemjob is None:
            return False
        attempt = self.leader.memory.find(KEY, self.diemjob.metadata.uid).attempt
        return attempt is not None and (attempt.request.id, attempt.outcome) == (run_id, PostOutcome.CREATED)

    def pass_time(self, seconds: float) -> None:
        self.server.pass_time(seconds)
        now = self._seconds()
        self.late = [late for late in self.late if now - late.sent_at < LOST_REQUEST_SECONDS]

    def _seconds(self) -> float:
        return self.operators[0].find_seconds()
