"""The moves that can be made, each small, and the way to rest: everything lands, everyone is told, nothing fails.

A move that makes no sense at the moment does nothing, so that any sequence of moves is a legal history.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from diem_operator.cluster.errors import ClusterError, OutcomeUnknown, RequestNotSent
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import ANNOTATION_RECORDED_UID, RunId
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
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.rules import find_due_start
from diem_operator.planning.world import PostOutcome
from tests.builders import NAMESPACE, make_template
from tests.simulation.api_server import ModelApiServer, is_being_deleted, is_finished
from tests.simulation.ledger import Ledger, decode, run_id_of
from tests.simulation.operator_process import KEY, OperatorProcess

MAX_STEPS_TO_REST = 300
"""Far more than any order of events needs; an operator that needs more goes round in circles."""

LOST_REQUEST_SECONDS = 50
"""A request that has not landed by then never does; finished Jobs are kept for longer."""


@dataclass
class ClientCommand:
    """A caller's command between the API's read and its write."""

    decide: Callable[[DiemJob], Outcome]
    seen: DiemJob
    stops: bool


@dataclass(frozen=True)
class LateRequest:
    """A write that its sender has given up on and that is still on its way."""

    carry_out: Callable[[], object]
    sent_at: float


class Simulation:
    """The world, and every move in it."""

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

    # Reading

    @property
    def diemjob(self) -> DiemJob | None:
        return None if self.server.diemjob is None else decode(self.server.diemjob)

    # Callers of the HTTP API

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

    def next_id(self, prefix: str) -> RunId:
        self._ids += 1
        return RunId(f"{prefix}-{self._ids}")

    # People with kubectl, and GitOps

    def create_diemjob(self, *, state: str | None, run_id: RunId | None = None) -> None:
        if self.server.diemjob is None:
            spec: RawObject = {"jobTemplate": make_template(), "parameters": [{"name": "DAY"}]}
            spec |= {"state": state} if state else {}
            spec |= {"run": {"id": run_id}} if run_id else {}
            self.server.create_diemjob(spec)

    def restore_diemjob(self) -> None:
        """Bring a deleted DiemJob back from a backup: its spec and annotations, a new uid, no status."""
        if self.server.diemjob is None and self.backups:
            backup = self.backups[-1]
            self.server.create_diemjob(backup["spec"], annotations=backup["metadata"]["annotations"])

    def delete_diemjob(self, *, is_foreground: bool) -> None:
        if self.server.diemjob is not None:
            self.backups.append(self.server.diemjob)
            self.server.delete_diemjob(is_foreground=is_foreground)

    def set_state(self, state: str | None) -> None:
        if self.server.diemjob is not None:
            self.server.patch_spec({"state": state})
            if state is None:
                self.ledger.note_stop_undone()

    def write_run(self, run_id: RunId, *, state: str | None, is_targeted: bool) -> None:
        """A person asks for a run by id."""
        diemjob = self.diemjob
        if diemjob is None:
            return
        self.ledger.note_requested_again(run_id)
        run: RawObject = {"id": run_id}
        run |= {"targetUID": diemjob.metadata.uid} if is_targeted else {}
        self.server.patch_spec({"run": run} | ({"state": state} if state else {}))
        self.ledger.note_stop_undone()

    def remove_run(self) -> None:
        if self.server.diemjob is not None:
            self.server.patch_spec({"run": None})
            self.ledger.note_stop_undone()

    def edit(self, **changes: object) -> None:
        """Change limits, parameters or the like."""
        if self.server.diemjob is not None:
            self.server.patch_spec(changes)

    def wipe_status(self) -> None:
        diemjob = self.diemjob
        if diemjob is not None:
            is_noticeable = diemjob.metadata.annotations.get(ANNOTATION_RECORDED_UID) == diemjob.metadata.uid
            self.server.wipe_status()
            self.ledger.note_stop_undone()
            self.ledger.note_wiped(diemjob, is_noticeable=is_noticeable)

    def delete_job(self, place: int, *, is_foreground: bool) -> None:
        name = self._choose_job(place)
        if name is not None:
            raw = self.server.jobs[name]
            self.ledger.note_deleted_by_hand(raw, is_known_created=self._remembers(run_id_of(raw)))
            self.server.delete_job(name, uid=None, resource_version=None, is_foreground=is_foreground)

    def strip_label(self, place: int) -> None:
        name = self._choose_job(place)
        if name is not None:
            self.ledger.hidden.add(self.server.jobs[name]["metadata"]["uid"])
            self.server.strip_label(name)

    def take_name(self) -> None:
        """Somebody makes a Job under the name that the next run needs."""
        diemjob = self.diemjob
        due = None if diemjob is None else find_due_start(diemjob.spec, diemjob.status, diemjob.metadata.uid)
        if diemjob is None or due is None:
            return
        name = build_job_name(diemjob.metadata.name, diemjob.metadata.uid, due.id)
        if name not in self.server.jobs and not self.server.is_quota_exceeded and not self.server.is_template_invalid:
            manifest: RawObject = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}}
            self.ledger.foreign[name] = self.server.create_job(manifest)

    # Kubernetes

    def advance_job(self, place: int, event: str) -> None:
        """The Job controller and the kubelet do their part."""
        name = self._choose_job(place)
        if name is None:
            return
        job = self.server.jobs[name]
        if event == "gone":
            if is_being_deleted(job):
                self.server.finish_deletion(name)
        elif not is_finished(job) and (event == "complete" or not is_being_deleted(job)):
            self._advance_unfinished_job(name, event)

    def _advance_unfinished_job(self, name: str, event: str) -> None:
        now = self.server.now.isoformat()
        begun = {"startTime": self.server.jobs[name]["status"].get("startTime", now), "active": 1}
        endings = {"complete": "Complete", "fail": "Failed"}
        if event in endings:
            condition = {
                "type": endings[event],
                "status": "True",
                "reason": "" if event == "complete" else "BackoffLimitExceeded",
                "lastTransitionTime": now,
            }
            self.ledger.note_ending(self.server.jobs[name], endings[event])
            ended: RawObject = {"startTime": begun["startTime"], "conditions": [condition]}
            self.server.update_job(name, lambda raw: raw | {"status": ended})
        elif event in {"suspend", "resume"}:
            self.server.update_job(name, lambda raw: raw | {"spec": raw["spec"] | {"suspend": event == "suspend"}})
        else:
            ready = {"begin": 0, "ready": 1}[event]
            self.server.update_job(name, lambda raw: raw | {"status": begun | {"ready": ready}})

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

    # Operators

    def elect(self, place: int, *, is_noticed: bool = True) -> None:
        """Another replica gains the lease; what the old leader has sent already may still land.

        Args:
            place: of the replica.
            is_noticed: whether the old leader knows; if not, it goes on as if it led, which its lease should prevent.
        """
        operator, old = self.operators[place], self.leader
        if operator is old:
            return
        if old is not None and is_noticed:
            self._leave_request_behind(old)
            old.restart()
        self.ledger.note_memory_lost()
        operator.restart()
        operator.lead()
        self.leader = operator

    def crash(self, place: int, *, may_land: bool) -> None:
        """A process ends, with or without a last request still on its way."""
        operator = self.operators[place]
        if may_land:
            self._leave_request_behind(operator)
        if operator is self.leader:
            self.ledger.note_memory_lost()
            self.leader = None
        operator.restart()

    def reconcile(self, place: int) -> None:
        """A leader looks at the DiemJob, whether or not there is a reason."""
        operator = self.operators[place]
        if operator.is_leader and operator.is_synced and operator.request is None:
            operator.begin_reconcile()

    def serve(self, place: int) -> None:
        """A request lands and its answer arrives."""
        operator = self.operators[place]
        if operator.request is None:
            return
        try:
            value = self._land(operator.request.carry_out, is_late=operator is not self.leader)
        except ClusterError as error:
            operator.fail(error)
        else:
            operator.answer(value)

    def lose_answer(self, place: int) -> None:
        """A request lands, and its sender never hears of it."""
        operator = self.operators[place]
        if operator.request is not None:
            with suppress(ClusterError):
                self._land(operator.request.carry_out, is_late=operator is not self.leader)
            operator.fail(OutcomeUnknown("the answer was lost"))

    def lose_request(self, place: int, *, is_known: bool) -> None:
        """A request never lands; its sender may or may not know."""
        operator = self.operators[place]
        if operator.request is not None:
            operator.fail(RequestNotSent("no connection") if is_known else OutcomeUnknown("time-out"))

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
                self._land(late.carry_out, is_late=True)

    def _land(self, carry_out: Callable[[], object], *, is_late: bool) -> object:
        self.ledger.is_late = is_late
        try:
            return carry_out()
        finally:
            self.ledger.is_late = False

    def _leave_request_behind(self, operator: OperatorProcess) -> None:
        if operator.request is not None and operator.request.is_write:
            self.late.append(LateRequest(carry_out=operator.request.carry_out, sent_at=self._seconds()))

    def finish_reconcile(self, place: int) -> None:
        """A leader goes on until there is nothing to do but wait."""
        self.reconcile(place)
        self._finish_requests(self.operators[place])

    def _finish_requests(self, operator: OperatorProcess) -> None:
        for _ in range(MAX_STEPS_TO_REST):
            if operator.request is None:
                return
            self.serve(self.operators.index(operator))
        raise AssertionError(f"operator {operator.name} goes round in circles")

    # Rest

    def rest(self, *, is_late_first: bool = True) -> None:
        """Let everything land and nothing fail until nothing moves, and judge what is then.

        Args:
            is_late_first: whether what is late lands before the rest or disturbs it.
        """
        self._finish_commands()
        if not is_late_first:
            self._come_to_rest()
        while self.late:
            self.land_late(0)
        self._come_to_rest()
        if self.diemjob is not None and not self.diemjob.metadata.is_being_deleted:
            self.ledger.judge_rest(self.diemjob)

    def _come_to_rest(self) -> None:
        leader = self._ensure_leader()
        for operator in self.operators:
            if operator.is_leader and operator is not leader:
                operator.restart()
        for is_last in (False, True):
            steps = 0
            while self._take_one_step_to_rest(leader):
                steps += 1
                assert steps <= MAX_STEPS_TO_REST, "there is no rest"
            if not is_last:
                leader.begin_resync()

    def rest_for_long(self) -> None:
        """Rest, let every limit pass, and see that nothing writes any more."""
        for seconds in (0, 2, 70, 4000, 4000):
            self.pass_time(seconds)
            self.rest()
        if self.diemjob is not None:
            self.ledger.judge_long_rest(self.diemjob)
        self.check_nothing_writes()

    def check_nothing_writes(self) -> None:
        """Look again, as after a day, after a restart and after re-applied YAML: no write may follow."""
        before = self.server.diemjob, dict(self.server.jobs)
        for seconds in (0, 90_000):
            self.pass_time(seconds)
            self.elect(1 - self.operators.index(self._ensure_leader()))
            self.edit()
            self.rest()
        assert (self.server.diemjob, dict(self.server.jobs)) == before, "an idle DiemJob was written"

    def lose_status_at_rest(self) -> None:
        """Wipe the status of a DiemJob that had run: no Job may be made or touched because of it."""
        self.rest_for_long()
        diemjob = self.diemjob
        if diemjob is not None and diemjob.metadata.annotations.get(ANNOTATION_RECORDED_UID) == diemjob.metadata.uid:
            before = dict(self.server.jobs)
            self.wipe_status()
            self.rest()
            assert self.server.jobs == before, "a lost status changed Jobs"

    def restore_at_rest(self) -> None:
        """Delete the DiemJob and restore it from a backup: a request for the old one may start nothing."""
        self.rest_for_long()
        diemjob = self.diemjob
        if diemjob is not None and diemjob.spec.run is not None and diemjob.spec.run.target_uid is not None:
            self.delete_diemjob(is_foreground=False)
            self.restore_diemjob()
            self.rest()
            assert not self.server.find_owned_jobs(), "a restored request started a Job"

    def _finish_commands(self) -> None:
        self.server.is_quota_exceeded = False
        while self.commands:
            self.go_on_with_command(0)

    def _ensure_leader(self) -> OperatorProcess:
        if self.leader is None:
            self.elect(0)
        assert self.leader is not None
        return self.leader

    def _take_one_step_to_rest(self, leader: OperatorProcess) -> bool:
        """Do the next thing; return whether there was one."""
        if leader.request is not None:
            self.serve(self.operators.index(leader))
        elif leader.has_news("DiemJob"):
            leader.tell("DiemJob", 1)
        elif leader.has_news("Job"):
            leader.tell("Job", 1)
        elif not leader.is_synced:
            leader.lead()
        elif leader.is_due:
            leader.begin_reconcile()
        else:
            return self._let_kubernetes_end_jobs() or self._await_retry(leader)
        return True

    def _let_kubernetes_end_jobs(self) -> bool:
        before = dict(self.server.jobs)
        self.server.collect_garbage()
        for name, job in list(self.server.jobs.items()):
            if is_being_deleted(job):
                self.server.finish_deletion(name)
        return self.server.jobs != before

    def _await_retry(self, leader: OperatorProcess) -> bool:
        """Let the time until a repeated POST pass; other limits are none of the way to rest."""
        diemjob = self.diemjob
        if diemjob is None or leader.wakes_at is None:
            return False
        attempt = leader.memory.find(KEY, diemjob.metadata.uid).attempt
        if attempt is None or attempt.outcome is PostOutcome.CREATED:
            return False
        self.pass_time(max(0.0, leader.wakes_at - leader.find_seconds()) + 0.001)
        return True


def find_known_ids(diemjob: DiemJob) -> list[RunId]:
    """Return ids that an old manifest could bring again."""
    ids = [entry.id for entry in diemjob.spec.requests]
    return [*ids, *(run.id for run in diemjob.status.runs)]


def find_replayable_ids(diemjob: DiemJob) -> list[RunId]:
    """Return ids that a caller could send again with their Idempotency-Key."""
    return [run_id for run_id in find_known_ids(diemjob) if run_id.startswith("key-")]
