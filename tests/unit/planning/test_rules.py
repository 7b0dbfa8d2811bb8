"""The run rules' questions: what is due, what must end, what a caller sees."""

import msgspec
import pytest

from diem_operator.model.diemjob import AcceptedRequest, DiemJob, DiemJobStatus, Phase, RunRequest, RunStatus, State
from diem_operator.model.names import REQUESTER_STATE, RunId, Uid
from diem_operator.planning.rules import (
    StartRequest,
    build_next_number,
    displayed_phase,
    displayed_run,
    find_due_start,
    find_live_run,
    find_request_of,
    find_unaccounted_ids,
    is_restored,
    is_stop_wanted,
)
from tests.builders import UID, make_diemjob, make_request, make_run, make_status

NEVER = DiemJobStatus()
LIVE_PHASES = [Phase.SUBMITTED, Phase.PENDING, Phase.RUNNING, Phase.STOPPING]
ENDS = [Phase.COMPLETED, Phase.FAILED, Phase.STOPPED]


def over(run_id: str = "old", *, observed_state: State | None = State.RUNNING) -> DiemJobStatus:
    return make_status(make_run(run_id, Phase.COMPLETED), observed_state=observed_state)


def live(phase: Phase, *, observed_state: State | None = State.RUNNING) -> DiemJobStatus:
    return make_status(make_run("old", phase), observed_state=observed_state)


def find_due(diemjob: DiemJob) -> StartRequest | None:
    return find_due_start(diemjob.spec, diemjob.status, UID)


@pytest.mark.parametrize(
    ("state", "run", "status", "due"),
    [
        pytest.param(State.RUNNING, make_request("r1"), NEVER, "r1", id="first id"),
        pytest.param(State.RUNNING, make_request("r1"), over(), "r1", id="new id after a run"),
        pytest.param(State.RUNNING, make_request("r1"), live(Phase.RUNNING), "r1", id="new id while another is live"),
        pytest.param(State.RUNNING, make_request("r1", target_uid=None), NEVER, "r1", id="id without target"),
        pytest.param(State.RUNNING, make_request("r1", target_uid=Uid("other")), NEVER, None, id="restored id"),
        pytest.param(State.RUNNING, make_request("r1", is_stopped=True), NEVER, None, id="stopped id"),
        pytest.param(State.STOPPED, make_request("r1"), NEVER, None, id="id under stopped"),
        pytest.param(None, make_request("r1"), NEVER, None, id="id without state"),
        pytest.param(State.RUNNING, make_request("old"), over(), None, id="finished id re-applied"),
        pytest.param(State.RUNNING, None, NEVER, "state-1", id="first start by state"),
        pytest.param(State.RUNNING, None, over(), None, id="running was observed"),
        pytest.param(State.RUNNING, None, over(observed_state=State.STOPPED), "state-1", id="toggled by hand"),
        pytest.param(
            State.RUNNING, make_request("old"), over(observed_state=State.STOPPED), "state-1", id="toggled, old id kept"
        ),
        pytest.param(
            State.RUNNING,
            make_request("old", is_stopped=True),
            over(observed_state=State.STOPPED),
            None,
            id="state healed after an HTTP stop",
        ),
        pytest.param(
            State.RUNNING,
            None,
            live(Phase.STOPPING, observed_state=State.STOPPED),
            "state-1",
            id="toggled while still stopping",
        ),
        *(
            pytest.param(
                State.RUNNING, None, live(phase, observed_state=State.STOPPED), None, id=f"toggled while {phase}"
            )
            for phase in (Phase.SUBMITTED, Phase.PENDING, Phase.RUNNING)
        ),
        pytest.param(State.STOPPED, None, NEVER, None, id="stopped"),
        pytest.param(None, None, NEVER, None, id="no state"),
    ],
)
def test_due_start(state: State | None, run: RunRequest | None, status: DiemJobStatus, due: str | None) -> None:
    found = find_due(make_diemjob(state=state, run=run, status=status))

    assert (None if found is None else found.id) == due


def test_start_by_id_carries_the_request() -> None:
    run = make_request("r1", requested_at="then", parameters={"DAY": "1"})

    found = find_due(make_diemjob(state=State.RUNNING, run=run))

    expected = StartRequest(id=RunId("r1"), requested_by="apikey/1", requested_at="then", parameters={"DAY": "1"})
    assert found == expected
    assert not expected.is_by_state


def test_start_by_state_is_known_by_its_requester() -> None:
    found = find_due(make_diemjob(state=State.RUNNING))

    assert found == StartRequest(id=RunId("state-1"), requested_by=REQUESTER_STATE)
    assert found.is_by_state


@pytest.mark.parametrize("phase", list(Phase))
def test_run_is_live_until_it_is_over(phase: Phase) -> None:
    run = make_run(phase=phase)

    assert find_live_run(make_status(run)) == (run if phase in LIVE_PHASES else None)


def test_diemjob_that_never_ran_has_no_live_run() -> None:
    assert find_live_run(NEVER) is None


@pytest.mark.parametrize(
    ("state", "run", "is_wanted"),
    [
        pytest.param(State.STOPPED, None, True, id="state stopped"),
        pytest.param(State.RUNNING, make_request(is_stopped=True), True, id="HTTP stop outlives a healed state"),
        pytest.param(None, make_request(is_stopped=True), True, id="HTTP stop without state"),
        pytest.param(State.RUNNING, make_request(), False, id="running"),
        pytest.param(None, None, False, id="absent state stops nothing"),
    ],
)
def test_stop_is_wanted_by_state_or_by_the_request(
    state: State | None, run: RunRequest | None, is_wanted: bool
) -> None:
    assert is_stop_wanted(make_diemjob(state=state, run=run).spec) is is_wanted


@pytest.mark.parametrize(("target", "expected"), [(None, False), (UID, False), (Uid("other"), True), (Uid(""), True)])
def test_request_for_another_uid_is_restored(target: Uid | None, expected: bool) -> None:
    assert is_restored(make_request(target_uid=target), UID) is expected


def accepted(*ids: str) -> tuple[AcceptedRequest, ...]:
    return tuple(AcceptedRequest(id=RunId(run_id), action="start") for run_id in ids)


@pytest.mark.parametrize(
    ("state", "run", "requests", "unaccounted"),
    [
        pytest.param(State.RUNNING, make_request("r1"), accepted("r1"), [], id="waits for its start"),
        pytest.param(None, make_request("r1"), accepted("r1"), [], id="held without state"),
        pytest.param(State.STOPPED, make_request("r1"), accepted("r1"), ["r1"], id="state stopped"),
        pytest.param(State.RUNNING, make_request("r1", is_stopped=True), accepted("r1"), ["r1"], id="has a stop"),
        pytest.param(State.RUNNING, make_request("r1", target_uid=Uid("x")), (), ["r1"], id="restored"),
        pytest.param(State.RUNNING, make_request("r2"), accepted("r1", "r2"), ["r1"], id="replaced"),
        pytest.param(State.RUNNING, None, accepted("r1", "r1", "r2"), ["r1", "r2"], id="run removed; in order, once"),
        pytest.param(State.RUNNING, make_request("old"), accepted("old"), [], id="seen"),
        pytest.param(State.STOPPED, make_request("old"), accepted("old"), [], id="seen, stopped"),
    ],
)
def test_ids_that_will_never_start_are_unaccounted_for(
    state: State | None, run: RunRequest | None, requests: tuple[AcceptedRequest, ...], unaccounted: list[str]
) -> None:
    diemjob = make_diemjob(state=state, run=run, requests=requests, status=over())

    assert list(find_unaccounted_ids(diemjob.spec, diemjob.status, UID)) == unaccounted


@pytest.mark.parametrize(
    ("run_id", "spec_run", "expected"),
    [
        pytest.param("r1", make_request("r1", parameters={"A": "1"}), {"A": "1"}, id="by id"),
        pytest.param("state-3", make_request("r1"), {}, id="by state"),
        pytest.param("state-3", make_request("state-3", parameters={"A": "1"}), {"A": "1"}, id="an id like a state's"),
        pytest.param("r2", make_request("r1"), None, id="replaced"),
        pytest.param("r2", None, None, id="removed"),
    ],
)
def test_request_of_a_recorded_run(run_id: str, spec_run: RunRequest | None, expected: dict[str, str] | None) -> None:
    found = find_request_of(make_diemjob(run=spec_run).spec, make_run(run_id))

    assert (None if found is None else found.parameters) == expected


@pytest.mark.parametrize(
    ("diemjob", "phase", "run_id"),
    [
        pytest.param(make_diemjob(), Phase.STOPPED, None, id="never ran"),
        *(
            pytest.param(make_diemjob(state=State.RUNNING, status=live(phase)), phase, "old", id=phase)
            for phase in LIVE_PHASES
        ),
        *(
            pytest.param(make_diemjob(status=make_status(make_run("old", phase))), phase, "old", id=phase)
            for phase in ENDS
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("r1")), Phase.SUBMITTED, "r1", id="first start accepted"
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("r1"), status=over()),
            Phase.SUBMITTED,
            "r1",
            id="a start accepted hides the end of the run before",
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, status=over(observed_state=State.STOPPED)),
            Phase.SUBMITTED,
            "state-1",
            id="toggled",
        ),
        pytest.param(
            make_diemjob(state=State.STOPPED, status=live(Phase.RUNNING)), Phase.STOPPING, "old", id="stop accepted"
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("r1"), status=live(Phase.RUNNING)),
            Phase.STOPPING,
            "old",
            id="superseded",
        ),
        pytest.param(
            make_diemjob(state=State.STOPPED, run=make_request("r1", is_stopped=True), status=over()),
            Phase.STOPPING,
            "r1",
            id="stopped before the status tells of it",
        ),
        pytest.param(
            make_diemjob(state=State.STOPPED, run=make_request("r1", target_uid=Uid("other")), status=over()),
            Phase.STOPPED,
            "r1",
            id="restored, so that it never starts",
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("old", is_stopped=True), status=live(Phase.RUNNING)),
            Phase.STOPPING,
            "old",
            id="HTTP stop, state healed",
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, status=live(Phase.STOPPING, observed_state=State.STOPPED)),
            Phase.STOPPING,
            "old",
            id="toggled while still stopping",
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("r1", target_uid=Uid("other")), status=over()),
            Phase.STOPPED,
            "r1",
            id="restored request",
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, run=make_request("old"), status=over()),
            Phase.COMPLETED,
            "old",
            id="finished id re-applied",
        ),
        pytest.param(
            make_diemjob(state=State.RUNNING, requests=accepted("r1"), status=over()),
            Phase.COMPLETED,
            "old",
            id="request taken out of the spec",
        ),
        pytest.param(make_diemjob(run=make_request("r1"), status=over()), Phase.COMPLETED, "old", id="held request"),
    ],
)
def test_caller_sees_what_was_asked_for_last(diemjob: DiemJob, phase: Phase, run_id: str | None) -> None:
    shown = displayed_run(diemjob)

    assert displayed_phase(diemjob) is phase
    assert (None if shown is None else shown.id) == run_id


def test_run_that_is_about_to_stop_is_shown_without_the_reason_it_had() -> None:
    status = make_status(make_run("old", Phase.PENDING, reason="PodUnschedulable", message="no node"))

    shown = displayed_run(make_diemjob(state=State.STOPPED, status=status))

    assert shown is not None
    assert (shown.reason, shown.message) == ("", "")


def test_run_that_is_stopping_is_shown_as_it_is() -> None:
    run = make_run("old", Phase.STOPPING, reason="StopRequested", message="blocked")

    assert displayed_run(make_diemjob(state=State.STOPPED, status=make_status(run))) is run


@pytest.mark.parametrize(
    ("runs", "number"),
    [
        pytest.param((), 1, id="first"),
        pytest.param((make_run("live", number=3),), 4, id="after the live run"),
        pytest.param(
            (make_run("a", Phase.STOPPED, number=2), make_run("b", Phase.STOPPED, number=9)), 10, id="highest"
        ),
    ],
)
def test_next_number_is_above_all_others(runs: tuple[RunStatus, ...], number: int) -> None:
    assert build_next_number(make_status(*runs)) == number


def test_request_of_a_start_by_state_names_its_requester() -> None:
    found = find_request_of(make_diemjob().spec, make_run("state-3"))

    assert found == StartRequest(id=RunId("state-3"), requested_by=REQUESTER_STATE)


def test_announced_run_has_the_number_it_will_get() -> None:
    status = make_status(make_run("old", Phase.COMPLETED, number=4))

    shown = displayed_run(make_diemjob(state=State.RUNNING, run=make_request("r1"), status=status))

    assert shown is not None
    assert shown.number == 5


def test_rules_answer_alike_for_a_spec_that_went_over_the_wire() -> None:
    diemjob = make_diemjob(state=State.RUNNING, run=make_request("r1"), requests=accepted("r0"))
    decoded = msgspec.convert(msgspec.to_builtins(diemjob), DiemJob)

    assert find_due(decoded) == find_due(diemjob)
