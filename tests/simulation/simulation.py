"""The moves that can be made, each small, and the way to rest: everything lands, everyone is told, nothing fails.

A move that makes no sense at the moment does nothing, so that any sequence of moves is a legal history.
"""

from diem_operator.model.names import ANNOTATION_RECORDED_UID
from diem_operator.planning.world import PostOutcome
from tests.simulation.api_server import is_being_deleted
from tests.simulation.callers import Callers
from tests.simulation.kubernetes import Kubernetes
from tests.simulation.operator_process import KEY, OperatorProcess
from tests.simulation.operators import MAX_STEPS_TO_REST, Operators
from tests.simulation.people import People


class Simulation(Callers, People, Kubernetes, Operators):
    """The world, every move in it, and the way to rest."""

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
        elif leader.look is not None:
            self.serve_look(self.operators.index(leader))
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
        """Let the time pass until a POST is repeated, or cannot arrive; other limits are none of the way to rest."""
        diemjob, now_seconds = self.diemjob, leader.find_seconds()
        if diemjob is None or leader.wakes_at is None:
            return False
        recollection = leader.memory.find(KEY, diemjob.metadata.uid)
        attempt = recollection.attempt
        is_failed = attempt is not None and attempt.outcome is not PostOutcome.CREATED
        straggler = leader.memory.find_straggler(KEY, now_seconds=now_seconds)
        may_arrive = straggler is not None and straggler.arrives_for_seconds > 0
        if not may_arrive and not (is_failed and recollection.retry_at_seconds >= now_seconds):
            return False
        self.pass_time(max(0.0, leader.wakes_at - now_seconds) + 0.001)
        return True
