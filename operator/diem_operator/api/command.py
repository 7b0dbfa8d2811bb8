"""What a caller asks for: the fields of the body, the query and the headers, checked and typed. No I/O, no state.

Unknown fields are ignored, so that programs may send more than this version knows.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from diem_operator.access.registry import KeyEntry
from diem_operator.api.errors import Problem, ProblemKind
from diem_operator.model.diemapikey import Action
from diem_operator.model.names import RunId

MAX_ID_LENGTH: Final = 512
"""More than `namespace/name` can have; longer texts are not looked up, and not sent back."""

MAX_IDEMPOTENCY_KEY_LENGTH: Final = 255
IDEMPOTENCY_KEY: Final = "Idempotency-Key"

_RUN_ID_DIGITS = 32


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One request, understood.

    Attributes:
        job_id: as the caller wrote it.
        parameters: for a start.
        expected_run: for a stop: the id or the number of the run to stop; None for whichever runs.
        wait_seconds: how long the answer may be held back until what was asked has taken effect.
        idempotency_key: for a start; None where the caller sent none.
    """

    job_id: str
    action: Action
    parameters: dict[str, str] = {}
    expected_run: str | None = None
    wait_seconds: float = 0.0
    idempotency_key: str | None = None

    @property
    def fingerprint(self) -> str:
        """Tells this command from another one that uses the same Idempotency-Key; waiting is not part of it."""
        content = [self.action, sorted(self.parameters.items()), self.expected_run]
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def parse_command(
    body: Mapping[str, Any],
    *,
    query: Mapping[str, str],
    idempotency_keys: Sequence[str],
    missing_action: Action,
    max_wait_seconds: float,
) -> Command:
    """Understand a request.

    Args:
        body: the JSON object that was sent.
        query: of the URL; `wait` may stand there too.
        idempotency_keys: every value of that header.
        missing_action: what a body without an action asks for.
        max_wait_seconds: the longest `wait`.

    Raises:
        Problem: a field is missing or makes no sense.
    """
    action = _parse_action(body, missing_action)
    return Command(
        job_id=parse_job_id(body),
        action=action,
        parameters=_parse_parameters(body) if action is Action.START else {},
        expected_run=_parse_expected_run(body) if action is Action.STOP else None,
        wait_seconds=_parse_wait(body.get("wait", query.get("wait")), max_wait_seconds),
        idempotency_key=_parse_idempotency_key(idempotency_keys) if action is Action.START else None,
    )


def derive_run_id(entry: KeyEntry, idempotency_key: str) -> RunId:
    """Return the id of the run that this key starts with this Idempotency-Key; the same for every repetition."""
    digest = hashlib.sha256(f"{entry.uid}\0{idempotency_key}".encode()).hexdigest()
    return RunId(f"idempotent-{digest[:_RUN_ID_DIGITS]}")


def parse_job_id(body: Mapping[str, Any]) -> str:
    """Return the body's id.

    Raises:
        Problem: there is none that a job could have.
    """
    job_id = body.get("id")
    if not isinstance(job_id, str) or not job_id:
        raise Problem(ProblemKind.BAD_REQUEST, 'the body needs "id", a text: the name or an alias of a job')
    if len(job_id) > MAX_ID_LENGTH:
        raise Problem(ProblemKind.BAD_REQUEST, f'"id" is longer than {MAX_ID_LENGTH} characters; no job has such an id')
    return job_id


def _parse_action(body: Mapping[str, Any], missing_action: Action) -> Action:
    if "action" not in body:
        return missing_action
    for action in Action:
        if body["action"] == action.value:
            return action
    raise Problem(ProblemKind.BAD_REQUEST, '"action" must be one of "status", "start" and "stop"')


def _parse_parameters(body: Mapping[str, Any]) -> dict[str, str]:
    parameters = body.get("parameters", {})
    is_texts = isinstance(parameters, dict) and all(isinstance(value, str) for value in parameters.values())
    if not is_texts:
        raise Problem(
            ProblemKind.INVALID_PARAMETERS, '"parameters" must be an object of texts: write numbers in quotes'
        )
    return dict(parameters)


def _parse_expected_run(body: Mapping[str, Any]) -> str | None:
    expected = body.get("expectedRun")
    if expected is None or (isinstance(expected, str) and expected):
        return expected
    if isinstance(expected, int) and not isinstance(expected, bool):
        return str(expected)
    raise Problem(ProblemKind.BAD_REQUEST, '"expectedRun" must be the id or the number of a run')


def _parse_wait(wait: object, max_wait_seconds: float) -> float:
    if wait is None:
        return 0.0
    try:
        seconds = math.nan if isinstance(wait, bool) else float(wait)  # type: ignore[arg-type]  # what float() refuses is caught
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if 0 <= seconds <= max_wait_seconds:
        return seconds
    raise Problem(ProblemKind.BAD_REQUEST, f'"wait" must be a number of seconds from 0 to {max_wait_seconds:g}')


def _parse_idempotency_key(values: Sequence[str]) -> str | None:
    if not values:
        return None
    if len(values) == 1 and 0 < len(values[0]) <= MAX_IDEMPOTENCY_KEY_LENGTH and values[0].isprintable():
        return values[0]
    raise Problem(
        ProblemKind.BAD_REQUEST,
        f"send {IDEMPOTENCY_KEY} once, with 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} printable characters",
    )
