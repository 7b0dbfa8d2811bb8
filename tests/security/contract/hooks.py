"""What Schemathesis does not know of jobs: which one exists, when a field is looked at, and that waiting takes long."""

from typing import Any

import schemathesis

Case = schemathesis.Case[Any]

JOB = "nightly-load"
SHORT_WAIT_SECONDS = 0.01
_SHORT = range(1, 100)


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Ask about the job that exists, in every second body that names one; else hardly any request would get far."""
    if not isinstance(body, dict):
        return body
    job_id = body.get("id")
    is_about_job = isinstance(job_id, str) and len(job_id) in _SHORT and sum(job_id.encode(errors="replace")) % 2
    return body | {"id": JOB} if is_about_job else body


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Make a wait that is allowed a short one, and aim what is wrong at the action that looks at it.

    Other actions ignore it, as they do unknown fields.
    """
    asked = (case.query or {}).get("wait")
    if _is_good_wait(asked):
        case.query = {**case.query, "wait": SHORT_WAIT_SECONDS}
    if not isinstance(case.body, dict):
        return
    if asked is not None and not _is_good_wait(asked):
        case.body = {name: value for name, value in case.body.items() if name != "wait"}  # it would be the stronger one
    elif _is_good_wait(case.body.get("wait")):
        case.body = case.body | {"wait": SHORT_WAIT_SECONDS}
    if not _is_good_key(case) or not _are_good_parameters(case.body.get("parameters", {})):
        case.body = case.body | {"action": "start"}
    elif not _is_good_run(case.body.get("expectedRun")):
        case.body = case.body | {"action": "stop"}


def _is_good_wait(wait: object) -> bool:
    if isinstance(wait, bool) or not isinstance(wait, (int, float, str)):
        return False
    try:
        return 0 <= float(wait) <= 60
    except (ValueError, OverflowError):
        return False


def _is_good_key(case: Case) -> bool:
    headers: dict[str, Any] = dict(case.headers or {})
    key = headers.get("Idempotency-Key", "x")
    return isinstance(key, str) and 0 < len(key) <= 255 and key.isprintable()


def _are_good_parameters(parameters: object) -> bool:
    return isinstance(parameters, dict) and all(isinstance(value, str) for value in parameters.values())


def _is_good_run(run: object) -> bool:
    return run is None or (isinstance(run, (str, int)) and not isinstance(run, bool) and run != "")
