"""The truth that no object keeps: what was accepted, acknowledged, made and deleted, and by whom.

What the documentation calls a known limit is excused here, by name, and nothing else.
"""

from dataclasses import dataclass, field

import msgspec

from diem_operator.model.diemjob import DiemJob, DiemJobStatus, Phase, RunStatus
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import RunId
from diem_operator.planning.ids import find_state_start, is_seen
from tests.simulation.api_server import ModelApiServer, Watcher, find_owner, run_id_of


@dataclass
class Truth(Watcher):
    """The truth about the present DiemJob; a recreated one is another.

    Attributes:
        is_late: the write of this moment comes from a sender that has given up or does not lead.
        is_ghost: it comes from one that no fence holds back beside the leader.
        is_remembered: it is late, and the leader knows that it may land.
        accepted: ids that the API has accepted, in order.
        stopped: ids whose stop the API has acknowledged.
        made: ids of Jobs that were made in time, in order.
        late: uids of Jobs that landed after their sender had given up or been deposed.
        expected: uids of those of which the leader knew that they might.
        excused: ids that may run again: a known limit.
        doubtful: ids whose Job was deleted by hand before any status told of it; excused once the memory of it is lost.
        deleted_by_hand: ids whose Job somebody else deleted.
        hidden: uids of Jobs whose label somebody removed.
        bounded_out: ids that the history has no room for.
        endings: the conditions of finished Jobs by id.
        state_starts: how many Jobs were made because of spec.state.
        state_starts_due: how often spec.state has become running.
        foreign: Jobs without owner that somebody made under names of ours; nothing may touch them.
        foreign_uids: uids of these, and of those that somebody made with an owner.
        taken: ids whose Job's name such a Job with an owner had; if it is gone before a look at it, it counts as ours.
        sent: ids of runs whose Job was ever asked for.
        answered: ids of runs whose Job the present leader knows to have made, as it had the answer.
        run_ids: the run of every Job of ours that was ever made, by the Job's uid.
        forgotten: ids that a lost status need not know any more.
        is_wiped: the status was wiped, and the operator has not noticed yet.
    """

    server: ModelApiServer = field(init=False)
    is_late: bool = False
    is_ghost: bool = False
    is_remembered: bool = False
    accepted: list[RunId] = field(default_factory=list)
    stopped: set[RunId] = field(default_factory=set)
    made: list[RunId] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    expected: set[str] = field(default_factory=set)
    excused: set[RunId] = field(default_factory=set)
    doubtful: set[RunId] = field(default_factory=set)
    deleted_by_hand: set[RunId] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    endings: dict[RunId, set[str]] = field(default_factory=dict)
    state_starts: int = 0
    state_starts_due: int = 0
    forgotten: set[RunId] = field(default_factory=set)
    bounded_out: set[RunId] = field(default_factory=set)
    is_wiped: bool = False
    foreign: dict[str, RawObject] = field(default_factory=dict)
    foreign_uids: set[str] = field(default_factory=set)
    taken: set[RunId] = field(default_factory=set)
    sent: set[RunId] = field(default_factory=set)
    answered: set[RunId] = field(default_factory=set)
    run_ids: dict[str, RunId] = field(default_factory=dict)

    def note_ending(self, raw: RawObject, kind: str) -> None:
        if self._is_ours(raw):
            self.endings.setdefault(run_id_of(raw), set()).add(kind)

    def note_foreign(self, raw: RawObject) -> None:
        """Note a Job that somebody made under a name of ours; Kubernetes removes one whose owner does not exist."""
        self.foreign_uids.add(raw["metadata"]["uid"])
        if find_owner(raw) is not None:
            self.taken.add(run_id_of(raw))
        else:
            self.foreign[raw["metadata"]["name"]] = raw

    def note_deleted_by_hand(self, raw: RawObject, *, is_known_created: bool) -> None:
        """Note a Job that somebody else deletes; `is_known_created`: the leader remembers having made it."""
        if not self._is_ours(raw):
            return
        run_id = run_id_of(raw)
        self.deleted_by_hand.add(run_id)
        if not self._is_told(run_id):
            is_known = is_known_created or run_id in self.answered
            (self.doubtful if is_known else self.excused).add(run_id)

    def note_memory_lost(self) -> None:
        self.answered.clear()
        self.excused |= {run_id for run_id in self.doubtful if not self._is_told(run_id)}

    def note_wiped(self, before: DiemJob, *, is_noticeable: bool) -> None:
        """Note that the status was wiped; a noticeable wipe leaves the annotation that tells of it."""
        self.is_wiped = True
        self.answered.clear()
        if is_noticeable:
            self.excused |= {run_id for run_id in self.made if find_state_start(run_id) is not None}
        else:
            self.excused |= set(self.made)
            self.state_starts_due += before.spec.state == "running"

    def note_requested_again(self, run_id: RunId) -> None:
        """Note that a person asks for an id that a lost status cannot know any more."""
        if self.is_wiped or run_id in self.forgotten:
            self.excused.add(run_id)

    def note_stop_undone(self) -> None:
        """Note that a person rewrote the request that carried the stop."""
        self.stopped = {run_id for run_id in self.stopped if self._is_over_or_ending(run_id)}

    def _count_later(self, run_id: RunId) -> int:
        return len(self.accepted) - self.accepted.index(run_id) - 1 + len(self.made)

    def _is_told(self, run_id: RunId) -> bool:
        """Whether status tells that the run got further than Submitted."""
        if self.server.diemjob is None:
            return False
        status = decode(self.server.diemjob).status
        is_waiting = status.run is not None and status.run.id == run_id and status.run.phase is Phase.SUBMITTED
        return is_seen(status, run_id) and not is_waiting

    def _is_over_or_ending(self, run_id: RunId) -> bool:
        if self.server.diemjob is None:
            return False
        status = decode(self.server.diemjob).status
        run = next((run for run in list_runs(status) if run.id == run_id), None)
        return run is not None and (run.phase.is_terminal or run.phase is Phase.STOPPING)

    def _is_ours(self, raw: RawObject) -> bool:
        owner, diemjob = find_owner(raw), self.server.diemjob
        return owner is not None and diemjob is not None and owner["uid"] == diemjob["metadata"]["uid"]

    def _forget_all(self) -> None:
        self.accepted, self.made, self.endings, self.state_starts, self.state_starts_due = [], [], {}, 0, 0
        self.stopped, self.excused, self.doubtful = set(), set(), set()
        self.sent, self.answered, self.run_ids = set(), set(), {}
        self.deleted_by_hand, self.forgotten, self.bounded_out, self.is_wiped = set(), set(), set(), False


def decode(raw: RawObject) -> DiemJob:
    return msgspec.convert(raw, DiemJob)


def list_runs(status: DiemJobStatus) -> list[RunStatus]:
    known = {run.id for run in status.runs}
    return [*status.runs, *([] if status.run is None or status.run.id in known else [status.run])]
