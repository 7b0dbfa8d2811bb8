"""Bodies of requests: either a command that means what was sent, or a Problem that does not repeat it."""

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diem_operator.api.body import parse_object
from diem_operator.api.command import MAX_ID_LENGTH, MAX_IDEMPOTENCY_KEY_LENGTH, Command, parse_command
from diem_operator.api.errors import Problem, ProblemKind
from diem_operator.model.diemapikey import Action
from tests.security.fuzz.profile import FUZZ, read_corpus
from tests.security.fuzz.strategies import JSON_VALUES, MARK, NUMBERS, PLAIN_TEXTS, TEXTS, is_json

T = TypeVar("T")

MAX_WAIT_SECONDS = 60.0
REFUSED = read_corpus("bodies/refused")
UNDERSTOOD = read_corpus("bodies/understood")


def mostly(good: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what lets the other fields be looked at, and now and then something else."""
    return st.one_of(good, good, good, other)


BODIES = st.fixed_dictionaries(
    {"id": mostly(st.just("nightly-load"), st.one_of(JSON_VALUES, TEXTS))},
    optional={
        "action": mostly(st.sampled_from(list(Action)), st.one_of(JSON_VALUES, st.sampled_from(["START", " stop"]))),
        "parameters": mostly(st.dictionaries(TEXTS, TEXTS, max_size=4), JSON_VALUES),
        "expectedRun": mostly(st.one_of(st.none(), st.integers(), st.text(min_size=1)), JSON_VALUES),
        "wait": st.one_of(
            NUMBERS,
            JSON_VALUES,
            st.sampled_from(
                [
                    "nan",
                    "inf",
                    "-inf",
                    "1e3",
                    "\N{ARABIC-INDIC DIGIT THREE}",
                    "1_0",
                    " 5 ",
                    60,
                    "60",
                    -0.0,
                    -1,
                    "-1",
                    -5e-324,
                    60.001,
                ]
            ),
        ),
        "more": JSON_VALUES,
    },
)
KEYS = st.lists(TEXTS, max_size=2)


def understand(body: dict[str, Any], *, query: dict[str, str] | None = None, keys: list[str] | None = None) -> Command:
    return parse_command(
        body,
        query=query or {},
        idempotency_keys=keys or [],
        missing_action=Action.STATUS,
        max_wait_seconds=MAX_WAIT_SECONDS,
    )


def attempt(call: Callable[[], T]) -> T | Problem:
    """Return what comes back, or the Problem; anything else that is raised fails the test."""
    try:
        return call()
    except Problem as problem:
        return problem


def is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@given(st.binary(max_size=200))
@FUZZ
def test_any_bytes_are_an_object_or_a_problem(body: bytes) -> None:
    read = attempt(lambda: parse_object(body))

    if isinstance(read, Problem):
        assert read.kind is ProblemKind.BAD_REQUEST
    else:
        assert read == json.loads(body.decode("utf-8-sig"))


@given(JSON_VALUES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le", "latin-1"]), st.booleans())
@FUZZ
def test_any_json_is_read_as_it_was_written_or_refused(value: Any, encoding: str, is_ascii: bool) -> None:
    assume(is_json(is_text, value))
    body = json.dumps(value, ensure_ascii=is_ascii).encode(encoding, errors="replace")
    is_exact = is_ascii or encoding != "latin-1"
    read = attempt(lambda: parse_object(body))

    if isinstance(read, Problem):
        assert read.kind is ProblemKind.BAD_REQUEST
        assert not isinstance(value, dict) or not encoding.startswith("utf-8")
    elif is_exact:
        assert read == value


@given(st.dictionaries(PLAIN_TEXTS, JSON_VALUES, min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 5))
@FUZZ
def test_name_that_occurs_twice_is_refused_at_any_depth(value: dict[str, Any], which: int, depth: int) -> None:
    assume(is_json(is_text, value))
    members = [f"{json.dumps(name)}:{json.dumps(part)}" for name, part in value.items()]
    members.append(members[which % len(members)])
    body = "{" + ",".join(members) + "}"
    for _ in range(depth):
        body = '{"x":[' + body + "]}"

    with pytest.raises(Problem, match="a name occurs twice"):
        parse_object(body.encode())


@given(JSON_VALUES, st.integers(0xD800, 0xDFFF).map(chr), PLAIN_TEXTS, st.booleans())
@FUZZ
def test_half_characters_never_get_in(value: Any, half: str, text: str, is_name: bool) -> None:
    spoilt = text + half + text
    body = {"x": [value, {spoilt: 1} if is_name else spoilt]}

    with pytest.raises(Problem, match="not UTF-8"):
        parse_object(json.dumps(body).encode())


@given(BODIES, st.dictionaries(st.sampled_from(["wait", "id", "action"]), TEXTS, max_size=2), KEYS)
@FUZZ
def test_command_is_within_its_limits_or_a_problem(
    body: dict[str, Any], query: dict[str, str], keys: list[str]
) -> None:
    command = attempt(lambda: understand(body, query=query, keys=keys))

    if isinstance(command, Problem):
        assert command.kind in {ProblemKind.BAD_REQUEST, ProblemKind.INVALID_PARAMETERS}
        return
    assert 0 < len(command.job_id) <= MAX_ID_LENGTH
    assert command.job_id == body["id"]
    assert command.action == body.get("action", "status")
    assert 0 <= command.wait_seconds <= MAX_WAIT_SECONDS
    assert math.isfinite(command.wait_seconds)
    assert command.expected_run is None or (command.expected_run and command.action is Action.STOP)
    assert command.idempotency_key is None or [command.idempotency_key] == keys
    assert command.idempotency_key is None or 0 < len(command.idempotency_key) <= MAX_IDEMPOTENCY_KEY_LENGTH
    if command.action is Action.START:
        assert command.parameters == body.get("parameters", {})
    else:
        assert command.parameters == {}


COMMANDS = st.builds(
    Command,
    job_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    action=st.sampled_from(list(Action)),
    parameters=st.dictionaries(PLAIN_TEXTS, PLAIN_TEXTS, max_size=4),
    expected_run=st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)),
    wait_seconds=st.floats(0, MAX_WAIT_SECONDS),
    idempotency_key=st.one_of(st.none(), st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1)),
)


def write_body(command: Command) -> tuple[bytes, list[str]]:
    body = {
        "id": command.job_id,
        "action": command.action,
        "parameters": command.parameters,
        "expectedRun": command.expected_run,
        "wait": command.wait_seconds,
    }
    return json.dumps(body).encode(), [] if command.idempotency_key is None else [command.idempotency_key]


def expect(command: Command) -> Command:
    """Return what is left of a command: what its action does not look at is not in it."""
    is_start = command.action is Action.START
    return Command(
        job_id=command.job_id,
        action=command.action,
        parameters=command.parameters if is_start else {},
        expected_run=command.expected_run if command.action is Action.STOP else None,
        wait_seconds=command.wait_seconds,
        idempotency_key=command.idempotency_key if is_start else None,
    )


@given(COMMANDS)
@FUZZ
def test_command_survives_the_way(command: Command) -> None:
    assume(command.idempotency_key is None or len(command.idempotency_key) <= MAX_IDEMPOTENCY_KEY_LENGTH)
    body, keys = write_body(command)

    assert understand(parse_object(body), keys=keys) == expect(command)


@given(COMMANDS, COMMANDS, st.sets(st.sampled_from(Command.__struct_fields__)), st.booleans())
@FUZZ
def test_fingerprint_tells_apart_what_is_asked_and_not_how_long_to_wait(
    one: Command, donor: Command, fields: set[str], is_value_changed: bool
) -> None:
    other = msgspec.structs.replace(one, **{field: getattr(donor, field) for field in fields})
    if is_value_changed:
        other = msgspec.structs.replace(other, parameters={name: f"{text}x" for name, text in other.parameters.items()})
    first, second = expect(one), expect(other)
    is_same = (first.action, first.parameters, first.expected_run) == (
        second.action,
        second.parameters,
        second.expected_run,
    )

    assert (first.fingerprint == second.fingerprint) is is_same


@given(st.sampled_from(["id", "action", "parameters", "expectedRun", "wait"]), JSON_VALUES, KEYS, TEXTS)
@FUZZ
def test_no_message_repeats_what_was_sent(field: str, value: Any, keys: list[str], name: str) -> None:
    secret = {"parameters": {name: MARK, "B": value}, "id": f"{MARK}{'x' * MAX_ID_LENGTH}"}.get(field, [MARK, value])
    body = {"id": "x", "action": "start", "wait": f"{MARK}", field: secret}
    outcome = attempt(lambda: understand(body, keys=[*keys, f"{MARK}\n"]))

    if isinstance(outcome, Problem):
        assert MARK not in f"{outcome} {outcome.message} {outcome.details} {outcome!r}"


@given(st.binary(max_size=60), st.binary(max_size=60))
@FUZZ
def test_no_message_about_json_repeats_it(before: bytes, behind: bytes) -> None:
    outcome = attempt(lambda: parse_object(b'{"id":"' + MARK.encode() + before + MARK.encode() + behind))

    if isinstance(outcome, Problem):
        assert MARK not in f"{outcome} {outcome!r} {outcome.__cause__}"


@pytest.mark.parametrize("name", list(REFUSED))
def test_hostile_body_is_refused(name: str) -> None:
    with pytest.raises(Problem) as refused:
        understand(parse_object(REFUSED[name]))

    assert refused.value.kind in {ProblemKind.BAD_REQUEST, ProblemKind.INVALID_PARAMETERS}
    assert MARK not in f"{refused.value} {refused.value.details}"


@pytest.mark.parametrize("name", list(UNDERSTOOD))
def test_odd_body_means_what_it_says(name: str) -> None:
    command = understand(parse_object(UNDERSTOOD[name]))

    assert (command.job_id, command.action) == ("nightly-load", "start")
