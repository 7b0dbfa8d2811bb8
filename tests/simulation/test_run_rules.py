"""Hypothesis chooses the order of events; the ledger judges. Set DIEM_HYPOTHESIS_PROFILE=deep for a long search."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from diem_operator.model.names import RunId
from tests.simulation.simulation import Simulation, find_known_ids, find_replayable_ids

settings.register_profile(
    "quick", max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile(
    "deep", max_examples=20_000, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck)
)
PROFILE = settings.get_profile(os.environ.get("DIEM_HYPOTHESIS_PROFILE", "quick"))

operators = st.integers(0, 1)
places = st.integers(0, 3)
states = st.sampled_from(["running", "stopped"])
job_events = st.sampled_from(["begin", "ready", "complete", "fail", "suspend", "resume", "gone"])


class RunRules(RuleBasedStateMachine):
    """Every move of the simulation, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Simulation()

    @initialize(state=st.sampled_from([None, "running", "stopped"]), has_run=st.booleans())
    def create(self, state: str | None, has_run: bool) -> None:
        self.world.create_diemjob(state=state, run_id=RunId("person-0") if has_run else None)
        self.world.elect(0)

    # Callers

    @rule()
    def start(self) -> None:
        self.world.start()

    @rule()
    def stop(self) -> None:
        self.world.stop()

    @rule()
    def begin_start(self) -> None:
        self.world.begin_start()

    @rule()
    def begin_stop(self) -> None:
        self.world.begin_stop()

    @rule(place=places, is_old=st.booleans())
    def begin_start_with_key(self, place: int, is_old: bool) -> None:
        diemjob = self.world.diemjob
        known = find_replayable_ids(diemjob) if is_old and diemjob is not None else []
        self.world.begin_start(run_id=known[place % len(known)] if known else self.world.next_id("key"))

    @rule(place=places)
    def go_on_with_command(self, place: int) -> None:
        self.world.go_on_with_command(place)

    @rule()
    def start_with_wrong_parameter(self) -> None:
        self.world.begin_start(parameters={"UNKNOWN": "1"})

    # People

    @rule(state=states)
    def set_state(self, state: str) -> None:
        self.world.set_state(state)

    @rule()
    def remove_state(self) -> None:
        self.world.set_state(None)

    @rule(state=st.sampled_from([None, "running", "stopped"]), is_targeted=st.booleans(), place=places)
    def write_run(self, state: str | None, is_targeted: bool, place: int) -> None:
        diemjob = self.world.diemjob
        known = [] if diemjob is None else find_known_ids(diemjob)
        run_id = known[place] if place < len(known) else self.world.next_id("person")
        self.world.write_run(run_id, state=state, is_targeted=is_targeted)

    @rule()
    def remove_run(self) -> None:
        self.world.remove_run()

    @rule(
        job_history_limit=st.integers(0, 2),
        run_history_limit=st.integers(0, 3),
        ttl=st.sampled_from([None, 0, 100]),
        deadline=st.sampled_from([None, 30]),
    )
    def edit_limits(
        self, job_history_limit: int, run_history_limit: int, ttl: int | None, deadline: int | None
    ) -> None:
        self.world.edit(
            jobHistoryLimit=job_history_limit,
            runHistoryLimit=run_history_limit,
            ttlSecondsAfterFinished=ttl,
            startDeadlineSeconds=deadline,
        )

    @rule(is_required=st.booleans())
    def edit_parameters(self, is_required: bool) -> None:
        self.world.edit(parameters=[{"name": "DAY", "required": is_required}])

    @rule()
    def wipe_status(self) -> None:
        self.world.wipe_status()

    @rule(place=places, is_foreground=st.booleans())
    def delete_job(self, place: int, is_foreground: bool) -> None:
        self.world.delete_job(place, is_foreground=is_foreground)

    @rule(place=places)
    def strip_label(self, place: int) -> None:
        self.world.strip_label(place)

    @rule()
    def take_name(self) -> None:
        self.world.take_name()

    @rule(is_foreground=st.booleans())
    def delete_diemjob(self, is_foreground: bool) -> None:
        self.world.delete_diemjob(is_foreground=is_foreground)

    @precondition(lambda self: self.world.diemjob is None)
    @rule(state=st.sampled_from([None, "running", "stopped"]), is_restored=st.booleans())
    def create_again(self, state: str | None, is_restored: bool) -> None:
        if is_restored:
            self.world.restore_diemjob()
        else:
            self.world.create_diemjob(state=state)

    # Kubernetes

    @rule(place=places, event=job_events)
    def advance_job(self, place: int, event: str) -> None:
        self.world.advance_job(place, event)

    @rule()
    def collect_garbage(self) -> None:
        self.world.server.collect_garbage()

    @rule(is_exceeded=st.booleans())
    def set_quota(self, is_exceeded: bool) -> None:
        self.world.server.is_quota_exceeded = is_exceeded

    @rule(is_invalid=st.booleans())
    def set_template(self, is_invalid: bool) -> None:
        self.world.server.is_template_invalid = is_invalid

    @rule(seconds=st.sampled_from([0.1, 1, 10, 40, 100]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    # Operators

    @rule(place=operators, kind=st.sampled_from(["DiemJob", "Job"]), count=st.integers(1, 9))
    def tell(self, place: int, kind: str, count: int) -> None:
        self.world.operators[place].tell("DiemJob" if kind == "DiemJob" else "Job", count)

    @rule(place=operators)
    def reconcile(self, place: int) -> None:
        self.world.reconcile(place)

    @rule(place=operators)
    def finish_reconcile(self, place: int) -> None:
        self.world.finish_reconcile(place)

    @rule(place=operators)
    def serve(self, place: int) -> None:
        self.world.serve(place)

    @rule(place=operators)
    def serve_next(self, place: int) -> None:
        self.world.reconcile(place)
        self.world.serve(place)

    @rule(place=operators)
    def lose_answer(self, place: int) -> None:
        self.world.lose_answer(place)

    @rule(place=operators, is_known=st.booleans())
    def lose_request(self, place: int, is_known: bool) -> None:
        self.world.lose_request(place, is_known=is_known)

    @rule(place=operators)
    def delay_request(self, place: int) -> None:
        self.world.delay_request(place)

    @rule(place=places)
    def land_late(self, place: int) -> None:
        self.world.land_late(place)

    @rule(place=operators, may_land=st.booleans())
    def crash(self, place: int, may_land: bool) -> None:
        self.world.crash(place, may_land=may_land)

    @rule(place=operators)
    def depose_during_a_write(self, place: int) -> None:
        request = self.world.operators[place].request
        if request is not None and request.is_write:
            self.world.elect(1 - place)

    @rule(place=operators, is_noticed=st.booleans())
    def elect(self, place: int, is_noticed: bool) -> None:
        self.world.elect(place, is_noticed=is_noticed)

    # Rest

    @rule(is_late_first=st.booleans())
    def rest(self, is_late_first: bool) -> None:
        self.world.rest(is_late_first=is_late_first)

    @rule()
    def rest_for_long(self) -> None:
        self.world.rest_for_long()

    @rule()
    def lose_status_at_rest(self) -> None:
        self.world.lose_status_at_rest()

    @rule()
    def restore_at_rest(self) -> None:
        self.world.restore_at_rest()

    @invariant()
    def shows_no_older_end_than_what_was_accepted(self) -> None:
        if self.world.diemjob is not None:
            self.world.ledger.judge_display(self.world.diemjob)

    def teardown(self) -> None:
        self.world.rest_for_long()


RunRules.TestCase.settings = PROFILE
TestRunRules = pytest.mark.filterwarnings("default")(RunRules.TestCase)
