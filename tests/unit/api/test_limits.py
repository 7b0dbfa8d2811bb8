"""Callers meet limits as one answer, and never because of what others at their address did."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from diem_operator.metrics import Refusal
from diem_operator.model.diemapikey import Compatibility, StatusCodes
from diem_operator.model.diemjob import Phase
from diem_operator.settings import ApiSettings, RateSettings
from tests.unit.api.objects import make_diemjob, make_diemjob_in
from tests.unit.api.service import QUICK, Answer, Service, running_service

COMMAND = {"id": "nightly", "action": "status"}
BURST = 3


def limited(**settings: Any) -> ApiSettings:
    return msgspec.structs.replace(QUICK, **settings)


FEW_FAILURES = limited(failed_keys=RateSettings(per_second=0.01, burst=BURST))


async def exhaust(service: Service) -> Answer:
    for _ in range(BURST):
        assert (await service.ask(COMMAND, token="bad")).status == 401
    return await service.ask(COMMAND, token="bad")


async def test_failures_beyond_the_limit_are_told_when_to_come_again() -> None:
    async with running_service(FEW_FAILURES) as service:
        answer = await exhaust(service)

        assert answer.status == 429
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert 40 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.body["code"] == "too-many-requests"
        assert answer.body["message"] == answer.body["error"] == answer.body["detail"]
        assert "too many requests without a valid API key" in answer.body["message"]
        assert service.read_metric("diem_api_refusals_total", kind="failed-keys") == 1


async def test_good_key_is_served_whatever_its_address_did() -> None:
    async with running_service(FEW_FAILURES) as service:
        service.cluster.diemjobs.store(make_diemjob())
        await exhaust(service)

        assert [(await service.ask(COMMAND)).status for _ in range(2 * BURST)] == [200] * 2 * BURST


async def test_every_failure_beyond_the_limit_is_the_same_answer() -> None:
    async with running_service(FEW_FAILURES) as service:
        revoked = service.add_key(revoked=True)
        legacy = service.add_key(revoked=True, compatibility=Compatibility(status_codes=StatusCodes.LEGACY))
        await exhaust(service)

        answers = [await service.ask(COMMAND, token=token) for token in ("bad", "", revoked, legacy, "x" * 5000)]
        answers.append(await service.send(body=json.dumps(COMMAND).encode()))

        assert {(answer.status, answer.text) for answer in answers} == {(429, answers[0].text)}


async def test_key_that_is_revoked_while_its_holder_waits_was_no_guess() -> None:
    async with running_service(FEW_FAILURES) as service:
        service.cluster.diemjobs.store(make_diemjob_in(Phase.RUNNING))
        token = service.add_key(name="short-lived")
        asking = asyncio.create_task(service.ask(COMMAND | {"wait": 30}, token=token))
        while not service.read_metric("diem_api_waiting_requests"):  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.001)
        await exhaust(service)
        service.add_key(name="short-lived", revoked=True)
        service.cluster.diemjobs.store(make_diemjob_in(Phase.COMPLETED))

        assert (await asking).status == 401


async def test_failures_are_not_limited_at_0() -> None:
    async with running_service(limited(failed_keys=RateSettings(per_second=0, burst=1))) as service:
        assert {(await service.ask(COMMAND, token="bad")).status for _ in range(300)} == {401}


async def test_failures_are_limited_by_default() -> None:
    async with running_service() as service:
        statuses = [(await service.ask(COMMAND, token="bad")).status for _ in range(150)]

        assert statuses[:100] == [401] * 100
        assert statuses[-1] == 429


async def test_keys_that_cannot_be_known_at_the_moment_are_no_failures() -> None:
    async with running_service(
        limited(max_unconfirmed_seconds=-1.0, failed_keys=RateSettings(per_second=1))
    ) as service:
        assert {(await service.ask(COMMAND, token="bad")).status for _ in range(5)} == {503}


@pytest.mark.parametrize(
    ("trusted", "statuses"),
    [
        pytest.param((), [401, 429, 429], id="nobody is trusted"),
        pytest.param(("127.0.0.0/8",), [401, 401, 429], id="the proxy is trusted"),
    ],
)
async def test_forwarded_address_counts_where_the_proxy_is_trusted(
    trusted: tuple[str, ...], statuses: list[int]
) -> None:
    settings = limited(failed_keys=RateSettings(per_second=0.01, burst=1), trusted_proxies=trusted)
    async with running_service(settings) as service:
        addresses = ("192.0.2.1", "192.0.2.2", "203.0.113.9, 192.0.2.1")
        answers = [await service.ask(COMMAND, token="bad", X_Forwarded_For=address) for address in addresses]

        assert [answer.status for answer in answers] == statuses


async def test_requests_of_a_key_are_limited_where_it_is_set() -> None:
    async with running_service(limited(key_requests=RateSettings(per_second=0.01, burst=BURST))) as service:
        service.cluster.diemjobs.store(make_diemjob())
        other = service.add_key()
        answers = [await service.ask(COMMAND) for _ in range(BURST + 1)]

        assert [answer.status for answer in answers] == [200] * BURST + [429]
        assert int(answers[-1].headers["Retry-After"]) > 40
        assert answers[-1].body["message"] == "this key is used too often; try again later, and wait between requests"
        assert (await service.ask(COMMAND, token=other)).status == 200
        assert service.read_metric("diem_api_refusals_total", kind="requests") == 1


async def test_requests_of_a_key_are_not_limited_by_default() -> None:
    async with running_service() as service:
        service.cluster.diemjobs.store(make_diemjob())

        assert {(await service.ask(COMMAND)).status for _ in range(300)} == {200}


async def test_paths_without_keys_have_no_limit() -> None:
    async with running_service(FEW_FAILURES) as service:
        await exhaust(service)

        assert (await service.send("GET", "/healthz")).status == 200


async def test_refusals_are_counted_from_0_on(service: Service) -> None:
    counts = {kind: service.read_metric("diem_api_refusals_total", kind=kind) for kind in Refusal}

    assert counts == dict.fromkeys(Refusal, 0)
