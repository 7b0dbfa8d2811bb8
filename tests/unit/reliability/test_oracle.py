"""The judge of the stories: each rule, broken once, is complained of; what is right is not."""

import dataclasses
import json
from typing import Any

import pytest

from tests.reliability.history import History, RunKey, Told
from tests.reliability.oracle import describe_end, judge
from tests.reliability.proxy.calls import ARRIVED_LATE, Call, Exchange
from tests.reliability.witness import Seen

RUN = RunKey("uid-etl", "r1")


class Past:
    """A history, written version by version."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.exchanges: list[Exchange] = []
        self.told = Told(labels={RUN: "first"})

    def diemjob(self, *runs: dict[str, Any], kind: str = "MODIFIED") -> "Past":
        status = {"phase": runs[0]["phase"], "run": runs[0], "runs": list(runs[1:])} if runs else {}
        raw = {"metadata": {"name": "etl", "uid": "uid-etl"}, "spec": {"state": "running"}, "status": status}
        return self._see("diemjobs", kind, raw)

    def job(self, uid: str = "job-1", *, run_id: str = "r1", outcome: str = "", kind: str = "MODIFIED") -> "Past":
        owner = {"kind": "DiemJob", "name": "etl", "uid": "uid-etl", "controller": True}
        metadata = {"name": uid, "uid": uid, "ownerReferences": [owner], "annotations": {"diem.io/run-id": run_id}}
        conditions = [{"type": outcome, "status": "True"}] if outcome else []
        return self._see("jobs", kind, {"metadata": metadata, "status": {"conditions": conditions}})

    def foreign_job(self, version: str, *, kind: str = "MODIFIED") -> "Past":
        return self._see("jobs", kind, {"metadata": {"name": "x", "uid": "foreign", "resourceVersion": version}})

    def key(self, secret: str = "", *, kind: str = "MODIFIED") -> "Past":
        conditions = [{"type": "Ready", "status": "True", "reason": "Issued"}] if secret else []
        status = {"secretName": secret, "conditions": conditions}
        return self._see("diemapikeys", kind, {"metadata": {"name": "tool", "uid": "uid-tool"}, "status": status})

    def secret(self, name: str, *, kind: str = "ADDED") -> "Past":
        owner = {"kind": "DiemApiKey", "name": "tool", "uid": "uid-tool", "controller": True}
        metadata = {"name": name, "uid": f"uid-{name}", "ownerReferences": [owner]}
        return self._see("secrets", kind, {"metadata": metadata})

    def write(self, process: int, resource: str, *, holder: str | None = None) -> "Past":
        order = 2 * len(self.exchanges)
        verb = "update" if resource == "leases" else "patch"
        call = Call(
            client="operator", process=process, index=order, method="", path="", query={}, verb=verb, resource=resource
        )
        if resource.endswith("/status"):
            call = dataclasses.replace(call, body=b'{"metadata": {"resourceVersion": "1"}}')
        answered = {} if holder is None else {"spec": {"holderIdentity": holder}}
        self.exchanges.append(Exchange(call=call, received=order, completed=order + 1, status=200, answered=answered))
        return self

    def post_job(self, *, run_id: str = "r1", uid: str = "job-1", fault: str = "") -> "Past":
        metadata = {"ownerReferences": [{"name": "etl"}], "annotations": {"diem.io/run-id": run_id}}
        self.call("create", "jobs", {"metadata": metadata})
        answered = {"metadata": {"uid": uid}}
        self.exchanges[-1] = dataclasses.replace(self.exchanges[-1], answered=answered, fault=fault)
        return self

    def patch_run(self, phase: str, *, run_id: str = "r1", reason: str = "") -> "Past":
        told = {"run": {"id": run_id, "phase": phase, "reason": reason}}
        return self.call("patch", "diemjobs/status", {"metadata": {"resourceVersion": "1"}, "status": told})

    def delete_job(self, uid: str, propagation: str, *, resource_version: str | None = None) -> "Past":
        conditions = {"uid": uid, "resourceVersion": resource_version}
        named = {name: value for name, value in conditions.items() if value is not None}
        return self.call("delete", "jobs", {"preconditions": named, "propagationPolicy": propagation})

    def call(self, verb: str, resource: str, body: object) -> "Past":
        if not self.exchanges:
            self.write(1, "leases", holder="1")
        self.write(1, resource)
        call = dataclasses.replace(self.exchanges[-1].call, verb=verb, name="etl", body=json.dumps(body).encode())
        self.exchanges[-1] = dataclasses.replace(self.exchanges[-1], call=call)
        return self

    def judged(self) -> list[str]:
        return judge(self.history)

    @property
    def history(self) -> History:
        return History(seen=self.seen, exchanges=self.exchanges, told=self.told)

    def _see(self, resource: str, kind: str, raw: dict[str, Any]) -> "Past":
        revision = len(self.seen) + 1
        raw["metadata"].setdefault("resourceVersion", str(revision))
        self.seen.append(Seen(resource, kind, raw, revision))
        return self


def run(phase: str, *, run_id: str = "r1", reason: str = "", job: str = "job-1") -> dict[str, Any]:
    return {"id": run_id, "phase": phase, "reason": reason, "jobUid": job}


def running() -> Past:
    return Past().job().diemjob(run("Running", job="job-1"))


def completed() -> Past:
    return Past().job().diemjob(run("Running")).job(outcome="Complete").diemjob(run("Completed"))


def test_run_that_completes_is_fine() -> None:
    past = completed()

    assert past.judged() == []
    assert describe_end(past.history)["etl"]["runs"] == [("first", "Completed", "", 1)]


def test_run_that_is_stopped_is_fine() -> None:
    past = Past().job().diemjob(run("Running")).diemjob(run("Stopping"))
    past.job(kind="DELETED").diemjob(run("Stopped", reason="StopRequested"))
    past.told.stopped.add(RUN)

    assert past.judged() == []


def test_job_that_a_late_request_makes_while_its_run_stops_is_no_second_one() -> None:
    past = Past().job().diemjob(run("Running")).diemjob(run("Stopping")).job(kind="DELETED")
    past.post_job(fault=ARRIVED_LATE, uid="job-2").job("job-2").job("job-2", kind="DELETED")
    past.diemjob(run("Stopped", reason="StopRequested"))

    assert past.judged() == []
    assert describe_end(past.history)["etl"]["runs"] == [("first", "Stopped", "StopRequested", 1)]


def test_key_that_is_issued_is_fine() -> None:
    past = completed().key().secret("tool-1").key("tool-1").key("tool-1")

    assert past.judged() == []
    assert describe_end(past.history)["key tool"] == {"conditions": {"Ready": ("True", "Issued")}, "secrets": 1}

    past.secret("tool-1", kind="DELETED")
    assert past.judged() == []
    assert describe_end(past.history)["key tool"]["secrets"] == 0


WRONG = {
    "late-job": (
        Past()
        .job()
        .diemjob(run("Running"))
        .job(kind="DELETED")
        .diemjob(run("Stopped", reason="StopRequested"))
        .post_job(fault=ARRIVED_LATE, uid="job-2")
        .job("job-2")
        .job("job-2", kind="DELETED"),
        "was made for run first, which was told to be over",
    ),
    "second-job": (completed().job("job-2", outcome="Complete"), "has 2 Jobs"),
    "two-at-once": (
        completed()
        .job("job-2", run_id="r2")
        .job("job-3", run_id="r3")
        .diemjob(run("Running", run_id="r2", job="job-2")),
        "unfinished at the same time",
    ),
    "start-forgotten": (Past().diemjob(), "is not in the history"),
    "start-without-a-job": (Past().diemjob(run("Failed", reason="JobDeleted")), "never had a Job"),
    "told-stopped-too-early": (
        Past().job().diemjob(run("Stopped", reason="StopRequested")).job(kind="DELETED"),
        "was called Stopped while",
    ),
    "end-taken-back": (completed().diemjob(run("Running")), "was over as"),
    "completed-without-a-job-that-did": (
        Past().job().job(outcome="Failed").diemjob(run("Completed")),
        "no Job of it completed",
    ),
    "orphan": (completed().diemjob(kind="DELETED"), "left of a DiemJob that is gone"),
    "key-told-before-its-secret": (completed().key("tool-1").secret("tool-1"), "before its Secret was there"),
    "key-without-a-secret": (completed().key("tool-1"), "before its Secret was there"),
    "key-issued-twice": (
        completed().secret("tool-1").secret("tool-2").key("tool-1").key("tool-2"),
        "was issued once more",
    ),
    "status-of-whatever-version": (
        running().call("patch", "diemjobs/status", {"status": {"phase": "Running"}}),
        "names no resourceVersion",
    ),
    "spec-of-whatever-version": (
        running().call("patch", "diemjobs", [{"op": "add", "path": "/spec/state"}]),
        "names no resourceVersion",
    ),
    "deleted-by-its-name": (running().call("delete", "jobs", {}), "names no uid"),
    "deleted-whatever-became-of-it": (running().delete_job("job-1", "Foreground"), "names no resourceVersion"),
    "deleted-without-its-pods": (
        running().delete_job("job-1", "Background", resource_version="1"),
        "leaves the pods of an unfinished Job behind",
    ),
    "job-that-nobody-knows": (completed().job("job-2", run_id="r2"), "knows nothing of it"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_complained_of(name: str) -> None:
    past, complaint = WRONG[name]

    assert any(complaint in each for each in past.judged()), past.judged()


def test_stop_that_did_nothing_is_complained_of() -> None:
    past = Past().job().diemjob(run("Running"))
    past.told.stopped.add(RUN)

    assert len(past.judged()) == 2


@pytest.mark.parametrize("kind", ["MODIFIED", "DELETED"])
def test_foreign_object_that_was_touched_is_complained_of(kind: str) -> None:
    past = Past().foreign_job("1").foreign_job("2", kind=kind)
    past.told = Told(foreign={"foreign": "1"})

    assert len(past.judged()) == 1


def test_only_the_leader_may_write() -> None:
    past = Past().write(1, "leases", holder="a").write(1, "diemjobs/status").write(2, "leases", holder="b")
    past.told = Told()
    assert past.write(2, "diemjobs/status").judged() == []

    assert past.write(1, "events").judged() == []
    assert past.write(1, "diemjobs/status").judged() != []


def test_nobody_may_write_after_giving_the_lease_back() -> None:
    past = Past().write(1, "leases", holder="one").write(1, "leases", holder="").write(1, "diemjobs/status")

    assert any("was sent although nobody had the lease" in each for each in past.judged())


def test_deletion_of_a_job_as_it_was_read_is_fine() -> None:
    assert completed().delete_job("job-1", "Background").judged() == []
    assert running().delete_job("job-1", "Foreground", resource_version="1").judged() == []


def test_process_that_ends_by_itself_is_complained_of() -> None:
    history = dataclasses.replace(completed().history, ended_by_themselves=["operator-1"])

    assert judge(history) == ["operator-1 ended by itself"]


def test_nobody_may_write_before_anybody_leads() -> None:
    past = Past().write(1, "jobs")
    past.told = Told()

    assert past.judged() != []


def test_run_is_recorded_after_its_job_was_asked_for() -> None:
    past = completed().post_job().patch_run("Pending").patch_run("Submitted", run_id="r2", reason="WaitingForOldJobs")
    past.post_job(run_id="r2").patch_run("Failed", run_id="r3", reason="InvalidParameters")
    assert past.judged() == []

    complaint = "run r1 of etl was recorded before its Job was asked for"
    assert completed().patch_run("Pending").post_job().judged() == [complaint]
    assert completed().patch_run("Pending").judged() == [], "somebody else made the Job"
    assert completed().patch_run("Submitted", run_id="r9").judged() == [complaint.replace("r1", "r9")]
