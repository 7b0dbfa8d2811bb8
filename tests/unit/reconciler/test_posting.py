"""What is known after a POST, for every answer that a POST can get."""

import msgspec
import pytest

from diem_operator.cluster.errors import ClusterError, OutcomeUnknown, RequestNotSent
from diem_operator.cluster.resources import Cluster
from diem_operator.model import reasons
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import RunId
from diem_operator.planning.job_manifest import build_job
from diem_operator.planning.rules import StartRequest
from diem_operator.planning.steps import CreateJob
from diem_operator.planning.world import PostOutcome
from diem_operator.reconciler.posting import PostResult, post_job
from tests.builders import NAMESPACE, make_diemjob
from tests.unit.reconciler.fake_cluster import FakeApiServer, lost_reply, refusal

REQUEST = StartRequest(id=RunId("r1"), requested_by="apikey/k")
QUOTA = refusal(403, "Forbidden", 'jobs.batch "x" is forbidden: exceeded quota: q, requested: count/jobs.batch=1')
UNKNOWN_OWNER_KIND = refusal(
    403,
    "Forbidden",
    'jobs.batch "x" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for '
    'APIVersion diem.io/v1 Kind DiemJob: no matches for kind "DiemJob" in version "diem.io/v1"',
)


@pytest.fixture
def server() -> FakeApiServer:
    return FakeApiServer()


def make_step() -> CreateJob:
    return CreateJob(request=REQUEST, manifest=build_job(make_diemjob(), REQUEST, number=3))


async def post(server: FakeApiServer, *, is_repeated: bool = False) -> PostResult:
    return await post_job(Cluster(server).jobs, make_step(), is_repeated=is_repeated, timeout_seconds=5)


def put_job(server: FakeApiServer, **metadata: object) -> RawObject:
    """Put a Job under the name of the run's, as an earlier POST would have; with other metadata it is foreign."""
    manifest = make_step().manifest
    return server.put("jobs", manifest | {"metadata": manifest["metadata"] | metadata})


def find_job_key() -> ObjectKey:
    return ObjectKey(namespace=NAMESPACE, name=make_step().manifest["metadata"]["name"])


async def test_created_job_is_known(server: FakeApiServer) -> None:
    result = await post(server)

    assert result.attempt.outcome is PostOutcome.CREATED
    assert result.attempt.job is not None
    assert result.attempt.job.uid
    assert server.calls == ["POST jobs"]


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        pytest.param(refusal(422, "Invalid"), PostOutcome.REJECTED, reasons.JOB_REJECTED, id="invalid"),
        pytest.param(refusal(400, "BadRequest"), PostOutcome.REJECTED, reasons.JOB_REJECTED, id="bad request"),
        pytest.param(refusal(413, "RequestEntityTooLarge"), PostOutcome.REJECTED, reasons.JOB_REJECTED, id="too large"),
        pytest.param(QUOTA, PostOutcome.DEFERRED, reasons.QUOTA_EXCEEDED, id="quota"),
        pytest.param(refusal(403, "Forbidden", "no"), PostOutcome.DEFERRED, reasons.FORBIDDEN, id="no permission"),
        pytest.param(
            UNKNOWN_OWNER_KIND, PostOutcome.DEFERRED, reasons.API_SERVER_UNAVAILABLE, id="kind is not known yet"
        ),
        pytest.param(refusal(401, "Unauthorized"), PostOutcome.DEFERRED, reasons.FORBIDDEN, id="not known"),
        pytest.param(refusal(409, "Conflict"), PostOutcome.DEFERRED, reasons.CONFLICT, id="quota was just changed"),
        pytest.param(
            refusal(429, "TooManyRequests"), PostOutcome.DEFERRED, reasons.TOO_MANY_REQUESTS, id="too many requests"
        ),
        pytest.param(
            refusal(403, "Forbidden", "being terminated", causes=("NamespaceTerminating",)),
            PostOutcome.DEFERRED,
            reasons.NAMESPACE_TERMINATING,
            id="namespace is being deleted",
        ),
        pytest.param(
            refusal(404, "NotFound"), PostOutcome.DEFERRED, reasons.NAMESPACE_TERMINATING, id="namespace is gone"
        ),
        pytest.param(
            RequestNotSent("refused"), PostOutcome.DEFERRED, reasons.API_SERVER_UNAVAILABLE, id="no connection"
        ),
        pytest.param(lost_reply(), PostOutcome.UNKNOWN, reasons.API_SERVER_UNAVAILABLE, id="no answer"),
        pytest.param(
            OutcomeUnknown("x", status=500), PostOutcome.UNKNOWN, reasons.API_SERVER_UNAVAILABLE, id="server error"
        ),
    ],
)
async def test_answer_tells_whether_the_job_exists(
    server: FakeApiServer, error: ClusterError, outcome: PostOutcome, reason: str
) -> None:
    server.fail("POST jobs", error)

    attempt = (await post(server)).attempt

    assert (outcome, reason) == (attempt.outcome, attempt.reason)
    assert attempt.message
    assert server.calls == ["POST jobs"]


async def test_words_of_a_refusal_are_kept_and_bounded(server: FakeApiServer) -> None:
    server.fail("POST jobs", refusal(422, "Invalid", "spec.template: " + "x" * 5000))

    message = (await post(server)).attempt.message

    assert message.startswith("spec.template: x")
    assert len(message) <= 1024


@pytest.mark.parametrize(("error", "is_over_soon"), [(UNKNOWN_OWNER_KIND, True), (QUOTA, False), (lost_reply(), False)])
async def test_only_what_has_not_heard_of_diemjobs_refuses_what_it_soon_takes(
    server: FakeApiServer, error: ClusterError, is_over_soon: bool
) -> None:
    server.fail("POST jobs", error)

    assert (await post(server)).is_over_soon is is_over_soon


async def test_namespace_that_is_being_deleted_is_asked_rarely(server: FakeApiServer) -> None:
    server.fail("POST jobs", refusal(403, "Forbidden", causes=("NamespaceTerminating",)))

    assert (await post(server)).retry_after_seconds >= 60


async def test_pause_that_the_api_server_asks_for_is_passed_on(server: FakeApiServer) -> None:
    error = refusal(429, "TooManyRequests")
    error.retry_after_seconds = 17.0  # type: ignore[attr-defined] # it is a TooManyRequests
    server.fail("POST jobs", error)

    assert (await post(server)).retry_after_seconds == 17


async def test_own_job_of_an_earlier_post_is_adopted(server: FakeApiServer) -> None:
    earlier = put_job(server)

    attempt = (await post(server)).attempt

    assert attempt.outcome is PostOutcome.CREATED
    assert attempt.job is not None
    assert earlier["metadata"]["uid"] == attempt.job.uid


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"ownerReferences": []}, id="owned by nobody"),
        pytest.param({"annotations": {"diem.io/run-id": "another"}}, id="of another run"),
        pytest.param({"annotations": {}}, id="of no run"),
        pytest.param(
            {
                "ownerReferences": [
                    {
                        "apiVersion": "diem.io/v1",
                        "kind": "DiemJob",
                        "name": "nightly-load",
                        "uid": "before",
                        "controller": True,
                    }
                ]
            },
            id="of an earlier DiemJob of this name",
        ),
    ],
)
async def test_foreign_job_under_the_name_is_left_alone(server: FakeApiServer, metadata: dict[str, object]) -> None:
    put_job(server, **metadata)
    before = server.find("jobs", find_job_key())

    attempt = (await post(server)).attempt

    assert attempt.outcome is PostOutcome.NAME_TAKEN
    assert find_job_key().name in attempt.message
    assert before == server.find("jobs", find_job_key())


async def test_job_that_existed_and_is_gone_at_the_next_look_was_made(server: FakeApiServer) -> None:
    put_job(server)
    server.meanwhile("GET jobs", lambda: server.remove("jobs", find_job_key()))

    attempt = (await post(server)).attempt

    assert attempt.outcome is PostOutcome.CREATED
    assert attempt.job is not None
    assert not attempt.job.uid


async def test_taken_name_whose_owner_cannot_be_read_is_asked_again(server: FakeApiServer) -> None:
    put_job(server)
    server.fail("GET jobs", OutcomeUnknown("x", status=503))

    assert (await post(server)).attempt.outcome is PostOutcome.UNKNOWN


# A POST after one of unknown outcome


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(QUOTA, id="quota that the first one has used up"),
        pytest.param(refusal(422, "Invalid"), id="policy that came since"),
        pytest.param(refusal(429, "TooManyRequests"), id="throttled"),
        pytest.param(RequestNotSent("refused"), id="API server is starting"),
    ],
)
async def test_refusal_does_not_hide_the_job_that_the_first_post_has_made(
    server: FakeApiServer, error: ClusterError
) -> None:
    earlier = put_job(server)
    server.fail("POST jobs", error)

    attempt = (await post(server, is_repeated=True)).attempt

    assert attempt.outcome is PostOutcome.CREATED
    assert attempt.job is not None
    assert earlier["metadata"]["uid"] == attempt.job.uid


async def test_refusal_counts_once_it_is_known_that_the_first_post_made_nothing(server: FakeApiServer) -> None:
    server.fail("POST jobs", QUOTA)

    attempt = (await post(server, is_repeated=True)).attempt

    assert (attempt.outcome, attempt.reason) == (PostOutcome.DEFERRED, reasons.QUOTA_EXCEEDED)
    assert server.calls == ["POST jobs", "GET jobs"]


async def test_outcome_stays_unknown_while_no_question_gets_through(server: FakeApiServer) -> None:
    server.fail("POST jobs", RequestNotSent("refused"))
    server.fail("GET jobs", RequestNotSent("refused"))

    assert (await post(server, is_repeated=True)).attempt.outcome is PostOutcome.UNKNOWN


async def test_same_manifest_is_kept_for_the_next_post(server: FakeApiServer) -> None:
    server.fail("POST jobs", lost_reply())

    attempt = (await post(server)).attempt

    assert (make_step().manifest, REQUEST) == (attempt.manifest, attempt.request)
    assert msgspec.json.encode(attempt.manifest)


@pytest.mark.parametrize("is_there", [False, True])
async def test_post_tells_whether_it_has_made_the_job_itself(server: FakeApiServer, is_there: bool) -> None:
    if is_there:
        put_job(server)

    assert (await post(server)).has_made_job is not is_there


async def test_post_without_an_answer_may_still_arrive_although_its_job_is_there(server: FakeApiServer) -> None:
    """An earlier one may have made that."""
    put_job(server)
    server.fail("POST jobs", lost_reply())

    result = await post(server, is_repeated=True)

    assert (result.attempt.outcome, result.is_unanswered) == (PostOutcome.CREATED, True)
