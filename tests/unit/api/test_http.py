"""The contract, over HTTP, in front of a cluster in memory; tests/integration/test_api.py asks a real one."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

import msgspec
import pytest

from diem_operator.cluster.errors import Forbidden, Invalid, OutcomeUnknown, RequestNotSent
from diem_operator.model.diemapikey import Action, Compatibility, StatusCodes
from diem_operator.model.diemjob import ParameterDeclaration, Phase
from diem_operator.settings import KeySettings, Tenant
from tests.unit.api.fake_cluster import FakeCluster
from tests.unit.api.objects import NIGHTLY, make_diemjob, make_diemjob_in
from tests.unit.api.service import QUICK, Service, running_service

STATUS = {"id": "nightly", "action": "status"}
START = {"id": "nightly", "action": "start"}
STOP = {"id": "nightly", "action": "stop"}


async def test_status_start_and_stop(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())

    messages = [(await service.ask(body)).body["message"] for body in (STATUS, START, START, STOP, STOP)]

    assert messages == ["Stopped", "job started", "job already running", "job stopped", "job stopped"]


async def test_documented_javascript_client_sends_no_action_and_gets_the_status(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob_in(Phase.RUNNING))

    answer = await service.ask({"id": "nightly"})

    assert (answer.status, answer.body["message"], answer.body["action"]) == (200, "Running", "status")


async def test_key_may_say_that_a_missing_action_starts(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    token = service.add_key(compatibility=Compatibility(missing_action=Action.START))

    assert (await service.ask({"id": "nightly"}, token=token)).body["message"] == "job started"


async def test_documented_request_with_a_cookie_and_without_a_content_type_is_fine(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    headers = {"X-API-Key": service.token, "Cookie": "session=1"}

    answer = await service.send(headers=headers, body=json.dumps(STATUS).encode())

    assert answer.status == 200


async def test_job_is_found_by_its_old_id(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob(aliases=("5fd3a340b15cc4d3b71b7cc7",)))

    answer = await service.ask({"id": "5fd3a340b15cc4d3b71b7cc7", "action": "start"})

    assert (answer.body["message"], answer.body["id"]) == ("job started", "5fd3a340b15cc4d3b71b7cc7")


@pytest.mark.parametrize("body", [STATUS, START, STOP])
async def test_every_answer_tells_message_id_action_status_and_run(service: Service, body: dict[str, str]) -> None:
    service.cluster.diemjobs.store(make_diemjob_in(Phase.RUNNING))

    told = (await service.ask(body)).body

    assert list(told) == ["message", "id", "action", "status", "run"]
    assert (told["id"], told["action"]) == ("nightly", body["action"])


async def test_answers_are_not_to_be_cached_and_do_not_tell_the_software(service: Service) -> None:
    answer = await service.ask(STATUS)

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "diem-operator"


async def test_all_that_is_wrong_with_a_key_is_one_answer(service: Service) -> None:
    revoked = service.add_key(revoked=True)
    tokens = ["", "nonsense", service.token + "x", revoked, service.token.swapcase()]

    answers = [await service.ask(START, token=token) for token in tokens]
    no_header = await service.send(headers={"Content-Type": "application/json"}, body=b"{}")

    assert {(answer.status, answer.text) for answer in answers} == {(401, no_header.text)}
    assert no_header.status == 401
    assert no_header.headers["WWW-Authenticate"] == 'ApiKey header="x-api-key"'
    assert no_header.body["message"] == "a valid API key is needed in the header x-api-key"


async def test_nothing_of_the_body_matters_without_a_key(service: Service) -> None:
    answer = await service.send(headers={"Content-Type": "text/plain"}, body=b"no JSON")

    assert answer.status == 401


async def test_two_keys_in_one_request_are_none(service: Service) -> None:
    headers = [("x-api-key", service.token), ("x-api-key", service.token)]
    url = f"http://127.0.0.1:{service.port}/etl-mgr/api/apijob"

    async with service.session.post(url, headers=headers, data=b"{}") as response:
        assert response.status == 401


async def test_legacy_key_gets_the_status_codes_of_old(service: Service) -> None:
    legacy = Compatibility(status_codes=StatusCodes.LEGACY)
    good, revoked = service.add_key(compatibility=legacy), service.add_key(compatibility=legacy, revoked=True)

    unknown = await service.ask({"id": "no-such-job", "action": "start"}, token=good)
    refused = await service.ask(START, token=revoked)

    assert (unknown.status, unknown.body["message"], unknown.body["status"]) == (200, "job not found", None)
    assert (refused.status, refused.body["code"]) == (403, "unauthorized")


async def test_server_may_answer_403_to_callers_without_a_key() -> None:
    async with running_service(msgspec.structs.replace(QUICK, missing_key_status=403)) as service:
        assert (await service.ask(START, token="")).status == 403


async def test_key_without_the_action_gets_403(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    token = service.add_key(actions=(Action.STATUS,))

    answer = await service.ask(START, token=token)

    assert (answer.status, answer.body["code"]) == (403, "action-forbidden")
    assert answer.body["message"] == "this key may not be used for 'start'"
    assert (await service.ask(STATUS, token=token)).status == 200


async def test_unknown_foreign_and_forbidden_jobs_are_one_answer(service: Service) -> None:
    for namespace in ("team-a", "team-b"):
        service.cluster.diemjobs.store(make_diemjob(namespace=namespace))
    token = service.add_key(jobs=("report-*",))

    ids = ("no-such-job", "team-b/nightly", "nightly")
    answers = [await service.ask({"id": job_id, "action": "start"}, token=token) for job_id in ids]

    assert {answer.status for answer in answers} == {404}
    assert len({answer.text.replace(job_id, "") for answer, job_id in zip(answers, ids, strict=True)}) == 1
    assert (answers[0].body["id"], answers[0].body["action"]) == ("no-such-job", "start")


async def test_mapped_namespace_is_reached_by_its_name() -> None:
    keys = KeySettings(tenants={"team-a": Tenant(namespaces=("team-b",))})
    async with running_service(msgspec.structs.replace(QUICK, keys=keys)) as service:
        service.cluster.diemjobs.store(make_diemjob(namespace="team-b"))

        assert (await service.ask({"id": "team-b/nightly", "action": "status"})).status == 200
        assert (await service.ask(STATUS)).status == 404


async def test_id_of_several_jobs_is_a_conflict(service: Service) -> None:
    for name in ("a", "b"):
        service.cluster.diemjobs.store(make_diemjob(name, aliases=("nightly",)))

    answer = await service.ask(START)

    assert (answer.status, answer.body["code"]) == (409, "ambiguous-id")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"{", 400, "bad-request", id="no JSON"),
        pytest.param(b"{}", 400, "bad-request", id="no id"),
        pytest.param(b'{"id": "nightly", "action": "restart"}', 400, "bad-request", id="unknown action"),
        pytest.param(b'{"id": "nightly", "id": "nightly"}', 400, "bad-request", id="duplicate name"),
        pytest.param(b'{"id": "nightly", "wait": NaN}', 400, "bad-request", id="NaN"),
        pytest.param(b'{"id": "nightly", "wait": 61}', 400, "bad-request", id="too long a wait"),
        pytest.param(b'{"id": "' + b"x" * 70000 + b'"}', 413, "body-too-large", id="70 kB"),
        pytest.param(
            b'{"id": "nightly", "action": "start", "parameters": {"REGION": "asia"}}',
            422,
            "invalid-parameters",
            id="parameter out of its enum",
        ),
    ],
)
async def test_wrong_body(service: Service, body: bytes, status: int, code: str) -> None:
    service.cluster.diemjobs.store(make_diemjob(parameters=(ParameterDeclaration(name="REGION", enum=("eu", "us")),)))

    answer = await service.send(headers={"x-api-key": service.token}, body=body)

    assert (answer.status, answer.body["status"], answer.body["code"]) == (status, status, code)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.body["message"] == answer.body["error"] == answer.body["detail"]


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/plain", "application/xml"])
async def test_other_media_types_get_415(service: Service, media_type: str) -> None:
    answer = await service.ask(STATUS, Content_Type=media_type)

    assert (answer.status, answer.body["code"]) == (415, "unsupported-media-type")


async def test_compressed_body_is_not_unpacked(service: Service) -> None:
    assert (await service.ask(STATUS, Content_Encoding="gzip")).status == 415


async def test_chunked_body_is_fine(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    url = f"http://127.0.0.1:{service.port}/etl-mgr/api/apijob"

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"id": "nightly"'
        yield b', "action": "status"}'

    async with service.session.post(url, headers={"x-api-key": service.token}, data=pieces()) as response:
        assert response.status == 200


async def test_idempotency_key_repeats_the_answer(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())

    first, second = [await service.ask(START, Idempotency_Key="order 66") for _ in range(2)]

    assert first.text == second.text
    assert len(service.cluster.diemjobs.patches) == 1


async def test_idempotency_key_for_another_body_gets_422(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob(parameters=(ParameterDeclaration(name="REGION"),)))
    await service.ask(START, Idempotency_Key="order 66")

    answer = await service.ask(START | {"parameters": {"REGION": "eu"}}, Idempotency_Key="order 66")

    assert (answer.status, answer.body["code"]) == (422, "reused-idempotency-key")


async def test_stop_of_another_run_than_expected_gets_409(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob_in(Phase.RUNNING, run_id="run-2"))

    answer = await service.ask(STOP | {"expectedRun": "run-1"})

    assert (answer.status, answer.body["code"]) == (409, "other-run")


async def test_commands_that_pile_up_get_429(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    answers = []
    for _ in range(10):
        answers += [await service.ask(START), await service.ask(STOP)]

    refused = [answer for answer in answers if answer.status != 200]

    assert {answer.status for answer in refused} == {429}
    assert refused[0].headers["Retry-After"] == "2"


async def test_key_revoked_while_its_holder_waits_learns_nothing(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob_in(Phase.RUNNING))
    token = service.add_key(name="short-lived")
    asking = asyncio.create_task(service.ask(STATUS | {"wait": 30}, token=token))
    while not service.read_metric("diem_api_waiting_requests"):  # noqa: ASYNC110 - it is a poll
        await asyncio.sleep(0.001)
    service.add_key(name="short-lived", revoked=True)
    service.cluster.diemjobs.store(make_diemjob_in(Phase.COMPLETED))

    assert (await asking).status == 401


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (RequestNotSent("no connection"), 503, "cluster-unavailable"),
        (Forbidden("the policy of the cluster says no"), 503, "cluster-unavailable"),
        (Invalid("spec.requests is too long"), 500, "internal"),
        (ZeroDivisionError("a mistake of ours"), 500, "internal"),
    ],
)
async def test_failures_behind_the_api_are_told_without_their_words(
    service: Service, failure: Exception, status: int, code: str
) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    service.cluster.diemjobs.failures.append(failure)

    answer = await service.ask(START)

    assert (answer.status, answer.body["code"]) == (status, code)
    assert str(failure) not in answer.text


async def test_unknown_outcome_that_can_be_looked_up_is_an_answer(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    service.cluster.diemjobs.late_failures.append(OutcomeUnknown("no answer"))

    assert (await service.ask(START)).body["message"] == "job started"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_other_methods_get_405(service: Service, method: str) -> None:
    answer = await service.send(method, headers={"x-api-key": service.token})

    assert answer.status == 405


async def test_405_says_which_method_to_use(service: Service) -> None:
    answer = await service.send("GET")

    assert (answer.body["code"], answer.body["message"]) == ("method-not-allowed", "use POST here")


async def test_unknown_expectation_is_refused_like_everything_else(service: Service) -> None:
    answer = await service.ask(STATUS, Expect="wonders")

    assert (answer.status, answer.body["code"]) == (417, "bad-request")
    assert "without the header Expect" in answer.body["message"]


async def test_body_is_asked_for_where_that_is_expected(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())

    assert (await service.ask(STATUS, Expect="100-continue")).status == 200


async def test_other_paths_get_404(service: Service) -> None:
    answer = await service.send("POST", "/etl-mgr/api/other", headers={"x-api-key": service.token})

    assert (answer.status, answer.body["code"]) == (404, "unknown-path")


async def test_probes_need_no_key(service: Service) -> None:
    answers = [await service.send("GET", path) for path in ("/healthz", "/readyz")]

    assert [(answer.status, answer.text) for answer in answers] == [(200, "ok\n")] * 2


async def test_callers_do_not_get_metrics(service: Service) -> None:
    assert (await service.send("GET", "/metrics")).status == 404


async def test_answers_are_counted_by_action_and_status(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    await service.ask(START)
    await service.ask(START, token="nonsense")

    assert service.read_metric("diem_api_requests_total", action="start", code="200") == 1
    assert service.read_metric("diem_api_requests_total", action="none", code="401") == 1
    assert service.read_metric("diem_api_authentications_total", verdict="unknown") == 1
    assert service.read_metric("diem_api_cached_objects", resource="diemjobs") == 1
    assert service.read_metric("diem_api_cached_objects", resource="diemapikeys") == 1


async def test_neither_key_nor_token_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    service.cluster.diemjobs.store(make_diemjob())
    wrong = secrets.token_urlsafe()
    service.cluster.diemjobs.failures.append(ZeroDivisionError("a mistake of ours"))

    await service.ask(START)
    await service.ask(START, token=wrong)

    assert service.token not in caplog.text
    assert wrong not in caplog.text


async def test_callers_are_told_503_until_the_keys_are_known() -> None:
    cluster = FakeCluster()
    cluster.apikeys.failures.extend([RequestNotSent("no connection")] * 1000)
    async with running_service(cluster=cluster) as service:
        answer = await service.ask(START)
        ready = await service.send("GET", "/readyz")

        assert (answer.status, answer.body["code"]) == (503, "not-ready")
        assert answer.headers["Retry-After"] == "2"
        assert (ready.status, ready.text) == (503, "not yet or no longer: keys\n")
        assert (await service.send("GET", "/healthz")).status == 200


async def test_callers_are_told_503_until_the_jobs_are_known() -> None:
    cluster = FakeCluster()
    cluster.diemjobs.failures.extend([RequestNotSent("no connection")] * 1000)
    async with running_service(cluster=cluster) as service:
        assert (await service.ask(START)).status == 503
        assert (await service.ask(START, token="nonsense")).status == 401


async def test_unconfirmed_registry_opens_nothing() -> None:
    async with running_service(msgspec.structs.replace(QUICK, max_unconfirmed_seconds=-1.0)) as service:
        answer = await service.ask(START)

        assert (answer.status, answer.body["code"]) == (503, "not-ready")


async def test_new_job_is_served_as_soon_as_the_watch_tells_it(service: Service) -> None:
    assert (await service.ask(STATUS)).status == 404

    service.cluster.diemjobs.store(make_diemjob())

    assert (await service.ask(STATUS)).status == 200


async def test_deleted_job_is_unknown(service: Service) -> None:
    service.cluster.diemjobs.store(make_diemjob())
    service.cluster.diemjobs.hold_watch()
    service.cluster.diemjobs.remove(NIGHTLY)

    assert (await service.ask(STATUS)).status == 404
