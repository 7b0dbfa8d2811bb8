"""Resources that no schema has seen: they are decoded or refused by one error, and what is decoded breaks nothing.

The API server holds resources against the CRD's schema. This is about what gets past it: an older CRD, a field whose
format Kubernetes reads more freely than we do, a status that somebody else wrote.
"""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from diem_operator.access.plan import KeyContext, plan_key
from diem_operator.access.registry import KeyRegistry, authenticate
from diem_operator.access.tokens import SigningSecret
from diem_operator.api.answers import Reply, build_answer
from diem_operator.api.cache import JobCache
from diem_operator.api.command import Command
from diem_operator.model.diemapikey import Action, DiemApiKey
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.names import RunId
from diem_operator.planning.commands import Caller, StartCommand, plan_start, plan_stop
from diem_operator.planning.plan import plan
from diem_operator.planning.world import World
from diem_operator.settings import KeySettings
from tests.builders import make_job
from tests.security.fuzz.profile import FUZZ, read_corpus
from tests.security.fuzz.strategies import MARK, STORED_VALUES, replace, replacing

NOW = datetime(2030, 1, 2, tzinfo=UTC)
METADATA = {
    "name": "nightly-load",
    "namespace": "team-a",
    "uid": "5f0c7c1e-0000-4000-8000-000000000001",
    "resourceVersion": "5",
    "generation": 2,
    "creationTimestamp": "2030-01-01T00:00:00Z",
}
RUN = {
    "number": 1,
    "id": "r1",
    "phase": "Running",
    "reason": "",
    "message": "",
    "jobName": "nightly-load-abcdefghijklmnop",
    "jobUid": "job-1",
    "requestedBy": "apikey/1",
    "requestedAt": "2030-01-01T00:00:00Z",
    "startedAt": "2030-01-01T00:00:01Z",
    "completedAt": "2030-01-01T00:00:02Z",
}
CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "x",
    "message": "",
    "lastTransitionTime": "2030-01-01T00:00:00Z",
}
POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "1"}]}]}
DIEMJOB: dict[str, Any] = {
    "metadata": METADATA,
    "spec": {
        "state": "running",
        "run": {"id": "r1", "targetUID": METADATA["uid"], "parameters": {"DAY": "1"}, "stop": {"requestedBy": "x"}},
        "requests": [{"id": "r1", "action": "start", "by": "apikey/1", "at": "x", "fingerprint": "x"}],
        "parameters": [{"name": "DAY", "required": True, "default": "1", "enum": ["1"], "maxLength": 2}],
        "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {"spec": POD}}},
        "aliases": ["old"],
        "schedule": {"cron": "* * * * *", "timeZone": "UTC", "suspend": False, "startingDeadlineSeconds": 1},
        "startDeadlineSeconds": 5,
        "runHistoryLimit": 1,
        "jobHistoryLimit": 1,
        "ttlSecondsAfterFinished": 1,
    },
    "status": {
        "observedGeneration": 1,
        "observedState": "running",
        "phase": "Running",
        "stateStarts": 1,
        "run": RUN,
        "runs": [RUN | {"phase": "Completed", "id": "r0"}],
        "recentRunIds": ["abc"],
        "schedule": {"hash": "x", "lastDue": "2030-01-01T00:00:00Z", "next": None},
        "conditions": [CONDITION],
    },
}
DIEMAPIKEY: dict[str, Any] = {
    "metadata": METADATA,
    "spec": {
        "name": "x",
        "email": "x",
        "actions": ["status", "start"],
        "jobs": ["a*"],
        "expiresAt": "2030-06-01T00:00:00Z",
        "revoked": False,
        "adoptTokenSHA256": "0" * 64,
        "compatibility": {"missingAction": "start", "statusCodes": "legacy"},
    },
    "status": {
        "observedGeneration": 1,
        "keyId": METADATA["uid"],
        "secretName": "x",
        "tokenSHA256": "0" * 64,
        "issuedAt": "2030-01-01T00:00:00Z",
        "conditions": [CONDITION],
    },
}
MOMENTS = st.sampled_from(
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999-23:59",
        "9999-12-31T23:59:59Z",
        "2030-02-30T00:00:00Z",
        "2030-01-01T24:00:00Z",
        "2030-01-01T23:59:60Z",
        "2030-01-01T00:00:00",
        "2030-01-01t00:00:00z",
        "2030-01-01T00:00:00,5Z",
        "2030-01-01T00:00:00x5Z",
        "2030-01-01T00:00:00.1234567890123Z",
        "2030-01-01T00:00:00+99:99",
        "2030-01-01",
        "1893456000",
        "",
    ]
)
EXTREMES = st.sampled_from([-1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 315360000])


def convert(raw: object, kind: type[Any]) -> Any:
    """Return the object, or None where it is refused; anything else that is raised fails the test."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        return None


def spoil(valid: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a resource whose spec and status may be wrong in a place or two; metadata are the API server's."""
    parts = {name: part for name, part in valid.items() if name != "metadata"}
    once = replacing(parts)
    twice = once.flatmap(replacing)
    return st.one_of(once, twice).map(lambda spoilt: {"metadata": METADATA} | spoilt)


def with_values(valid: dict[str, Any], *ways: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a resource with odd moments or extreme numbers where it has such."""

    def put(drawn: tuple[tuple[str, ...], Any]) -> dict[str, Any]:
        changed: dict[str, Any] = json.loads(json.dumps(valid))
        place = changed
        for step in drawn[0][:-1]:
            place = place[step]
        place[drawn[0][-1]] = drawn[1]
        return changed

    return st.tuples(st.sampled_from(ways), st.one_of(MOMENTS, EXTREMES)).map(put)


DIEMJOBS = st.one_of(
    spoil(DIEMJOB),
    with_values(
        DIEMJOB,
        ("spec", "startDeadlineSeconds"),
        ("spec", "runHistoryLimit"),
        ("spec", "jobHistoryLimit"),
        ("spec", "ttlSecondsAfterFinished"),
        ("status", "stateStarts"),
        ("status", "run", "number"),
        ("status", "run", "startedAt"),
        ("status", "run", "completedAt"),
    ),
)
DIEMAPIKEYS = st.one_of(
    spoil(DIEMAPIKEY), with_values(DIEMAPIKEY, ("spec", "expiresAt"), ("status", "issuedAt"), ("spec", "revoked"))
)


@given(STORED_VALUES, st.sampled_from([DiemJob, DiemApiKey, Job]))
@FUZZ
def test_any_json_is_a_resource_or_refused(value: Any, kind: type[Any]) -> None:
    convert(value, kind)


@given(DIEMJOBS)
@FUZZ
def test_every_diemjob_that_is_decoded_can_be_served(raw: dict[str, Any]) -> None:
    diemjob = convert(raw, DiemJob)
    if diemjob is None:
        return
    cache = JobCache(excluded_namespaces=())
    cache.apply(diemjob)  # an error here would end the process, and with it everybody's service
    cache.replace([diemjob], resource_version=6, namespace=None)
    answer = build_answer(Command(job_id="nightly-load", action=Action.STATUS), Reply(diemjob=diemjob))
    caller = Caller(requested_by="apikey/1", now=NOW)

    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["message"]
    plan_start(diemjob, StartCommand(run_id=RunId("r2"), parameters={"DAY": "1"}), caller)
    plan_stop(diemjob, caller, fingerprint="x", expected_run="1")


@given(DIEMJOBS, st.booleans())
@FUZZ
def test_every_diemjob_that_is_decoded_has_a_next_step(raw: dict[str, Any], has_job: bool) -> None:
    diemjob = convert(raw, DiemJob)
    if diemjob is not None:
        plan(World(diemjob=diemjob, jobs=(make_job(),) if has_job else (), now=NOW))


@given(DIEMAPIKEYS)
@example(replace(DIEMAPIKEY, ["spec", "expiresAt"], "2030-01-01T00:00:00"))
@FUZZ
def test_every_key_that_is_decoded_can_be_judged(raw: dict[str, Any]) -> None:
    apikey = convert(raw, DiemApiKey)
    if apikey is None:
        return
    settings = KeySettings()
    registry = KeyRegistry(settings)
    registry.put(apikey)  # an error here would end the process, and with it everybody's service
    secret = SigningSecret(value=bytes(32))
    plan_key(apikey, KeyContext(settings=settings, signing_secret=secret, registry=registry), now=NOW)

    assert not authenticate("x", registry, now=NOW).is_accepted


@given(STORED_VALUES)
@FUZZ
def test_no_error_repeats_a_parameter(value: Any) -> None:
    changed = json.loads(json.dumps(DIEMJOB))
    changed["spec"]["run"]["parameters"] = {"DAY": [MARK, value], "OTHER": MARK}

    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(changed, DiemJob)
    assert MARK not in f"{refused.value!r} {refused.value.__cause__!r}"


def test_valid_resources_are_decoded_so_that_all_this_could_fail() -> None:
    assert convert(DIEMJOB, DiemJob) is not None
    assert convert(DIEMAPIKEY, DiemApiKey) is not None


@pytest.mark.parametrize("name", list(read_corpus("diemjobs")))
def test_hostile_diemjob_is_refused_or_served(name: str) -> None:
    raw = json.loads(read_corpus("diemjobs")[name])
    diemjob = convert(raw | {"metadata": METADATA}, DiemJob)
    if diemjob is not None:
        JobCache(excluded_namespaces=()).apply(diemjob)
        plan(World(diemjob=diemjob, jobs=(), now=NOW))
