"""What is wrong with a load that has come to rest: the oracle's rules, and what only a load can ask. No I/O."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from tests.reliability.history import History, RunKey, list_runs
from tests.reliability.load.fleet import Fleet
from tests.reliability.load.sizes import RUN_HISTORY
from tests.reliability.oracle import TERMINAL, judge


def judge_load(history: History, fleet: Fleet) -> list[str]:
    """Return what is wrong, one sentence each."""
    recent = replace(history.told, labels=_find_recent(history))
    return [
        *judge(replace(history, told=recent)),
        *_find_lost_diemjobs(history, fleet),
        *_find_lost_runs(history),
        *_find_runs_that_nobody_asked_for(history),
    ]


def _find_recent(history: History) -> dict[RunKey, str]:
    """Return the accepted starts that a status must still tell: as many of each DiemJob as it keeps."""
    of_diemjob: dict[str, list[RunKey]] = {}
    for run in history.told.labels:
        of_diemjob.setdefault(run.diemjob_uid, []).append(run)
    return {run: history.told.labels[run] for runs in of_diemjob.values() for run in runs[-RUN_HISTORY:]}


def _find_lost_diemjobs(history: History, fleet: Fleet) -> Iterator[str]:
    left = {diemjob["metadata"]["uid"] for diemjob in history.diemjobs}
    if lost := set(fleet.uids.values()) - left:
        yield f"{len(lost)} DiemJobs are gone"
    if unanswered := set(fleet.uids) - fleet.answered:
        yield f"the spec of {len(unanswered)} DiemJobs was never answered"


def _find_lost_runs(history: History) -> Iterator[str]:
    """Every accepted start has an end, and exactly one Job, unless it was stopped before it could have one."""
    made = Counter(life.run for life in history.job_lives)
    ends = dict(_list_ends(history))
    for run, label in history.told.labels.items():
        if run not in ends:
            yield f"accepted start {label} never came to an end"
        elif made[run] == 0 and run not in history.told.stopped:
            yield f"accepted start {label} is {ends[run]} and never had a Job"
        elif run in history.told.stopped and ends[run] == "Failed":
            yield f"run {label} was stopped and is Failed"


def _find_runs_that_nobody_asked_for(history: History) -> Iterator[str]:
    for life in history.job_lives:
        if life.run not in history.told.labels:
            yield f"Job {life.name} belongs to run {life.run_id}, which nobody has started"


def _list_ends(history: History) -> Iterator[tuple[RunKey, str]]:
    for seen in history.versions_of("diemjobs"):
        for run in list_runs(seen.raw.get("status", {})):
            if run["phase"] in TERMINAL:
                yield RunKey(seen.raw["metadata"]["uid"], run["id"]), run["phase"]
