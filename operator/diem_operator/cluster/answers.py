"""Turns answers that are no success into errors; lets only redacted words of a body out."""

import re
from http import HTTPStatus
from typing import Final

import msgspec

from diem_operator.cluster.errors import (
    AlreadyExists,
    BadRequest,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    OtherRefusal,
    OutcomeUnknown,
    Refused,
    TooLarge,
    TooManyRequests,
    Unauthorized,
)

MAX_MESSAGE_LENGTH: Final = 1000

REFUSALS: Final[dict[int, type[Refused]]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
}

# An intermediary's time-out: it says nothing about what the server behind it did.
UNKNOWN_4XX: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, 499})

CREDENTIAL: Final = re.compile(
    r"eyJ[\w.-]{8,}|\bbearer\s+\S+|-----BEGIN.*?(?:-----END[^-]*-----|$)", re.IGNORECASE | re.DOTALL
)


class StatusCause(msgspec.Struct, frozen=True):
    """One entry of `details.causes` of a metav1.Status."""

    reason: str = ""


class StatusDetails(msgspec.Struct, frozen=True, rename="camel"):
    """`details` of a metav1.Status."""

    causes: tuple[StatusCause, ...] | None = ()
    retry_after_seconds: float | None = None


class Status(msgspec.Struct, frozen=True):
    """A metav1.Status: the API server's way to say no."""

    code: int = 0
    reason: str | None = ""
    message: str | None = ""
    details: StatusDetails | None = None


def redact(text: str, *, limit: int = MAX_MESSAGE_LENGTH) -> str:
    """Return the text on one line, without what looks like a credential, cut at `limit` characters."""
    line = " ".join(CREDENTIAL.sub("[redacted]", text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def decode_status(body: bytes) -> Status:
    """Read a metav1.Status; a proxy's page or an empty body gives an empty one."""
    try:
        return msgspec.json.decode(body, type=Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Status()


def error_of(what: str, status_code: int, body: bytes, *, retry_after: str | None = None) -> ClusterError:
    """Return the error that an answer other than 2xx stands for.

    Args:
        what: the request, as `METHOD /path`.
        status_code: the answer's HTTP code.
        body: the answer's body, a metav1.Status unless something between us and the API server answered.
        retry_after: the header of that name.
    """
    status = decode_status(body)
    if not HTTPStatus.BAD_REQUEST <= status_code < HTTPStatus.INTERNAL_SERVER_ERROR or status_code in UNKNOWN_4XX:
        return OutcomeUnknown(_describe(what, status_code, status), status=status_code)
    error = _refusal_type(status_code, status)(
        _describe(what, status_code, status),
        status=status_code,
        reason=status.reason or "",
        message=redact(_message_of(what, status)),
        causes=_causes_of(status),
    )
    if isinstance(error, TooManyRequests):
        error.retry_after_seconds = _retry_after_seconds(retry_after, status)
    return error


def error_of_status(what: str, body: bytes) -> ClusterError:
    """Return the error that a metav1.Status inside a stream stands for; its code is its own."""
    return error_of(what, decode_status(body).code, body)


def _refusal_type(status_code: int, status: Status) -> type[Refused]:
    if status.reason == "AlreadyExists":
        return AlreadyExists
    return REFUSALS.get(status_code, OtherRefusal)


def _describe(what: str, status_code: int, status: Status) -> str:
    words = redact(_message_of(what, status)) or "no reason given; look at the API server's log"
    return f"{what}: the API server answered {status_code} {status.reason or ''}".rstrip() + f": {words}"


def _message_of(what: str, status: Status) -> str:
    """Return the server's words, except about Secrets and tokens: they may quote what was sent."""
    if "/secrets" in what or what.endswith("/token"):
        return ""
    return status.message or ""


def _causes_of(status: Status) -> tuple[str, ...]:
    causes = status.details.causes if status.details else None
    return tuple(cause.reason for cause in causes or ())


def _retry_after_seconds(header: str | None, status: Status) -> float:
    if header is not None and header.isdecimal():
        return float(header)
    told = status.details.retry_after_seconds if status.details else None
    return TooManyRequests.retry_after_seconds if told is None else told
