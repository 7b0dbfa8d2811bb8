"""What must never happen, whatever the order of events.

Every write is judged as it is stored, and the end state when all is at rest.
"""

from datetime import datetime

from diem_operator.model import reasons
from diem_operator.model.diemjob import DiemJob, DiemJobStatus, Phase, RunStatus
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import ANNOTATION_RECORDED_UID, MAX_RECENT_RUN_IDS, RunId
from diem_operator.planning.ids import find_state_start, is_seen
from diem_operator.planning.rules import displayed_run, find_due_start, find_unaccounted_ids
from diem_operator.planning.timing import MIN_FINISHED_JOB_SECONDS
from diem_operator.planning.world import PostOutcome, World
from tests.simulation.api_server import find_owner, is_being_deleted, is_finished, run_id_of
from tests.simulation.trace import Request
from tests.simulation.truth import Truth, decode, list_runs

MAX_JOURNALED_RUNS = 50


class Ledger(Truth):
    """Judges requests, writes and rest by what is true."""

    # Requests and writes

    def request_sent(self, request: Request, *, is_fenced: bool) -> None:
        assert not (request.is_write and is_fenced), f"{request.text} was sent after the lease was over"
        if request.posts is not None:
            self.sent.add(request.posts)

    def post_answered(self, run_id: RunId) -> None:
        """The leader was told that it has made the Job of this run."""
        self.answered.add(run_id)

    def job_created(self, raw: RawObject) -> None:
        run_id, uid = run_id_of(raw), raw["metadata"]["uid"]
        if self._is_ours(raw):
            self.run_ids[uid] = run_id
        if self.is_late:
            if self.is_remembered:
                self._judge_late_job(raw)
                self.expected.add(uid)
            self.late.add(uid)
            return
        if not self._is_ours(raw):
            return  # its DiemJob was deleted while the request was on its way; Kubernetes removes it
        assert run_id not in self.made or run_id in self.excused, f"run {run_id} has a second Job"
        self.made.append(run_id)
        self._judge_other_jobs(raw)
        number = find_state_start(run_id)
        if number is not None:
            self.state_starts += run_id not in self.deleted_by_hand
            assert self.state_starts <= self.state_starts_due, f"{run_id} starts although state did not become running"

    def work_left(self, world: World) -> None:
        """A leader has looked at this and left what has time: what people do next must find it as if it were told."""
        spec, status = world.diemjob.spec, world.diemjob.status
        assert spec.state in {"running", status.observed_state}, f"{spec.state} was seen, and not told"
        run_ids = {job.run_id for job in world.owned}
        assert world.due is None or world.due.id in run_ids, f"{world.due.id} waits for its Job, and was left"
        unaccounted = find_unaccounted_ids(spec, status, world.diemjob.metadata.uid)
        untold = [run_id for run_id in unaccounted if world.find_straggler(run_id) is None]  # its Job may come yet
        assert not untold, f"{untold} came to nothing, which was not told"
        job = world.live_job
        # One that finishes while it is deleted for a stop has not ended its run yet.
        is_over = job is not None and job.is_finished and not job.metadata.is_being_deleted
        assert not is_over, "the end of a run was not told"
        for job in world.unseen_jobs:
            assert job.run_id is not None
            assert world.find_attempt(PostOutcome.CREATED, job.run_id), f"{job.run_id} is neither told nor remembered"

    def job_deleted_by_operator(self, raw: RawObject, *, is_foreground: bool) -> None:
        run_id = run_id_of(raw)
        assert raw["metadata"]["uid"] not in self.foreign_uids, "a foreign Job was deleted"
        if is_foreground:
            assert not is_finished(raw), f"the Job of {run_id} had finished, and was deleted to end it"
            return
        assert is_finished(raw), f"the Job of {run_id} was removed unfinished"
        ended_at = datetime.fromisoformat(raw["status"]["conditions"][0]["lastTransitionTime"])
        age_seconds = (self.server.now - ended_at).total_seconds()
        assert age_seconds >= MIN_FINISHED_JOB_SECONDS, f"the Job of {run_id} was removed {age_seconds} s after its end"

    def _judge_late_job(self, raw: RawObject) -> None:
        """The leader knows that this may come: until it cannot, the run is not over, and no other is started."""
        run_id = run_id_of(raw)
        if run_id in self.deleted_by_hand | self.excused | self.forgotten:
            return
        diemjob = self.server.diemjob
        runs = [] if diemjob is None or not self._is_ours(raw) else list_runs(decode(diemjob).status)
        over = [run.id for run in runs if run.phase.is_terminal]
        assert run_id not in over, f"run {run_id} was told to be over while its Job could still be made"
        for other in self.server.jobs.values():
            if other is not raw and other["metadata"]["uid"] not in self._find_excused_uids() and find_owner(other):
                assert is_finished(other), f"{run_id_of(other)} was started while {run_id} could still get a Job"

    def _judge_other_jobs(self, raw: RawObject) -> None:
        for other in self.server.jobs.values():
            is_excused = other["metadata"]["uid"] in self._find_excused_uids() or find_owner(other) is None
            if other is raw or is_excused or other["metadata"]["name"] == raw["metadata"]["name"]:
                continue
            assert self._is_ours(other), "a Job is made while Jobs of an older uid exist"
            assert is_finished(other), f"{run_id_of(raw)} is started while {run_id_of(other)} is unfinished"

    def _find_excused_uids(self) -> set[str]:
        return self.late | self.hidden | self.foreign_uids

    def diemjob_changed(self, old: RawObject | None, new: RawObject | None) -> None:
        if old is None or new is None:
            self._forget_all()
        if new is None:
            return
        before, after = (None if old is None else decode(old)), decode(new)
        was_running = before is not None and before.spec.state == "running"
        if after.spec.state == "running" and not was_running:
            self.state_starts_due += 1
        if before is not None and before.status != after.status and "status" in new:
            self._judge_status(before, after)
            self._note_bounded_out(after)

    def _judge_status(self, old_diemjob: DiemJob, diemjob: DiemJob) -> None:
        before, after = old_diemjob.status, diemjob.status
        self._judge_reasons(before, diemjob)
        if before == DiemJobStatus():
            if self.is_wiped:
                self.forgotten |= {*self.accepted, *self.made, *map(run_id_of, self.server.find_owned_jobs())}
            self.is_wiped = False
        assert len(after.runs) <= MAX_JOURNALED_RUNS
        assert after.phase is not None
        assert after.phase is (Phase.STOPPED if after.run is None else after.run.phase)
        assert all(run.phase.is_terminal for run in after.runs), "the history holds a run that is not over"
        assert len({run.id for run in after.runs}) == len(after.runs), "the history holds a run twice"
        assert after.run is None or is_seen(after, after.run.id)
        old = {run.id: run for run in list_runs(before)}
        new = {run.id: run for run in list_runs(after)}
        for run in new.values():
            self._judge_run(old.get(run.id), run)
            self._judge_job_of(run, diemjob)
        if before.run is not None and before.run.is_live:
            assert before.run.id in new or after.run != before.run, "a live run vanished from status"
            assert after.run is not None
            if after.run.id != before.run.id:
                assert before.run.id in new, f"live run {before.run.id} vanished from status"
                assert new[before.run.id].phase.is_terminal

    def _judge_reasons(self, before: DiemJobStatus, diemjob: DiemJob) -> None:
        """Judge the reasons given by this write; it was decided on the spec as it is, or it would have been refused."""
        old = {run.id: run.reason for run in list_runs(before)}
        for run in list_runs(diemjob.status):
            if run.reason != old.get(run.id):
                assert self._is_true(run, diemjob), f"{run.id} is {run.phase} because of {run.reason}"

    def _is_true(self, run: RunStatus, diemjob: DiemJob) -> bool:
        spec, request = diemjob.spec, diemjob.spec.run
        is_latest = request is not None and request.id == run.id
        has_stop = request is not None and request.stop is not None
        is_restored = request is not None and request.target_uid not in {None, diemjob.metadata.uid}
        match run.reason:
            case reasons.STOP_REQUESTED:
                return spec.state == "stopped" or has_stop
            case reasons.NEVER_STARTED:
                return not is_latest or spec.state == "stopped" or has_stop
            case reasons.SUPERSEDED:
                return (not is_latest and spec.state == "running") or bool(self.late | self.hidden)
            case reasons.RESTORED_REQUEST:
                return is_restored
            case reasons.STATE_LOST:
                return self.is_wiped
            case _:
                return True

    def _note_bounded_out(self, diemjob: DiemJob) -> None:
        status = diemjob.status
        if len(status.runs) >= diemjob.spec.run_history_limit:
            shown = {run.id for run in (*status.runs, status.run) if run and (run.is_live or run in status.runs)}
            self.bounded_out |= {run_id for run_id in self.accepted if is_seen(status, run_id) and run_id not in shown}

    def _judge_run(self, old: RunStatus | None, new: RunStatus) -> None:
        assert new.number >= 1
        if old is not None and old.phase.is_terminal:
            assert new == old, f"run {new.id} was over as {old.phase} and became {new.phase}"
            return
        # A second writer need not know of a Job that the leader has just made; and where a late Job runs beside that
        # one, either may be the one to go on. Rule 9 deletes the other.
        is_second = new.reason == reasons.SUPERSEDED and bool(self.late)
        is_excused = new.id in self.excused or self.is_ghost or is_second
        if new.phase is Phase.STOPPED and not is_excused:
            for job in self.server.find_owned_jobs():
                is_counted = job["metadata"]["uid"] not in (self.late - self.expected) | self.hidden
                assert run_id_of(job) != new.id or not is_counted or is_finished(job), f"{new.id} is Stopped and runs"
        if new.reason == reasons.JOB_DELETED:
            assert new.id in self.deleted_by_hand | self.forgotten | self.taken, (
                f"nobody else deleted the Job of {new.id}"
            )
        if new.phase is Phase.COMPLETED:
            assert "Complete" in self.endings.get(new.id, set()), f"{new.id} did not complete"
        if new.phase is Phase.FAILED and new.reason == "BackoffLimitExceeded":
            assert "Failed" in self.endings.get(new.id, set()), f"{new.id} did not fail"

    def _judge_job_of(self, run: RunStatus, diemjob: DiemJob) -> None:
        """Judge that a Job came first, and that it is this run's."""
        if run.job_uid:
            assert self.run_ids.get(run.job_uid) == run.id, f"{run.id} is recorded with a Job that is not its own"
        elif run.is_live and run.reason != reasons.WAITING_FOR_OLD_JOBS:
            assert run.id in self.sent, f"{run.id} is recorded before its Job was asked for"

    # At rest

    def judge_rest(self, diemjob: DiemJob) -> None:
        """Judge the objects when nothing moves any more."""
        self._judge_jobs_at_rest(diemjob)
        self._judge_status_at_rest(diemjob)
        status = diemjob.status
        runs = {run.id: run for run in list_runs(status)}
        for run_id in self.accepted:
            is_held = diemjob.spec.run is not None and diemjob.spec.run.id == run_id and diemjob.spec.state is None
            if run_id in self.forgotten or is_held:
                continue
            is_pushed_out = self._count_later(run_id) >= MAX_RECENT_RUN_IDS
            assert is_seen(status, run_id) or is_pushed_out, f"accepted id {run_id} is not accounted for"
            assert run_id in runs or run_id in self.bounded_out, f"accepted id {run_id} is not in the history"
        for run_id in self.stopped & set(runs):
            assert runs[run_id].phase.is_terminal, f"{run_id} was stopped and is {runs[run_id].phase}"

    def _judge_jobs_at_rest(self, diemjob: DiemJob) -> None:
        live = diemjob.status.run
        for job in self.server.find_owned_jobs():
            if job["metadata"]["uid"] in self.hidden or is_finished(job):
                continue
            assert not is_being_deleted(job)
            assert live is not None, "a Job runs without a run"
            assert live.is_live, "a Job runs although its run is over"
            assert live.id == run_id_of(job), f"a Job of {run_id_of(job)} runs beside {live.id}"
            assert live.job_uid == job["metadata"]["uid"]
            assert live.id not in self.stopped, f"{live.id} runs although its stop was acknowledged"
        for name, raw in self.foreign.items():
            assert self.server.jobs[name] is raw, "a foreign Job was touched"

    def _judge_status_at_rest(self, diemjob: DiemJob) -> None:
        spec, status = diemjob.spec, diemjob.status
        assert (status.observed_generation, status.observed_state) == (diemjob.metadata.generation, spec.state)
        if not self.hidden:
            assert find_due_start(spec, status, diemjob.metadata.uid) is None, "a start is due, and nothing starts it"
            assert not find_unaccounted_ids(spec, status, diemjob.metadata.uid)
        is_live = status.run is not None and status.run.is_live
        assert not (is_live and (spec.state == "stopped" or (spec.run and spec.run.stop))), "a live run should end"
        conditions = {condition.type: condition.status for condition in status.conditions}
        is_waiting = status.phase in {Phase.SUBMITTED, Phase.PENDING, Phase.STOPPING}
        assert conditions["Reconciling"] == str(is_waiting)
        assert conditions["Ready"] == str(not is_waiting and conditions["Stalled"] == "False")

    def judge_long_rest(self, diemjob: DiemJob) -> None:
        """Judge what has to be so once every limit has passed."""
        finished = [job for job in self.server.find_owned_jobs() if is_finished(job)]
        visible = [job for job in finished if job["metadata"]["uid"] not in self.hidden]
        is_kept = diemjob.spec.ttl_seconds_after_finished is None
        assert len(visible) <= (diemjob.spec.job_history_limit if is_kept else 0), "old Jobs are left"
        run = diemjob.status.run
        if run is not None and not run.is_live:
            assert diemjob.metadata.annotations.get(ANNOTATION_RECORDED_UID) == diemjob.metadata.uid

    def judge_display(self, diemjob: DiemJob) -> None:
        """Judge what a caller is told at any moment."""
        request, shown = diemjob.spec.run, displayed_run(diemjob)
        is_held = diemjob.spec.state is None  # only its author knows what is to be shown then
        if request is None or is_held or is_seen(diemjob.status, request.id):
            return
        is_running = any(
            run_id_of(job) == request.id and not is_finished(job)
            for job in self.server.find_owned_jobs()
            if job["metadata"]["uid"] not in self._find_excused_uids()
        )
        is_started = request.id in self.accepted and request.stop is None and diemjob.spec.state == "running"
        if is_running or is_started:
            assert shown is not None
            assert not shown.phase.is_terminal, f"{shown.phase} of {shown.id} is shown, and {request.id} runs or will"
