"""Every row of the API's table of actions, and every error, at a real API server; the test plays the operator."""

import asyncio
import dataclasses
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from diem_operator.access.tokens import hash_token
from diem_operator.model.diemjob import Phase, State
from diem_operator.settings import KeySettings, Tenant
from tests.integration.api_world import JOB, QUICK, Answer, ApiWorld, api_world, make_namespace_name
from tests.integration.identities import API_ACCOUNT, SYSTEM_NAMESPACE, issue_kubeconfig
from tests.localcluster import LocalCluster

LIVE = (Phase.SUBMITTED, Phase.PENDING, Phase.RUNNING)
OVER = (Phase.COMPLETED, Phase.FAILED, Phase.STOPPED)


@pytest.fixture(scope="session")
def api_kubeconfig(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The identity of the API, with the rights that manifests/ give it and no others."""
    directory = tmp_path_factory.mktemp("api")
    return issue_kubeconfig(cluster, account=API_ACCOUNT, directory=directory)


@pytest.fixture
async def world(cluster: LocalCluster, api_kubeconfig: Path) -> AsyncIterator[ApiWorld]:
    async with api_world(admin=cluster.admin_kubeconfig, api=api_kubeconfig) as world:
        yield world


@pytest.fixture
async def two_replicas(cluster: LocalCluster, api_kubeconfig: Path) -> AsyncIterator[ApiWorld]:
    async with api_world(admin=cluster.admin_kubeconfig, api=api_kubeconfig, replicas=2) as world:
        yield world


def assert_problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.body["status"], answer.body["code"]) == (status, status, code)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.body["message"] == answer.body["error"]


async def bring_to(world: ApiWorld, phase: Phase) -> str:
    """Start a run by HTTP, have the operator bring it into a phase, and return its id."""
    started = await world.ask("start")
    assert started.message == "job started"
    await world.operate(phase)
    await world.see(phase)
    return str(started.body["run"]["id"])


# status


async def test_job_that_never_ran_is_stopped(world: ApiWorld) -> None:
    await world.apply_job()

    answer = await world.ask("status")

    assert (answer.status, answer.body) == (
        200,
        {"message": "Stopped", "id": JOB, "action": "status", "status": "Stopped", "run": None},
    )


@pytest.mark.parametrize("phase", list(Phase))
async def test_status_tells_the_phase(world: ApiWorld, phase: Phase) -> None:
    await world.apply_job()
    run_id = await bring_to(world, phase)

    answer = await world.ask("status")

    assert (answer.message, answer.body["status"]) == (phase, phase)
    assert (answer.body["run"]["id"], answer.body["run"]["number"]) == (run_id, 1)


async def test_body_without_an_action_asks_for_the_status(world: ApiWorld) -> None:
    await world.apply_job()

    assert (await world.ask(None)).message == "Stopped"


async def test_body_without_an_action_starts_where_the_key_says_so(world: ApiWorld) -> None:
    await world.apply_job()
    token = await world.add_key(compatibility={"missingAction": "start"})

    assert (await world.ask(None, token=token)).message == "job started"


async def test_job_is_found_by_its_old_id(world: ApiWorld) -> None:
    await world.apply_job(aliases=["5fd3a340b15cc4d3b71b7cc7"])

    assert (await world.ask("status", job_id="5fd3a340b15cc4d3b71b7cc7")).message == "Stopped"


# start


async def test_start_writes_the_run_that_it_asks_for(world: ApiWorld) -> None:
    diemjob = await world.apply_job(parameters=[{"name": "REGION"}])

    answer = await world.ask("start", parameters={"REGION": "eu"})

    spec = (await world.stored()).spec
    assert (answer.status, answer.message, answer.body["status"]) == (200, "job started", "Submitted")
    assert spec.state is State.RUNNING
    assert spec.run is not None
    assert (spec.run.id, spec.run.target_uid) == (answer.body["run"]["id"], diemjob.metadata.uid)
    assert spec.run.parameters == {"REGION": "eu"}
    caller = await world.admin.apikeys.get(msgspec.structs.replace(world.key, name="caller"))
    assert spec.run.requested_by == f"apikey/{caller.metadata.uid}"
    assert [(entry.id, entry.action, entry.by) for entry in spec.requests] == [
        (spec.run.id, "start", spec.run.requested_by)
    ]


@pytest.mark.parametrize("phase", LIVE)
async def test_start_of_a_live_run_is_already_running(world: ApiWorld, phase: Phase) -> None:
    await world.apply_job()
    run_id = await bring_to(world, phase)
    before = await world.stored()

    answer = await world.ask("start")

    assert (answer.status, answer.message, answer.body["run"]["id"]) == (200, "job already running", run_id)
    assert await world.stored() == before


async def test_start_of_a_due_run_is_already_running(world: ApiWorld) -> None:
    await world.apply_job()
    first = await world.ask("start")

    second = await world.ask("start")

    assert (second.message, second.body["run"]["id"]) == ("job already running", first.body["run"]["id"])


async def test_start_after_kubectl_asked_for_one_is_already_running(world: ApiWorld) -> None:
    await world.apply_job()
    await world.change({"spec": {"state": "running"}})

    answer = await world.ask("start")

    assert (answer.message, answer.body["run"]["id"]) == ("job already running", "state-1")


@pytest.mark.parametrize("phase", OVER)
async def test_start_after_a_run_that_is_over_starts_another(world: ApiWorld, phase: Phase) -> None:
    await world.apply_job()
    run_id = await bring_to(world, phase)

    answer = await world.ask("start")

    assert answer.message == "job started"
    assert answer.body["run"]["id"] != run_id


async def test_start_while_a_run_is_stopping_starts_another(world: ApiWorld) -> None:
    await world.apply_job()
    await bring_to(world, Phase.RUNNING)
    await world.ask("stop")
    await world.operate(Phase.STOPPING)

    answer = await world.ask("start")

    assert (answer.message, answer.body["status"]) == ("job started", "Stopping")
    run = (await world.stored()).spec.run
    assert run is not None
    assert run.stop is None


async def test_of_many_starts_at_once_one_is_accepted(two_replicas: ApiWorld) -> None:
    world = two_replicas
    await world.apply_job()

    answers = await asyncio.gather(*(world.ask("start", replica=number % 2) for number in range(30)))

    messages = [answer.message for answer in answers if answer.status == 200]
    assert messages.count("job started") == 1
    assert set(messages) <= {"job started", "job already running"}
    assert {answer.body["code"] for answer in answers if answer.status != 200} <= {"lost-race"}
    assert len((await world.stored()).spec.requests) == 1


async def test_start_is_repeated_without_effect_under_one_idempotency_key(two_replicas: ApiWorld) -> None:
    world = two_replicas
    await world.apply_job()
    headers = {"Idempotency-Key": "order 66"}

    first = await world.ask("start", headers=headers)
    await world.operate(Phase.COMPLETED)
    second = await world.ask("start", headers=headers, replica=1)

    assert (first.message, second.message) == ("job started", "job started")
    assert first.body["run"]["id"] == second.body["run"]["id"]
    assert len((await world.stored()).spec.requests) == 1


# stop


@pytest.mark.parametrize("phase", LIVE)
async def test_stop_of_a_live_run_asks_for_its_end(world: ApiWorld, phase: Phase) -> None:
    await world.apply_job()
    run_id = await bring_to(world, phase)

    answer = await world.ask("stop")

    spec = (await world.stored()).spec
    assert (answer.status, answer.message, answer.body["status"]) == (200, "job stopped", "Stopping")
    assert spec.state is State.STOPPED
    assert spec.run is not None
    assert spec.run.id == run_id
    assert spec.run.stop is not None
    assert [entry.action for entry in spec.requests] == ["start", "stop"]


async def test_stop_of_a_due_run_keeps_it_from_starting(world: ApiWorld) -> None:
    await world.apply_job()
    started = await world.ask("start")

    answer = await world.ask("stop")

    assert (answer.message, answer.body["status"]) == ("job stopped", "Stopping")
    assert answer.body["run"]["id"] == started.body["run"]["id"]


async def test_stop_of_a_start_that_kubectl_asked_for_names_its_run(world: ApiWorld) -> None:
    await world.apply_job()
    await world.change({"spec": {"state": "running"}})

    assert (await world.ask("stop")).message == "job stopped"
    run = (await world.stored()).spec.run
    assert run is not None
    assert (run.id, run.stop is None) == ("state-1", False)


async def test_stop_of_a_run_that_kubectl_started_names_it(world: ApiWorld) -> None:
    await world.apply_job(state="running", run={"id": "by-hand"})
    await world.operate(Phase.RUNNING)
    await world.see("Running")
    await world.change({"spec": {"run": None}})

    assert (await world.ask("stop")).message == "job stopped"
    run = (await world.stored()).spec.run
    assert run is not None
    assert run.id == "by-hand"


async def test_stop_while_stopping_is_stopped(world: ApiWorld) -> None:
    await world.apply_job()
    await bring_to(world, Phase.RUNNING)
    await world.ask("stop")
    await world.operate(Phase.STOPPING)
    before = await world.stored()

    assert (await world.ask("stop")).message == "job stopped"
    assert await world.stored() == before


@pytest.mark.parametrize("phase", OVER)
async def test_stop_of_a_run_that_is_over_is_already_stopped(world: ApiWorld, phase: Phase) -> None:
    await world.apply_job()
    await bring_to(world, phase)
    before = await world.stored()

    assert (await world.ask("stop")).message == "job already stopped"
    assert await world.stored() == before


async def test_stop_of_a_job_that_never_ran_is_already_stopped(world: ApiWorld) -> None:
    await world.apply_job()

    assert (await world.ask("stop")).message == "job already stopped"


@pytest.mark.parametrize("form", ["id", "number"])
async def test_stop_of_the_expected_run_ends_it(world: ApiWorld, form: str) -> None:
    await world.apply_job()
    run_id = await bring_to(world, Phase.RUNNING)

    assert (await world.ask("stop", expectedRun=run_id if form == "id" else 1)).message == "job stopped"


async def test_late_stop_does_not_end_the_next_run(world: ApiWorld) -> None:
    await world.apply_job()
    first = await bring_to(world, Phase.COMPLETED)
    await bring_to(world, Phase.RUNNING)
    before = await world.stored()

    assert_problem(await world.ask("stop", expectedRun=first), 409, "other-run")
    assert await world.stored() == before


# What is answered, and when


async def test_replica_that_wrote_never_answers_older_than_its_write(world: ApiWorld) -> None:
    await world.apply_job()
    for _ in range(7):
        started = await world.ask("start")
        assert (await world.ask("status")).body["run"]["id"] == started.body["run"]["id"]
        await world.ask("stop")
        assert (await world.ask("status")).message == "Stopping"
        await world.operate(Phase.STOPPED)


async def test_other_replica_does_not_answer_that_nothing_runs_after_a_start(two_replicas: ApiWorld) -> None:
    world = two_replicas
    await world.apply_job()

    for _ in range(10):
        await world.ask("start", replica=0)
        assert (await world.ask("stop", replica=1)).message == "job stopped"
        await world.operate(Phase.STOPPED)


async def test_waiting_start_is_answered_when_the_job_is_there(world: ApiWorld) -> None:
    await world.apply_job()
    asking = asyncio.create_task(world.ask("start", wait=30))
    while (await world.stored()).spec.run is None:  # noqa: ASYNC110 - it is a poll
        await asyncio.sleep(0.01)
    assert not asking.done()

    await world.operate(Phase.RUNNING)

    answer = await asyncio.wait_for(asking, 5)
    assert (answer.message, answer.body["status"]) == ("job started", "Running")


async def test_waiting_stop_is_answered_when_the_run_is_over(world: ApiWorld) -> None:
    await world.apply_job()
    await bring_to(world, Phase.RUNNING)
    asking = asyncio.create_task(world.ask("stop", wait=30))
    while (await world.stored()).spec.state is not State.STOPPED:  # noqa: ASYNC110 - it is a poll
        await asyncio.sleep(0.01)
    await world.operate(Phase.STOPPING)
    assert not asking.done()

    await world.operate(Phase.STOPPED)

    answer = await asyncio.wait_for(asking, 5)
    assert (answer.message, answer.body["status"]) == ("job stopped", "Stopped")


async def test_waiting_status_is_answered_when_the_run_is_over(world: ApiWorld) -> None:
    await world.apply_job()
    await bring_to(world, Phase.RUNNING)
    asking = asyncio.create_task(world.ask("status", wait=30))

    await world.operate(Phase.COMPLETED)

    assert (await asyncio.wait_for(asking, 5)).message == "Completed"


async def test_waiting_ends_with_the_callers_time(world: ApiWorld) -> None:
    await world.apply_job()
    await bring_to(world, Phase.RUNNING)

    assert (await world.ask("status", wait=0.05)).message == "Running"


# Keys


@pytest.mark.parametrize("token", ["", "nonsense", "eyJhbGciOiJub25lIn0.e30."])
async def test_token_that_opens_nothing_gets_401(world: ApiWorld, token: str) -> None:
    await world.apply_job()

    answer = await world.ask("status", token=token)

    assert_problem(answer, 401, "unauthorized")
    assert answer.message == "a valid API key is needed in the header x-api-key"


async def test_revoking_takes_effect_at_once(world: ApiWorld) -> None:
    await world.apply_job()
    key = msgspec.structs.replace(world.key, name="caller")
    stored = await world.admin.apikeys.get(key)
    path = f"/apis/diem.io/v1/namespaces/{key.namespace}/diemapikeys/{key.name}"
    started_at = asyncio.get_running_loop().time()

    await world.admin.server.request(
        "PATCH",
        path,
        body={"metadata": {"uid": stored.metadata.uid}, "spec": {"revoked": True}},
        content_type="application/merge-patch+json",
        timeout_seconds=10,
    )
    await world.reach(401)

    assert asyncio.get_running_loop().time() - started_at < 1


async def test_deleting_takes_effect_at_once(world: ApiWorld) -> None:
    await world.apply_job()
    path = f"/apis/diem.io/v1/namespaces/{world.namespace}/diemapikeys/caller"

    await world.admin.server.request("DELETE", path, timeout_seconds=10)

    await world.reach(401)


async def test_adopted_token_opens_its_key(world: ApiWorld) -> None:
    await world.apply_job()
    token = secrets.token_urlsafe()
    await world.apply_key(
        name="adopted",
        token=token,
        adoptTokenSHA256=hash_token(token),
        expiresAt="2026-12-31T00:00:00Z",
        compatibility={"missingAction": "status"},
    )

    await world.reach(200, token=token)


async def test_expired_key_gets_401(world: ApiWorld) -> None:
    await world.apply_job()
    token = secrets.token_urlsafe()
    await world.apply_key(name="expired", token=token, expiresAt="2020-01-01T00:00:00Z")
    await world.add_key()  # known after the other one, so that one is known by now

    assert_problem(await world.ask("status", token=token), 401, "unauthorized")


async def test_key_without_the_action_gets_403(world: ApiWorld) -> None:
    await world.apply_job()
    token = await world.add_key(actions=["status", "stop"])

    assert_problem(await world.ask("start", token=token), 403, "action-forbidden")


async def test_unknown_foreign_and_forbidden_jobs_are_one_answer(world: ApiWorld) -> None:
    await world.apply_job()
    token = await world.add_key(jobs=["report-*"])

    ids = ["no-such-job", f"{SYSTEM_NAMESPACE}/{JOB}", JOB]
    answers = [await world.ask("start", token=token, job_id=job_id) for job_id in ids]

    for answer, job_id in zip(answers, ids, strict=True):
        assert_problem(answer, 404, "unknown-job")
        assert answer.body | {"id": ""} == answers[0].body | {"id": ""}
        assert answer.body["id"] == job_id


async def test_legacy_key_gets_200_for_an_unknown_job(world: ApiWorld) -> None:
    token = await world.add_key(compatibility={"statusCodes": "legacy"})

    answer = await world.ask("start", token=token, job_id="no-such-job")

    assert (answer.status, answer.message) == (200, "job not found")


async def test_mapped_namespace_is_reached_by_its_name(cluster: LocalCluster, api_kubeconfig: Path) -> None:
    namespace = make_namespace_name()
    keys = KeySettings(tenants={namespace: Tenant(namespaces=(SYSTEM_NAMESPACE,))})
    settings = msgspec.structs.replace(QUICK, keys=keys)
    async with api_world(
        admin=cluster.admin_kubeconfig, api=api_kubeconfig, namespace=namespace, settings=settings
    ) as world:
        elsewhere = dataclasses.replace(world, namespace=SYSTEM_NAMESPACE, ports=())
        await elsewhere.apply_job(name="elsewhere")
        await world.reach(200, job_id=f"{SYSTEM_NAMESPACE}/elsewhere")

        assert (await world.ask("status", job_id="elsewhere")).status == 404


# Errors


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"{", 400, "bad-request", id="bad JSON"),
        pytest.param(b'{"action": "status"}', 400, "bad-request", id="no id"),
        pytest.param(b'{"id": 5, "action": "status"}', 400, "bad-request", id="id that is no text"),
        pytest.param(b'{"id": "nightly-load", "action": "restart"}', 400, "bad-request", id="bad action"),
        pytest.param(b'{"id": "' + b"x" * 65536 + b'"}', 413, "body-too-large", id="more than 64 KiB"),
    ],
)
async def test_bad_body(world: ApiWorld, body: bytes, status: int, code: str) -> None:
    assert_problem(await world.send(body, {"x-api-key": world.token}), status, code)


async def test_other_media_type_gets_415(world: ApiWorld) -> None:
    headers = {"x-api-key": world.token, "Content-Type": "application/x-www-form-urlencoded"}

    assert_problem(await world.send(b"id=x", headers), 415, "unsupported-media-type")


async def test_id_of_several_jobs_gets_409(world: ApiWorld) -> None:
    await world.apply_job(name="one", aliases=["twin"])
    await world.apply_job(name="two", aliases=["twin"])

    assert_problem(await world.ask("start", job_id="twin"), 409, "ambiguous-id")


@pytest.mark.parametrize("action", ["start", "stop"])
async def test_job_that_is_being_deleted_gets_409(world: ApiWorld, action: str) -> None:
    await world.apply_job(finalizers=("diem.io/test",))
    path = f"/apis/diem.io/v1/namespaces/{world.namespace}/diemjobs/{JOB}"
    await world.admin.server.request("DELETE", path, timeout_seconds=10)

    assert_problem(await world.ask(action), 409, "being-deleted")

    await world.change({"metadata": {"finalizers": None}})
    await world.reach(404)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        pytest.param({}, "parameter 'REGION' is required", id="missing"),
        pytest.param({"REGION": "mars"}, "parameter 'REGION' must be one of eu, us", id="out of its enum"),
        pytest.param(
            {"REGION": "eu", "OTHER": "x"}, "parameter 'OTHER' is not declared in spec.parameters", id="undeclared"
        ),
    ],
)
async def test_bad_parameters_get_422(world: ApiWorld, parameters: dict[str, Any], problem: str) -> None:
    await world.apply_job(parameters=[{"name": "REGION", "required": True, "enum": ["eu", "us"]}])

    answer = await world.ask("start", parameters=parameters)

    assert_problem(answer, 422, "invalid-parameters")
    assert answer.body["problems"] == [problem]
    assert (await world.stored()).spec.run is None


async def test_reused_idempotency_key_gets_422(world: ApiWorld) -> None:
    await world.apply_job(parameters=[{"name": "REGION"}])
    headers = {"Idempotency-Key": "order 66"}
    await world.ask("start", headers=headers)

    answer = await world.ask("start", headers=headers, parameters={"REGION": "eu"})

    assert_problem(answer, 422, "reused-idempotency-key")


async def test_commands_that_pile_up_get_429_and_none_is_forgotten(world: ApiWorld) -> None:
    await world.apply_job()
    answers: list[Answer] = []
    while not answers or answers[-1].status == 200:
        assert len(answers) < 40
        answers.append(await world.ask("stop" if len(answers) % 2 else "start"))

    assert_problem(answers[-1], 429, "too-many-requests")
    assert int(answers[-1].headers["Retry-After"]) > 0
    started = {answer.body["run"]["id"] for answer in answers if answer.message == "job started"}
    assert started == {entry.id for entry in (await world.stored()).spec.requests}


# The documented clients


async def test_documented_python_client(world: ApiWorld) -> None:
    await world.apply_job()
    payload = '{"id":"nightly-load","action": "status"}'
    headers = {
        "x-api-key": world.token,
        "Content-Type": "application/json",
        "Cookie": "2dde790f4336c48096c854e78a2bf377=8e7fbffd3054f98246f64722461a3275",
    }

    response = await asyncio.to_thread(requests.request, "POST", world.url, headers=headers, data=payload, timeout=10)

    assert (response.status_code, response.json()["message"]) == (200, "Stopped")


async def test_documented_curl_client(world: ApiWorld) -> None:
    await world.apply_job()
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--location", "--request", "POST", world.url,
        "--header", f"x-api-key: {world.token}",
        "--header", "Content-Type: application/json",
        "--data-raw", '{"id":"nightly-load","action": "start"}',
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, _ = await process.communicate()

    assert json.loads(printed)["message"] == "job started"
