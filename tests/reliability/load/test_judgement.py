"""The judge of a load finds what is wrong, each time, and nothing where all is well."""

import itertools
from typing import Any

import pytest

from tests.reliability.history import RUN_ID, History, RunKey, Told
from tests.reliability.load.fleet import Fleet
from tests.reliability.load.judgement import judge_load
from tests.reliability.witness import Seen

UID = "uid-of-etl"
NAME = "etl"
Raw = dict[str, Any]


class Record:
    """Builds what a witness saw, in order."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.told = Told()
        self._revisions = itertools.count(1)
        self._runs: list[Raw] = []

    def accept(self, run_id: str) -> "Record":
        self.told.labels[RunKey(UID, run_id)] = run_id
        return self

    def stop(self, run_id: str) -> "Record":
        self.told.stopped.add(RunKey(UID, run_id))
        return self

    def job(self, run_id: str, outcome: str = "", *, name: str = "", type_: str = "MODIFIED") -> "Record":
        name = name or f"job-{run_id}"
        reference = {"kind": "DiemJob", "name": NAME, "uid": UID, "controller": True}
        metadata = {"name": name, "uid": f"uid-of-{name}", "ownerReferences": [reference]}
        conditions = [{"type": outcome, "status": "True"}] if outcome else []
        raw = {"metadata": metadata | {"annotations": {RUN_ID: run_id}}, "status": {"conditions": conditions}}
        return self._see("jobs", type_, raw)

    def status(self, run_id: str, phase: str, reason: str = "", *, job: str = "") -> "Record":
        run = {"id": run_id, "phase": phase, "reason": reason, "jobUid": f"uid-of-{job or f'job-{run_id}'}"}
        self._runs = [run, *(each for each in self._runs if each["id"] != run_id)]
        status = {"phase": phase, "run": run, "runs": self._runs[:5], "observedGeneration": 1}
        return self._see("diemjobs", "MODIFIED", {"metadata": {"name": NAME, "uid": UID}, "status": status})

    def judge(self) -> list[str]:
        fleet = Fleet([NAME], live=1, uids={NAME: UID}, answered={NAME})
        return judge_load(History(seen=self.seen, exchanges=[], told=self.told), fleet)

    def _see(self, kind: str, type_: str, raw: Raw) -> "Record":
        revision = next(self._revisions)
        raw["metadata"]["resourceVersion"] = str(revision)
        self.seen.append(Seen(kind, type_, raw, revision))
        return self


def run_whole(record: Record, run_id: str) -> Record:
    record.accept(run_id).job(run_id).status(run_id, "Running")
    return record.job(run_id, "Complete").status(run_id, "Completed")


def test_runs_that_come_to_their_end_are_well() -> None:
    record = Record()
    for place in range(9):  # more than a status keeps
        run_whole(record, f"run-{place}")

    assert record.judge() == []


def test_run_that_is_stopped_before_it_has_a_job_is_well() -> None:
    assert Record().accept("a").stop("a").status("a", "Stopped", "NeverStarted").judge() == []


LOST = Record().accept("a").job("a").status("a", "Running")
NO_JOB = Record().accept("a").status("a", "Stopped", "NeverStarted")
TWICE = run_whole(Record(), "a").job("a", name="another").job("a", "Complete", name="another")
UNASKED = run_whole(run_whole(Record(), "a"), "b")
UNASKED.told.labels.pop(RunKey(UID, "b"))
OVERLAP = Record().accept("a").accept("b").job("a").job("b")
OVERLAP.job("a", "Complete").status("a", "Completed").job("b", "Complete").status("b", "Completed")
TOO_EARLY = Record().accept("a").stop("a").job("a").status("a", "Stopped", "StopRequested").job("a", type_="DELETED")
NOT_COMPLETE = Record().accept("a").job("a").job("a", "Failed").status("a", "Completed")
ORPHAN = run_whole(Record(), "a").accept("b").job("b").status("b", "Stopped", "Superseded")


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        pytest.param(LOST, "accepted start a never came to an end", id="no-end"),
        pytest.param(NO_JOB, "accepted start a is Stopped and never had a Job", id="no-job"),
        pytest.param(TWICE, "run a has 2 Jobs", id="two-jobs"),
        pytest.param(UNASKED, "Job job-b belongs to run b, which nobody has started", id="unasked"),
        pytest.param(OVERLAP, "Jobs job-a and job-b of DiemJob etl were unfinished at the same time", id="overlap"),
        pytest.param(TOO_EARLY, "run a was called Stopped while its Job job-a was there", id="stopped-too-early"),
        pytest.param(NOT_COMPLETE, "run a is Completed, and no Job of it completed", id="not-complete"),
        pytest.param(ORPHAN, "Job job-b goes on, and the status knows nothing of it", id="orphan"),
    ],
)
def test_what_is_wrong_is_found(record: Record, complaint: str) -> None:
    assert complaint in record.judge()


def test_recent_run_that_the_history_lacks_is_found() -> None:
    record = run_whole(Record(), "a").accept("b").job("b").job("b", "Complete").status("b", "Completed")
    last = record.seen[-1].raw["status"]
    last["runs"] = last["runs"][:1]

    assert "accepted start a is not in the history" in record.judge()


def test_lost_diemjob_is_found() -> None:
    record = run_whole(Record(), "a")
    record.seen.append(Seen("diemjobs", "DELETED", record.seen[-1].raw, 1000))

    assert "1 DiemJobs are gone" in record.judge()
