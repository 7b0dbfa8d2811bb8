import json
from http import HTTPStatus

import pytest
from aiohttp import web

from diem_operator.api.errors import (
    Problem,
    ProblemKind,
    UnknownJob,
    build_problem_response,
    problem_of_cluster,
    problem_of_http,
)
from diem_operator.cluster.errors import (
    BadRequest,
    ClusterError,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    OutcomeUnknown,
    RequestNotSent,
    TooManyRequests,
    Unauthorized,
)

SERVERS_WORDS = "diemjobs.diem.io nightly is forbidden in secret-namespace"


def test_problem_is_an_rfc_9457_object_that_old_programs_can_read_too() -> None:
    response = build_problem_response(UnknownJob(), context={"id": "nightly", "action": "start"})

    assert response.status == 404
    assert response.content_type == "application/problem+json"
    message = "job not found: check the id, and that the key may be used for this job"
    assert json.loads(str(response.text)) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": message,
        "code": "unknown-job",
        "message": message,
        "error": message,
        "id": "nightly",
        "action": "start",
    }


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_only_problems_that_pass_say_when_to_try_again(kind: ProblemKind) -> None:
    response = build_problem_response(Problem(kind, "told"), context={})

    assert ("Retry-After" in response.headers) == (response.status in {429, 503})
    assert response.headers.get("Retry-After") != "0"


def test_408_is_never_answered() -> None:
    assert HTTPStatus.REQUEST_TIMEOUT not in {kind.status for kind in ProblemKind}


def test_codes_of_problems_are_distinct() -> None:
    assert len({kind.code for kind in ProblemKind}) == len(ProblemKind)


def test_unauthorized_says_how_to_authenticate() -> None:
    response = build_problem_response(Problem(ProblemKind.UNAUTHORIZED, "told"), context={})

    assert response.headers["WWW-Authenticate"] == 'ApiKey header="x-api-key"'


def test_status_that_compatibility_asks_for_replaces_the_usual_one() -> None:
    response = build_problem_response(Problem(ProblemKind.UNAUTHORIZED, "told", status=403), context={})

    assert response.status == 403
    assert json.loads(str(response.text))["title"] == "Forbidden"
    assert "WWW-Authenticate" not in response.headers


def test_details_are_members_of_the_problem() -> None:
    problem = Problem(ProblemKind.INVALID_PARAMETERS, "told", details={"problems": ("one", "two")})

    assert json.loads(str(build_problem_response(problem, context={}).text))["problems"] == ["one", "two"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotFound(SERVERS_WORDS), ProblemKind.UNKNOWN_JOB),
        (Invalid(SERVERS_WORDS), ProblemKind.INTERNAL),
        (BadRequest(SERVERS_WORDS), ProblemKind.INTERNAL),
        (Forbidden(SERVERS_WORDS), ProblemKind.CLUSTER_UNAVAILABLE),
        (Unauthorized(SERVERS_WORDS), ProblemKind.CLUSTER_UNAVAILABLE),
        (Gone(SERVERS_WORDS), ProblemKind.CLUSTER_UNAVAILABLE),
        (TooManyRequests(SERVERS_WORDS), ProblemKind.CLUSTER_UNAVAILABLE),
        (OutcomeUnknown(SERVERS_WORDS), ProblemKind.CLUSTER_UNAVAILABLE),
        (RequestNotSent(SERVERS_WORDS), ProblemKind.CLUSTER_UNAVAILABLE),
        (ClusterError(SERVERS_WORDS), ProblemKind.CLUSTER_UNAVAILABLE),
    ],
)
def test_words_of_the_api_server_do_not_reach_callers(error: ClusterError, kind: ProblemKind) -> None:
    problem = problem_of_cluster(error)

    assert problem.kind is kind
    assert "secret-namespace" not in str(build_problem_response(problem, context={}).text)


def test_overloaded_cluster_passes_on_how_long_to_wait() -> None:
    error = TooManyRequests("slow down")
    error.retry_after_seconds = 7.2

    assert build_problem_response(problem_of_cluster(error), context={}).headers["Retry-After"] == "8"


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (web.HTTPNotFound(), ProblemKind.UNKNOWN_PATH, 404),
        (web.HTTPMethodNotAllowed("GET", ["POST"]), ProblemKind.METHOD_NOT_ALLOWED, 405),
        (web.HTTPExpectationFailed(), ProblemKind.BAD_REQUEST, 417),
    ],
)
def test_what_the_router_says_becomes_a_problem(error: web.HTTPException, kind: ProblemKind, status: int) -> None:
    problem = problem_of_http(error)

    assert (problem.kind, problem.status) == (kind, status)
