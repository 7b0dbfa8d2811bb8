"""Nobody learns by trying: what exists elsewhere, or was a key once, looks like what never was."""

import statistics
import time
from dataclasses import replace
from functools import partial

import pytest

from tests.integration.operator_process import eventually
from tests.security.http.attacked import JOB, AttackedApi, Team
from tests.security.http.wire import WireAnswer, ask, build_request, command

ACTIONS = ("status", "start", "stop")
HIDDEN, ELSEWHERE, ALIAS = "hidden-job", "rivals-job", "Rivals' Alias"
SAMPLES = 150
WIDE_RATIO = 3.0
"""Of two medians. A look-up that one case has and the other lacks, or a read of the API server, is far more."""

Case = tuple[str, str]


@pytest.fixture(scope="module", autouse=True)
def jobs(team: Team, rivals: Team) -> None:
    team.apply_job(HIDDEN)
    rivals.apply_job(ELSEWHERE, aliases=[ALIAS])


@pytest.fixture(scope="module")
def narrow(team: Team) -> str:
    """A key that may do everything with one job."""
    return team.add_key(jobs=[JOB])


@pytest.fixture(scope="module")
def cases(team: Team, rivals: Team, narrow: str) -> dict[str, Case]:
    """Token and id of each way to ask for a job that does not exist for the caller."""
    return {
        "unknown": (team.token, "no-such-job"),
        "another team's": (team.token, ELSEWHERE),
        "another team's alias": (team.token, ALIAS),
        "another team's by namespace": (team.token, f"{rivals.namespace}/{ELSEWHERE}"),
        "another team's alias by namespace": (team.token, f"{rivals.namespace}/{ALIAS}"),
        "another team's of the same name": (team.token, f"{rivals.namespace}/{JOB}"),
        "of a namespace that is not": (team.token, f"no-such-team/{JOB}"),
        "outside the globs": (narrow, HIDDEN),
        "outside the globs by namespace": (narrow, f"{team.namespace}/{HIDDEN}"),
        "unknown, within the globs' reach": (narrow, "no-such-job"),
    }


NAMES = (
    "another team's",
    "another team's alias",
    "another team's by namespace",
    "another team's alias by namespace",
    "another team's of the same name",
    "of a namespace that is not",
    "outside the globs",
    "outside the globs by namespace",
    "unknown, within the globs' reach",
)


def blur(answer: WireAnswer, job_id: str) -> WireAnswer:
    """Return the answer without what must differ: the id that was sent, and so the length."""
    assert answer.body.count(b'"id":"' + job_id.encode() + b'"') == 1
    headers = dict(answer.stable_headers)
    assert headers.pop("Content-Length") == str(len(answer.body))
    return replace(answer, headers=tuple(headers.items()), body=answer.body.replace(job_id.encode(), b"ID"))


def ask_for(api: AttackedApi, case: Case, action: str) -> WireAnswer:
    token, job_id = case
    return ask(api.port, build_request(token, command(action, job_id)))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_job_that_is_not_the_callers_does_not_exist(
    api: AttackedApi, cases: dict[str, Case], name: str, action: str
) -> None:
    before = api.mark_audit()

    unknown, asked = (ask_for(api, cases[each], action) for each in ("unknown", name))

    assert unknown.status == 404
    assert blur(asked, cases[name][1]) == blur(unknown, "no-such-job")
    assert api.read_requests(since=before) == []  # none took longer because something was read


def test_those_jobs_are_there_for_whom_they_belong_to(team: Team, rivals: Team, narrow: str) -> None:
    assert rivals.ask("status", job_id=ELSEWHERE).status == 200
    assert rivals.ask("status", job_id=ALIAS).status == 200
    assert team.ask("status", job_id=HIDDEN).status == 200
    assert team.ask("status", token=narrow).status == 200


@pytest.fixture(scope="module")
def failures(team: Team, rivals: Team) -> dict[str, list[bytes]]:
    """The header lines of every way to have no good key."""
    names = ("deleted", "revoked", "expired")
    ended = {name: team.add_key(name) for name in names}
    legacy = team.add_key("legacy", compatibility={"statusCodes": "standard"})
    deleted_elsewhere = rivals.add_key("elsewhere")
    team.kubectl("patch", "diemapikey", "legacy", "revoked", "--type=merge", '--patch={"spec":{"revoked":true}}')
    team.kubectl(
        "patch", "diemapikey", "expired", "--type=merge", '--patch={"spec":{"expiresAt":"2020-01-01T00:00:00Z"}}'
    )
    team.kubectl("delete", "diemapikey", "deleted")
    rivals.kubectl("delete", "diemapikey", "elsewhere")
    for token in (*ended.values(), legacy, deleted_elsewhere):
        eventually("the key has ended", partial(team.is_answered, 401, token=token))
    good = team.token
    flipped = chr(ord(good[0]) ^ 1) + good[1:]
    return {
        "none": [],
        "empty": [b"x-api-key: "],
        "garbage": [b"x-api-key: garbage"],
        "binary": [b"x-api-key: \xff\xfe\xc3\x28"],
        "long": [b"x-api-key: " + b"x" * 8000],
        "good one twice": [b"x-api-key: " + good.encode()] * 2,
        "good and bad": [b"x-api-key: " + good.encode(), b"X-API-Key: garbage"],
        "edited": [b"x-api-key: " + flipped.encode()],
        "cut": [b"x-api-key: " + good[:-1].encode()],
        "with more": [b"x-api-key: " + good.encode() + b"x"],
        "in another case": [b"x-api-key: " + good.swapcase().encode()],
        "in another header": [b"Authorization: Bearer " + good.encode()],
        "revoked in another way of answering": [b"x-api-key: " + legacy.encode()],
        "another team's, deleted": [b"x-api-key: " + deleted_elsewhere.encode()],
        **{name: [b"x-api-key: " + token.encode()] for name, token in ended.items()},
    }


FAILURES = (
    *("empty", "garbage", "binary", "long", "good one twice", "good and bad", "edited", "cut", "with more"),
    *("in another case", "in another header", "revoked in another way of answering", "another team's, deleted"),
    *("deleted", "revoked", "expired"),
)


def ask_with(api: AttackedApi, lines: list[bytes], *, job_id: str = JOB) -> WireAnswer:
    return ask(api.port, build_request(None, command("start", job_id), *lines))


@pytest.mark.parametrize("job_id", [JOB, "no-such-job"])
@pytest.mark.parametrize("name", FAILURES)
def test_every_key_that_opens_nothing_is_one_answer(
    api: AttackedApi, failures: dict[str, list[bytes]], name: str, job_id: str
) -> None:
    before = api.mark_audit()

    none, shown = ask_with(api, []), ask_with(api, failures[name], job_id=job_id)

    assert none.status == 401
    assert (shown.status, shown.stable_headers, shown.body) == (none.status, none.stable_headers, none.body)
    assert api.read_requests(since=before) == []


def test_no_failure_is_missing_above(failures: dict[str, list[bytes]], cases: dict[str, Case]) -> None:
    assert {*FAILURES, "none"} == failures.keys()
    assert {*NAMES, "unknown"} == cases.keys()


def measure(*asks: "tuple[str, AttackedApi, bytes]") -> dict[str, float]:
    """Return the median seconds of each, asked in turn, so that whatever else the machine does is shared."""
    taken: dict[str, list[float]] = {name: [] for name, _, _ in asks}
    for _ in range(SAMPLES):
        for name, api, request in asks:
            began = time.perf_counter()
            ask(api.port, request)
            taken[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    print({name: f"{median * 1000:.2f} ms" for name, median in medians.items()})
    return medians


def test_no_key_that_opens_nothing_takes_longer_than_another(
    api: AttackedApi, failures: dict[str, list[bytes]]
) -> None:
    asks = [(name, api, build_request(None, command("status", JOB), *lines)) for name, lines in failures.items()]

    medians = measure(*asks)

    assert max(medians.values()) < WIDE_RATIO * min(medians.values())


def test_jobs_of_others_take_no_longer_than_those_that_never_were(api: AttackedApi, cases: dict[str, Case]) -> None:
    asks = [(name, api, build_request(token, command("status", job_id))) for name, (token, job_id) in cases.items()]

    medians = measure(*asks)

    assert max(medians.values()) < WIDE_RATIO * min(medians.values())
