"""Every way to say no over HTTP, and the one translation of the cluster's errors into it.

    Problem(kind, message) ──► RFC 9457 problem+json, with `message` and `error` for programs of the old service

A message tells the caller what was wrong and what to do. It is written here or by a decision, never by the API server,
whose words may tell of other tenants. 408 is no kind: OkHttp would send the start again.
"""

import math
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from diem_operator.cluster.errors import BadRequest, ClusterError, Invalid, NotFound, Refused, TooManyRequests

PROBLEM_JSON: Final = "application/problem+json"
SERVER_NAME: Final = "diem-operator"
"""In the header Server, which would tell the versions of Python and aiohttp otherwise."""

RETRY_AFTER_SECONDS: Final = 2
"""Never 0: with that OkHttp repeats a request by itself."""


class ProblemKind(Enum):
    """What is wrong: the stable `code` that programs may rely on, and its HTTP status."""

    BAD_REQUEST = ("bad-request", HTTPStatus.BAD_REQUEST)
    UNAUTHORIZED = ("unauthorized", HTTPStatus.UNAUTHORIZED)
    ACTION_FORBIDDEN = ("action-forbidden", HTTPStatus.FORBIDDEN)
    UNKNOWN_JOB = ("unknown-job", HTTPStatus.NOT_FOUND)
    UNKNOWN_PATH = ("unknown-path", HTTPStatus.NOT_FOUND)
    METHOD_NOT_ALLOWED = ("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED)
    AMBIGUOUS_ID = ("ambiguous-id", HTTPStatus.CONFLICT)
    LOST_RACE = ("lost-race", HTTPStatus.CONFLICT)
    OTHER_RUN = ("other-run", HTTPStatus.CONFLICT)
    BEING_DELETED = ("being-deleted", HTTPStatus.CONFLICT)
    BODY_TOO_LARGE = ("body-too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    INVALID_PARAMETERS = ("invalid-parameters", HTTPStatus.UNPROCESSABLE_ENTITY)
    REUSED_IDEMPOTENCY_KEY = ("reused-idempotency-key", HTTPStatus.UNPROCESSABLE_ENTITY)
    TOO_MANY_REQUESTS = ("too-many-requests", HTTPStatus.TOO_MANY_REQUESTS)
    INTERNAL = ("internal", HTTPStatus.INTERNAL_SERVER_ERROR)
    NOT_READY = ("not-ready", HTTPStatus.SERVICE_UNAVAILABLE)
    CLUSTER_UNAVAILABLE = ("cluster-unavailable", HTTPStatus.SERVICE_UNAVAILABLE)

    @property
    def code(self) -> str:
        """The problem's name in answers."""
        return self.value[0]

    @property
    def status(self) -> HTTPStatus:
        """The usual HTTP status."""
        return self.value[1]

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A request that is not carried out.

    Attributes:
        status: the HTTP status, where a key's or the server's compatibility asks for another than the usual one.
        details: further members of the problem object.
    """

    def __init__(
        self,
        kind: ProblemKind,
        message: str,
        *,
        status: int | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = HTTPStatus(status or kind.status)
        self.details = details or {}
        self.retry_after_seconds = RETRY_AFTER_SECONDS
        self.allowed_methods = ""


class UnknownJob(Problem):
    """No DiemJob of that id, as far as the caller may know: unknown, another tenant's, outside the key's globs."""

    def __init__(self) -> None:
        super().__init__(
            ProblemKind.UNKNOWN_JOB, "job not found: check the id, and that the key may be used for this job"
        )


def too_many_requests(message: str, *, retry_after_seconds: float = RETRY_AFTER_SECONDS) -> Problem:
    """Return the refusal of a request that may be sent again after so many seconds."""
    problem = Problem(ProblemKind.TOO_MANY_REQUESTS, message)
    problem.retry_after_seconds = max(1, math.ceil(retry_after_seconds))
    return problem


def build_problem_response(problem: Problem, *, context: Mapping[str, object]) -> web.Response:
    """Return the answer to a request that is not carried out.

    Args:
        problem: what is wrong.
        context: what is known of the request: `id`, `action`.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.message,
        "code": problem.kind.code,
        "message": problem.message,
        "error": problem.message,
        **context,
        **problem.details,
    }
    headers: dict[str, str] = {hdrs.SERVER: SERVER_NAME}
    if problem.kind.is_temporary:
        headers["Retry-After"] = str(problem.retry_after_seconds)
    if problem.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'ApiKey header="x-api-key"'
    if problem.allowed_methods:
        headers[hdrs.ALLOW] = problem.allowed_methods  # RFC 9110, section 15.5.6: a 405 names them
    return web.Response(
        status=problem.status.value, body=msgspec.json.encode(body), content_type=PROBLEM_JSON, headers=headers
    )


def problem_of_cluster(error: ClusterError) -> Problem:
    """Translate a failure of the API server; its own words stay in our log."""
    if isinstance(error, NotFound):
        return UnknownJob()
    if isinstance(error, (Invalid, BadRequest)):
        return Problem(
            ProblemKind.INTERNAL, "the cluster refused the change as invalid; tell the operator's administrator"
        )
    if isinstance(error, TooManyRequests):
        problem = Problem(ProblemKind.CLUSTER_UNAVAILABLE, "the cluster is overloaded; try again later")
        problem.retry_after_seconds = max(RETRY_AFTER_SECONDS, math.ceil(error.retry_after_seconds or 0))
        return problem
    if isinstance(error, Refused):
        return Problem(
            ProblemKind.CLUSTER_UNAVAILABLE,
            "the cluster does not let this service do that; tell the operator's administrator",
        )
    return Problem(ProblemKind.CLUSTER_UNAVAILABLE, "the cluster cannot be reached; try again in a few seconds")


def problem_of_http(error: web.HTTPException) -> Problem:
    """Translate what aiohttp's router says."""
    if error.status == HTTPStatus.NOT_FOUND:
        return Problem(ProblemKind.UNKNOWN_PATH, "nothing is at this path; jobs are at /etl-mgr/api/apijob")
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = error.headers.get(hdrs.ALLOW, "")
        problem = Problem(ProblemKind.METHOD_NOT_ALLOWED, f"use {allowed or 'another method'} here")
        problem.allowed_methods = allowed
        return problem
    return Problem(ProblemKind.BAD_REQUEST, "the request cannot be understood; check it", status=error.status)
