"""Argo CD's health check, run for real, on the statuses that the operator writes."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]  # lupa has no types

from diem_operator.access.plan import plan_key
from diem_operator.model import reasons
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.diemjob import DiemJobStatus, Phase, State
from diem_operator.model.metadata import RawObject
from diem_operator.planning.statuses import settle
from tests.builders import make_diemjob, make_request, make_run, make_status, make_world
from tests.unit.access.keys import NOW, make_context, make_key

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "gitops" / "argo-cd"
SCRIPT = (FOLDER / "health.lua").read_text(encoding="utf-8")

# Argo CD's interpreter is Lua 5.1 with the base, table and package libraries and a harmless part of os.
TAKEN_AWAY = 'getmetatable("").__index = nil; string, io, debug, math, os, coroutine = nil, nil, nil, nil, nil, nil'


def check_health(manifest: RawObject) -> tuple[str, str]:
    """Return the status and the message, as Argo CD gets them."""
    lua = LuaRuntime()
    lua.execute(TAKEN_AWAY)
    lua.globals().obj = lua.table_from(manifest, recursive=True)
    answer = dict(lua.execute(SCRIPT).items())
    return answer["status"], answer["message"]


def make_manifest(status: object, *, kind: str = "DiemJob", generation: int = 1, **metadata: Any) -> RawObject:
    return {
        "apiVersion": "diem.io/v1",
        "kind": kind,
        "metadata": {"name": "nightly-load", "generation": generation, **metadata},
        "status": msgspec.to_builtins(status),
    }


def settled(status: DiemJobStatus, **spec: Any) -> RawObject:
    """Return a DiemJob as it is once the operator has written what it knows."""
    return make_manifest(settle(make_world(make_diemjob(status=status, **spec)), status))


def last_run(phase: Phase, reason: str = "", message: str = "") -> RawObject:
    return settled(make_status(make_run(phase=phase, reason=reason, message=message)))


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        pytest.param(settled(DiemJobStatus()), ("Healthy", "has not run yet"), id="never-ran"),
        pytest.param(settled(DiemJobStatus(), state=State.STOPPED), ("Healthy", "has not run yet"), id="stopped"),
        pytest.param(last_run(Phase.RUNNING), ("Healthy", "run 1 is Running"), id="runs-for-hours"),
        pytest.param(
            last_run(Phase.COMPLETED, reasons.COMPLETED), ("Healthy", "run 1 is Completed"), id="has-completed"
        ),
        pytest.param(
            last_run(Phase.FAILED, "BackoffLimitExceeded", "Job has failed"),
            ("Healthy", "run 1 is Failed"),
            id="a-failed-run-is-no-broken-deployment",
        ),
        pytest.param(
            last_run(Phase.FAILED, reasons.START_DEADLINE_EXCEEDED),
            ("Healthy", "run 1 is Failed"),
            id="started-too-late",
        ),
        pytest.param(
            last_run(Phase.STOPPED, reasons.STOP_REQUESTED), ("Healthy", "run 1 is Stopped"), id="was-stopped"
        ),
        pytest.param(
            last_run(Phase.FAILED, reasons.JOB_REJECTED, "spec.template: no"),
            ("Degraded", "JobRejected: spec.template: no"),
            id="job-rejected",
        ),
        pytest.param(
            last_run(Phase.FAILED, reasons.JOB_NAME_TAKEN), ("Degraded", "JobNameTaken"), id="name-of-the-job-taken"
        ),
        pytest.param(
            last_run(Phase.SUBMITTED, reasons.QUOTA_EXCEEDED, "exceeded quota: batch"),
            ("Progressing", "QuotaExceeded: exceeded quota: batch"),
            id="waits-for-a-quota",
        ),
        pytest.param(
            last_run(Phase.PENDING, reasons.POD_UNSCHEDULABLE, "no node"),
            ("Progressing", "PodUnschedulable: no node"),
            id="waits-for-a-node",
        ),
        pytest.param(last_run(Phase.PENDING), ("Progressing", "Pending"), id="pending-without-a-reason"),
        pytest.param(
            last_run(Phase.PENDING, reasons.JOB_SUSPENDED, "the Job is suspended"),
            ("Suspended", "a queue has not admitted the Job yet"),
            id="waits-in-a-queue",
        ),
        pytest.param(last_run(Phase.STOPPING), ("Progressing", "Stopping"), id="stopping"),
        pytest.param(
            settled(make_status(make_run(phase=Phase.COMPLETED)), state=State.RUNNING, run=make_request("r2")),
            ("Progressing", "Starting"),
            id="the-next-start-is-due",
        ),
    ],
)
def test_health_of_a_diemjob(manifest: RawObject, expected: tuple[str, str]) -> None:
    assert check_health(manifest) == expected


def planned(apikey: DiemApiKey, *others: DiemApiKey) -> RawObject:
    """Return a DiemApiKey as it is once the operator has written what it knows."""
    status = plan_key(apikey, make_context(apikey, *others), now=NOW).status
    return make_manifest(status, kind="DiemApiKey", generation=apikey.metadata.generation)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, ("Healthy", "Issued"), id="issued"),
        pytest.param({"revoked": True}, ("Suspended", "Revoked"), id="revoked-on-purpose"),
        pytest.param({"expires_at": NOW}, ("Degraded", "Expired"), id="expired"),
        pytest.param({"jobs": ("a*b",)}, ("Degraded", "InvalidSpec"), id="invalid"),
    ],
)
def test_health_of_a_diemapikey(change: dict[str, Any], expected: tuple[str, str]) -> None:
    apikey = make_key().build()
    changed = msgspec.structs.replace(apikey, spec=msgspec.structs.replace(apikey.spec, **change))

    status, message = check_health(planned(changed))

    assert (status, message.partition(":")[0]) == expected


@pytest.mark.parametrize("kind", ["DiemJob", "DiemApiKey"])
@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        pytest.param({"metadata": {"generation": 1}}, "no operator has looked at it yet", id="no-status"),
        pytest.param({"metadata": {"generation": 1}, "status": {}}, "no operator has looked at it yet", id="empty"),
        pytest.param(
            {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": []}},
            "the operator has not looked at the latest change yet",
            id="older-than-the-spec",
        ),
        pytest.param(
            {"metadata": {"generation": 1}, "status": {"observedGeneration": 1}},
            "the operator has not said yet whether it is ready",
            id="no-conditions",
        ),
        pytest.param(
            {"metadata": {"generation": 1, "deletionTimestamp": "2030-01-01T00:00:00Z"}},
            "is being deleted",
            id="deleted",
        ),
    ],
)
def test_what_is_not_known_yet_is_progressing(kind: str, manifest: RawObject, message: str) -> None:
    assert check_health({"kind": kind, **manifest}) == ("Progressing", message)


def test_old_good_news_does_not_count_after_a_change() -> None:
    manifest = settled(DiemJobStatus())
    manifest["metadata"]["generation"] = 2

    assert check_health(manifest)[0] == "Progressing"


@cache
def read_config_map() -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", ["DiemJob", "DiemApiKey"])
def test_config_map_holds_the_script_for_each_kind(kind: str) -> None:
    assert read_config_map()["data"][f"resource.customizations.health.diem.io_{kind}"] == SCRIPT


def test_config_map_ignores_what_callers_write() -> None:
    ignored = yaml.safe_load(read_config_map()["data"]["resource.customizations.ignoreDifferences.diem.io_DiemJob"])

    assert ignored == {"jsonPointers": ["/spec/state", "/spec/run", "/spec/requests"]}


def test_script_has_no_library_that_argo_cd_would_not_give_it() -> None:
    is_there: Callable[[str], bool] = lambda name: LuaRuntime().execute(f"{TAKEN_AWAY}; return {name} ~= nil")  # noqa: E731

    assert [name for name in ("string", "os", "io", "math", "table", "ipairs") if is_there(name)] == ["table", "ipairs"]
