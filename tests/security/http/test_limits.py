"""One caller's flood is that caller's problem: bad keys by their address, starts by their key."""

import asyncio
import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import requests

from diem_operator.access.rate_limits import MAX_SUBJECTS, RateLimiter
from tests.integration.manifests import make_diemjob, with_field
from tests.integration.operator_process import eventually
from tests.localcluster import LocalCluster
from tests.security.http.attacked import API_USER, JOB, AttackedApi, Team, attacked_api, new_team
from tests.security.http.conftest import check_log
from tests.security.http.wire import ask, build_request, command, converse

PER_SECOND, BURST = 10, 100
FLOODED_JOBS = 200
ADDRESSES = 1000

Limited = tuple[AttackedApi, Team]


@pytest.fixture
def limited(
    request: pytest.FixtureRequest,
    cluster: LocalCluster,
    api_kubeconfig: Path,
    tmp_path: Path,
) -> Iterator[Limited]:
    """An API with the given flags, and a team; defaults where none are given."""
    with attacked_api(cluster, api_kubeconfig, tmp_path, *getattr(request, "param", ())) as api:
        with new_team(api) as team:
            yield api, team
        check_log(api)


def with_flags(*flags: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("limited", [flags], indirect=True, ids=[" ".join(flags)])


def bad_request(number: int, *lines: bytes) -> bytes:
    return build_request(f"bad-key-{number}", command("start", JOB), *lines)


def read_refusals(api: AttackedApi, kind: str) -> float:
    return api.read_metric(f'diem_api_refusals_total{{kind="{kind}"}}')


def test_flood_of_bad_keys_is_limited_and_good_ones_are_served(limited: Limited) -> None:
    api, team = limited
    began = time.monotonic()
    bad, good = Counter[int](), Counter[int]()
    for number in range(600):
        bad[ask(api.port, bad_request(number, b"X-Forwarded-For: 192.0.2.%d" % (number % 250))).status] += 1
        if number % 10 == 0:
            good[team.ask("status").status] += 1
    allowed = BURST + PER_SECOND * (time.monotonic() - began) + 1

    assert good == {200: 60}
    assert bad.keys() == {401, 429}
    assert BURST / 2 <= bad[401] <= allowed  # a few were spent while the key became known
    assert read_refusals(api, "failed-keys") >= bad[429]


def test_answer_beyond_the_limit_is_one_whatever_is_wrong(limited: Limited) -> None:
    api, team = limited
    revoked = team.add_key("revoked")
    team.kubectl("patch", "diemapikey", "revoked", "--type=merge", '--patch={"spec":{"revoked":true}}')
    eventually("the key is revoked", lambda: team.ask("status", token=revoked).status == 401)
    while ask(api.port, bad_request(0)).status != 429:
        pass

    shown = [ask(api.port, build_request(token, command("status", JOB))) for token in (revoked, None, "bad")]

    assert {(answer.status, answer.stable_headers, answer.body) for answer in shown} == {
        (429, shown[0].stable_headers, shown[0].body)
    }
    assert int(dict(shown[0].headers)["Retry-After"]) >= 1
    assert shown[0].problem["code"] == "too-many-requests"


@with_flags("--trusted-proxy=127.0.0.0/8", "--failed-keys-rate=0.001")
def test_addresses_behind_a_trusted_proxy_are_limited_apart(limited: Limited) -> None:
    api, team = limited
    hot = b"X-Forwarded-For: 198.51.100.7"
    answers = converse(api.port, b"".join(bad_request(number, hot) for number in range(200)), count=200)
    assert Counter(answers.statuses) == {401: BURST, 429: 100}

    seen = Counter[int]()
    for start in range(0, ADDRESSES, 500):
        lines = [b"X-Forwarded-For: 10.0.%d.%d" % divmod(number, 250) for number in range(start, start + 500)]
        batch = b"".join(bad_request(0, line) for line in lines)
        seen += Counter(converse(api.port, batch, count=500).statuses)

    assert seen == {401: ADDRESSES}
    assert ask(api.port, bad_request(0, hot)).status == 429  # not forgotten for all those
    assert team.ask("status").status == 200


def test_memory_of_addresses_is_bounded() -> None:
    limiter = RateLimiter(per_second=PER_SECOND, burst=BURST)
    tracemalloc.start()
    for number in range(100_000):
        limiter.admit(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64", now=number / 1_000_000)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(limiter) == MAX_SUBJECTS
    assert used < 5_000_000


@with_flags("--key-rate=0.01", "--key-burst=100")
def test_requests_of_a_key_are_limited_where_that_is_set(limited: Limited) -> None:
    api, team = limited
    other = team.add_key()

    answers = converse(api.port, build_request(team.token, command("status", JOB)) * 150, count=150).answers

    statuses = [answer.status for answer in answers]
    assert statuses == sorted(statuses)
    assert 0 < statuses.count(200) <= 101  # some were spent while job and key became known
    assert statuses.count(200) + statuses.count(429) == 150
    assert int(dict(answers[-1].headers)["Retry-After"]) >= 40
    assert team.ask("status", token=other).status == 200


def make_many_jobs(team: Team) -> list[str]:
    names = [f"flooded-{number}" for number in range(FLOODED_JOBS)]
    items = [with_field(make_diemjob(), ("metadata", "name"), name) for name in names]
    team.kubectl("create", "--filename=-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for name in (names[0], names[-1]):
        eventually("the API knows the jobs", partial(team.is_answered, 200, job_id=name))
    return names


async def flood(api: AttackedApi, team: Team, names: list[str], other: Team) -> tuple[list[int], dict[str, int]]:
    """Start all jobs at once; when the API is at it, ask as the other team. Return the statuses of both."""
    url = f"http://127.0.0.1:{api.port}/etl-mgr/api/apijob"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call(token: str, name: str, action: str) -> int:
            headers = {"x-api-key": token}
            async with session.post(url, json={"id": name, "action": action}, headers=headers) as response:
                await response.read()
                return response.status

        flooding = [asyncio.create_task(call(team.token, name, "start")) for name in names]
        while sum(task.done() for task in flooding) < 10:  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.001)
        answers = {action: await call(other.token, JOB, action) for action in ("status", "start")}
        left = sum(not task.done() for task in flooding)
        statuses = list(await asyncio.gather(*flooding))
        assert left > FLOODED_JOBS / 4, "the flood was over before the other team was served"
        return statuses, answers


@with_flags("--max-operations=2")
def test_flood_of_starts_by_one_key_leaves_others_their_turn(limited: Limited) -> None:
    api, team = limited
    names = make_many_jobs(team)
    with new_team(api) as other:
        before = api.mark_audit()

        statuses, answers = asyncio.run(flood(api, team, names, other))

        assert Counter(statuses) == {200: FLOODED_JOBS}
        assert answers == {"status": 200, "start": 200}
        order = [path.partition("?")[0] for verb, path in api.read_requests(since=before) if verb == "patch"]
        assert len(order) == FLOODED_JOBS + 1
        assert order.index(f"/apis/diem.io/v1/namespaces/{other.namespace}/diemjobs/{JOB}") < FLOODED_JOBS / 2


@with_flags("--max-operations=1", "--max-queued-operations=20")
def test_starts_beyond_the_queue_are_refused_and_none_of_them_is_carried_out(limited: Limited) -> None:
    api, team = limited
    names = make_many_jobs(team)
    with new_team(api) as other:
        statuses, answers = asyncio.run(flood_until_refused(api, team, names, other))

        assert set(statuses) == {200, 429}
        assert answers == {"status": 200, "start": 200}
    specs = api.read_specs()
    started = [name for name in names if "run" in specs[f"{team.namespace}/{name}"]]
    assert started == [name for name, status in zip(names, statuses, strict=True) if status == 200]
    assert read_refusals(api, "queue-full") == statuses.count(429)


async def flood_until_refused(
    api: AttackedApi, team: Team, names: list[str], other: Team
) -> tuple[list[int], dict[str, int]]:
    """Send all starts in one go, each on a connection of its own, and ask as the other team."""
    url = f"http://127.0.0.1:{api.port}/etl-mgr/api/apijob"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(token: str, name: str, action: str) -> int:
            headers = {"x-api-key": token}
            async with session.post(url, json={"id": name, "action": action}, headers=headers) as response:
                await response.read()
                return response.status

        flooding = asyncio.gather(*(call(team.token, name, "start") for name in names))
        answers = {action: await call(other.token, JOB, action) for action in ("status", "start")}
        return await flooding, answers


def test_metrics_tell_no_address_and_no_key(limited: Limited) -> None:
    api, team = limited
    ask(api.port, bad_request(0))
    uid = json.loads(team.kubectl("get", "diemapikey", "caller", "--output=json"))["metadata"]["uid"]

    text = requests.get(f"http://127.0.0.1:{api.probe_port}/metrics", timeout=10).text

    assert 'diem_api_refusals_total{kind="failed-keys"}' in text
    for hidden in ("127.0.0.1", uid, team.token, "bad-key", team.namespace, JOB, API_USER):
        assert hidden not in text
