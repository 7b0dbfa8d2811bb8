from typing import Any

import pytest

from diem_operator.api.command import Command, derive_run_id, parse_command
from diem_operator.api.errors import Problem, ProblemKind
from diem_operator.model.diemapikey import Action
from diem_operator.model.names import MAX_RUN_ID_LENGTH
from tests.unit.api.objects import make_entry


def parse(
    body: dict[str, Any],
    *,
    query: dict[str, str] | None = None,
    keys: tuple[str, ...] = (),
    missing_action: Action = Action.STATUS,
) -> Command:
    return parse_command(
        body, query=query or {}, idempotency_keys=keys, missing_action=missing_action, max_wait_seconds=60.0
    )


def refuse(body: dict[str, Any], **more: Any) -> Problem:
    with pytest.raises(Problem) as refusal:
        parse(body, **more)
    return refusal.value


@pytest.mark.parametrize("action", list(Action))
def test_body_says_which_job_and_what_to_do(action: Action) -> None:
    assert parse({"id": "nightly", "action": action.value}) == Command(job_id="nightly", action=action)


@pytest.mark.parametrize("missing_action", [Action.STATUS, Action.START])
def test_body_without_an_action_asks_for_what_the_key_says(missing_action: Action) -> None:
    assert parse({"id": "nightly"}, missing_action=missing_action).action is missing_action


def test_unknown_fields_are_ignored() -> None:
    body = {"id": "nightly", "action": "status", "organisation": "x", "parameters": 5, "expectedRun": []}

    assert parse(body) == Command(job_id="nightly", action=Action.STATUS)


@pytest.mark.parametrize("action", [None, "", "START", "restart", 1, ["start"], {"start": True}])
def test_action_that_is_none_is_refused(action: object) -> None:
    problem = refuse({"id": "nightly", "action": action})

    assert problem.kind is ProblemKind.BAD_REQUEST
    assert problem.message == '"action" must be one of "status", "start" and "stop"'


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": ""}, {"id": 5}, {"id": ["nightly"]}])
def test_body_without_an_id_is_refused(body: dict[str, Any]) -> None:
    problem = refuse(body)

    assert problem.kind is ProblemKind.BAD_REQUEST
    assert problem.message == 'the body needs "id", a text: the name or an alias of a job'


def test_longest_id_is_looked_up() -> None:
    assert len(parse({"id": "x" * 512}).job_id) == 512


def test_overlong_id_is_refused_and_not_sent_back() -> None:
    problem = refuse({"id": "x" * 513})

    assert problem.message == '"id" is longer than 512 characters; no job has such an id'


def test_start_takes_parameters() -> None:
    command = parse({"id": "nightly", "action": "start", "parameters": {"REGION": "eu"}})

    assert command.parameters == {"REGION": "eu"}


@pytest.mark.parametrize("parameters", [None, [], "REGION=eu", {"REGION": 1}, {"REGION": None}])
def test_parameters_that_are_no_texts_are_refused(parameters: object) -> None:
    problem = refuse({"id": "nightly", "action": "start", "parameters": parameters})

    assert problem.kind is ProblemKind.INVALID_PARAMETERS


@pytest.mark.parametrize(
    ("given", "expected"),
    [pytest.param("run-1", "run-1", id="id"), pytest.param(7, "7", id="number"), pytest.param(None, None, id="null")],
)
def test_stop_takes_the_run_that_is_meant(given: object, expected: str | None) -> None:
    assert parse({"id": "nightly", "action": "stop", "expectedRun": given}).expected_run == expected


@pytest.mark.parametrize("given", [True, 1.5, "", [], {}])
def test_expected_run_that_is_none_is_refused(given: object) -> None:
    problem = refuse({"id": "nightly", "action": "stop", "expectedRun": given})

    assert problem.message == '"expectedRun" must be the id or the number of a run'


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        pytest.param({}, {}, 0.0, id="nowhere"),
        pytest.param({"wait": 5}, {}, 5.0, id="in the body"),
        pytest.param({"wait": 0.5}, {}, 0.5, id="part of a second"),
        pytest.param({"wait": "5"}, {}, 5.0, id="as a text"),
        pytest.param({}, {"wait": "60"}, 60.0, id="in the query"),
        pytest.param({"wait": 1}, {"wait": "2"}, 1.0, id="in both"),
    ],
)
def test_wait(body: dict[str, Any], query: dict[str, str], expected: float) -> None:
    assert parse({"id": "nightly"} | body, query=query).wait_seconds == expected


@pytest.mark.parametrize("wait", [-1, 60.1, "soon", "nan", "inf", True, [], 10**400])
def test_wait_that_is_no_such_time_is_refused(wait: object) -> None:
    assert refuse({"id": "nightly", "wait": wait}).message == '"wait" must be a number of seconds from 0 to 60'


def test_start_takes_an_idempotency_key() -> None:
    assert parse({"id": "nightly", "action": "start"}, keys=("order 66",)).idempotency_key == "order 66"


@pytest.mark.parametrize("action", ["status", "stop"])
def test_other_actions_need_no_idempotency_key_and_ignore_it(action: str) -> None:
    assert parse({"id": "nightly", "action": action}, keys=("",)).idempotency_key is None


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(("",), id="empty"),
        pytest.param(("a", "b"), id="two"),
        pytest.param(("x" * 256,), id="too long"),
        pytest.param(("a\tb",), id="control character"),
        pytest.param(("\udcff",), id="no UTF-8"),
    ],
)
def test_unusable_idempotency_key_is_refused(keys: tuple[str, ...]) -> None:
    problem = refuse({"id": "nightly", "action": "start"}, keys=keys)

    assert problem.message == "send Idempotency-Key once, with 1 to 255 printable characters"


def test_run_id_follows_from_api_key_and_idempotency_key() -> None:
    entry, other = make_entry(name="one"), make_entry(name="two")

    assert derive_run_id(entry, "a") == derive_run_id(make_entry(name="one"), "a")
    assert derive_run_id(entry, "a") != derive_run_id(entry, "b")
    assert derive_run_id(entry, "a") != derive_run_id(other, "a")
    assert len(derive_run_id(entry, "x" * 255)) <= MAX_RUN_ID_LENGTH


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        pytest.param({"id": "nightly", "action": "start", "parameters": {"B": "2", "A": "1"}}, True, id="other order"),
        pytest.param({"id": "alias", "action": "start", "parameters": {"A": "1", "B": "2"}}, True, id="by alias"),
        pytest.param(
            {"id": "nightly", "action": "start", "parameters": {"A": "1", "B": "2"}, "wait": 5}, True, id="with wait"
        ),
        pytest.param({"id": "nightly", "action": "start", "parameters": {"A": "1"}}, False, id="fewer parameters"),
        pytest.param(
            {"id": "nightly", "action": "start", "parameters": {"A": "2", "B": "1"}}, False, id="other values"
        ),
    ],
)
def test_fingerprint_tells_what_would_be_started(other: dict[str, Any], *, is_same: bool) -> None:
    command = parse({"id": "nightly", "action": "start", "parameters": {"A": "1", "B": "2"}})

    assert (parse(other).fingerprint == command.fingerprint) is is_same
