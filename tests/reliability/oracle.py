"""The one judge of every story under every fault: what must never be so, whatever went wrong. No I/O.

Revisions of the store and the order of calls decide what was before what; no clock is asked.
"""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import combinations
from typing import Any, TypeVar

from tests.reliability.history import History, JobLife, RunKey, find_outcome, find_owner, list_runs
from tests.reliability.proxy.calls import ARRIVED_LATE, Exchange

Key = TypeVar("Key", bound=Hashable)

TERMINAL = {"Completed", "Failed", "Stopped"}
NEVER_STARTED = {"NeverStarted", "RestoredRequest", "StateLost", "InvalidParameters", "JobRejected", "JobNameTaken"}
_ENDED_BY_US = {"StopRequested", "Superseded"}
_NOT_FENCED = {"events", "leases", "serviceaccounts/token"}
"""What a replica may write without leading."""


def judge(history: History) -> list[str]:
    """Return what is wrong with a history that has come to rest, one sentence each."""
    return [complaint for rule in RULES for complaint in rule(history)]


def has_at_most_one_job_per_run(history: History) -> Iterator[str]:
    """But for one that is made by a request which came late, while the run was not over."""
    for run, count in _count_jobs(history).items():
        if count > 1 and run not in history.told.excused:
            yield f"run {_name(history, run)} has {count} Jobs"


def has_at_most_one_live_job_per_diemjob(history: History) -> Iterator[str]:
    for diemjob, lives in _group(history.job_lives, lambda life: life.owner[0]).items():
        for one, other in combinations(lives, 2):
            if one.overlaps(other):
                yield f"Jobs {one.name} and {other.name} of DiemJob {diemjob} were unfinished at the same time"


def accounts_for_every_accepted_start(history: History) -> Iterator[str]:
    left = {diemjob["metadata"]["uid"]: diemjob for diemjob in history.diemjobs}
    made = {life.run for life in history.job_lives}
    for run, label in history.told.labels.items():
        if run.diemjob_uid not in left:
            continue
        told = {each["id"]: each for each in list_runs(left[run.diemjob_uid].get("status", {}))}
        if run.run_id not in told:
            yield f"accepted start {label} is not in the history"
        elif run not in made and told[run.run_id].get("reason") not in NEVER_STARTED:
            yield f"accepted start {label} is {told[run.run_id]['phase']} and never had a Job"


def carries_out_every_acknowledged_stop(history: History) -> Iterator[str]:
    for diemjob in history.diemjobs:
        uid = diemjob["metadata"]["uid"]
        for run in list_runs(diemjob.get("status", {})):
            if RunKey(uid, run["id"]) in history.told.stopped and run["phase"] not in TERMINAL:
                yield f"run {run['id']} was stopped, and is {run['phase']}"
    for life in history.job_lives:
        if life.run in history.told.stopped and life.ended is None:
            yield f"Job {life.name} goes on although the stop of its run was acknowledged"


def says_stopped_only_when_it_is(history: History) -> Iterator[str]:
    """A run may be called Stopped once its Jobs are gone, not before."""
    lives = _group(history.job_lives, lambda life: life.run)
    for run, told_at, reason in _list_first_told(history, "Stopped"):
        for life in lives.get(run, []):
            is_there = life.created < told_at and (life.ended is None or life.ended > told_at)
            if is_there and reason in _ENDED_BY_US:
                yield f"run {_name(history, run)} was called Stopped while its Job {life.name} was there"


def makes_no_job_for_a_run_that_is_over(history: History) -> Iterator[str]:
    ends: dict[RunKey, int] = {}
    for phase in TERMINAL:
        ends |= {run: told_at for run, told_at, _ in _list_first_told(history, phase)}
    for life in history.job_lives:
        is_excused = life.run in history.told.excused or history.told.is_status_wiped
        if life.created > ends.get(life.run, life.created) and not is_excused:
            yield f"Job {life.name} was made for run {_name(history, life.run)}, which was told to be over"


def never_takes_back_an_end(history: History) -> Iterator[str]:
    ends: dict[RunKey, tuple[str, str]] = {}
    for seen in history.versions_of("diemjobs"):
        for run in list_runs(seen.raw.get("status", {})):
            key = RunKey(seen.raw["metadata"]["uid"], run["id"])
            end = run["phase"], run.get("reason", "")
            if ends.get(key, end) != end and not history.told.is_status_wiped:
                yield f"run {_name(history, key)} was over as {ends[key]} and became {end}"
            if run["phase"] in TERMINAL:
                ends[key] = end


def tells_the_end_of_each_job(history: History) -> Iterator[str]:
    """A run that is called Completed had a Job that completed, whatever became of that Job later."""
    jobs = {each.raw["metadata"]["uid"] for each in history.versions_of("jobs") if find_outcome(each.raw) == "Complete"}
    completed = {life.run for life in history.job_lives if life.uid in jobs}
    for run, _, _ in _list_first_told(history, "Completed"):
        if run not in completed and not history.told.is_status_wiped:
            yield f"run {_name(history, run)} is Completed, and no Job of it completed"


def leaves_no_orphan(history: History) -> Iterator[str]:
    left = {diemjob["metadata"]["uid"]: diemjob for diemjob in history.diemjobs}
    for job in history.jobs:
        owner = find_owner(job)
        if owner is None:
            continue
        name = job["metadata"]["name"]
        if owner[1] not in left:
            yield f"Job {name} is left of a DiemJob that is gone"
            continue
        latest = left[owner[1]].get("status", {}).get("run", {})
        is_live = latest.get("jobUid") == job["metadata"]["uid"] and latest.get("phase") not in TERMINAL
        if not find_outcome(job) and not is_live:
            yield f"Job {name} goes on, and the status knows nothing of it"


def touches_nothing_foreign(history: History) -> Iterator[str]:
    there = {job["metadata"]["uid"]: job["metadata"]["resourceVersion"] for job in history.jobs}
    for uid, version in history.told.foreign.items():
        if there.get(uid) != version:
            yield f"somebody else's Job {uid} was {'changed' if uid in there else 'deleted'}"


def is_written_by_the_leader_only(history: History) -> Iterator[str]:
    """After another replica has taken the lease, the one before sends no write any more."""
    holders: list[tuple[int, str]] = []
    for exchange in sorted(history.exchanges, key=lambda each: each.completed or each.received):
        if _takes_lease(exchange) and exchange.completed is not None:
            holder = _holder(exchange)
            if not holders or holders[-1][1] != holder:
                holders.append((exchange.completed, holder))
    processes = {_holder(each): _process(each) for each in history.exchanges if _takes_lease(each)}
    for exchange in filter(_is_fenced, history.exchanges):
        leader = next((holder for since, holder in reversed(holders) if since < exchange.received), None)
        if not leader or processes[leader] != _process(exchange):
            yield f"{exchange.call} was sent although {leader or 'nobody'} had the lease"


def asks_for_a_job_before_it_records_its_run(history: History) -> Iterator[str]:
    """A crash between the two leaves a Job that tells of its run; the other way round, a run that had no Job."""
    first_posts: dict[tuple[str, str], int] = {}
    records: list[tuple[tuple[str, str], int]] = []
    for exchange in history.exchanges:
        body = json.loads(exchange.call.body or b"{}")
        if exchange.call.what == "create jobs":
            owner, run_id = body["metadata"]["ownerReferences"][0], body["metadata"]["annotations"]["diem.io/run-id"]
            first_posts.setdefault((owner["name"], run_id), exchange.received)
        elif exchange.call.what == "patch diemjobs/status":
            run = body.get("status", {}).get("run") or {}
            is_live = run.get("phase", "Stopped") not in TERMINAL and run.get("reason") != "WaitingForOldJobs"
            if "id" in run and is_live:
                records.append(((exchange.call.name, run["id"]), exchange.received))
    made_by_others = {(life.owner[0], life.run.run_id) for life in history.job_lives} - set(first_posts)
    for key, recorded in records:
        if key not in made_by_others and first_posts.get(key, recorded) >= recorded:
            yield f"run {key[1]} of {key[0]} was recorded before its Job was asked for"


def writes_only_what_it_has_read(history: History) -> Iterator[str]:
    """Each patch names the version it was decided on."""
    for exchange in history.exchanges:
        call, body = exchange.call, json.loads(exchange.call.body or b"{}")
        if call.what not in {"patch diemjobs", "patch diemjobs/status", "patch diemapikeys/status"}:
            continue
        if isinstance(body, list):
            guards = [change for change in body if change["path"] == "/metadata/resourceVersion"]
            is_guarded = any(change["op"] in {"replace", "test"} and change["value"] for change in guards)
        else:
            is_guarded = bool(body.get("metadata", {}).get("resourceVersion"))
        if not is_guarded:
            yield f"{call} names no resourceVersion"


def deletes_unfinished_jobs_as_it_has_read_them(history: History) -> Iterator[str]:
    """That is, still unfinished; and with their pods, or not at all."""
    finished = {seen.raw["metadata"]["uid"] for seen in history.versions_of("jobs") if find_outcome(seen.raw)}
    for exchange in history.exchanges:
        if exchange.call.what != "delete jobs":
            continue
        options = json.loads(exchange.call.body or b"{}")
        conditions = options.get("preconditions", {})
        if not conditions.get("uid"):
            yield f"{exchange.call} names no uid"
        elif conditions["uid"] not in finished:
            if not conditions.get("resourceVersion"):
                yield f"{exchange.call} names no resourceVersion"
            if options.get("propagationPolicy") != "Foreground":
                yield f"{exchange.call} leaves the pods of an unfinished Job behind"


def issues_each_key_once(history: History) -> Iterator[str]:
    """The Secret of a key is there before the status tells of it, and the status never tells of another."""
    made: dict[str, int] = {}
    for seen in history.versions_of("secrets"):
        made.setdefault(seen.raw["metadata"]["name"], seen.revision)
    told: dict[str, str] = {}
    for seen in history.versions_of("diemapikeys"):
        metadata, secret = seen.raw["metadata"], seen.raw.get("status", {}).get("secretName", "")
        if secret and told.setdefault(metadata["uid"], secret) != secret:
            yield f"key {metadata['name']} was issued once more"
        elif secret and made.get(secret, seen.revision) >= seen.revision:
            yield f"key {metadata['name']} was issued before its Secret was there"


def ends_no_process_by_itself(history: History) -> Iterator[str]:
    """The kubelet starts one again only after a while that grows, and what one meets, all may meet at once."""
    for name in history.ended_by_themselves:
        yield f"{name} ended by itself"


RULES: tuple[Callable[[History], Iterator[str]], ...] = (
    has_at_most_one_job_per_run,
    has_at_most_one_live_job_per_diemjob,
    accounts_for_every_accepted_start,
    carries_out_every_acknowledged_stop,
    says_stopped_only_when_it_is,
    makes_no_job_for_a_run_that_is_over,
    never_takes_back_an_end,
    tells_the_end_of_each_job,
    leaves_no_orphan,
    touches_nothing_foreign,
    is_written_by_the_leader_only,
    asks_for_a_job_before_it_records_its_run,
    ends_no_process_by_itself,
    writes_only_what_it_has_read,
    deletes_unfinished_jobs_as_it_has_read_them,
    issues_each_key_once,
)


def describe_end(history: History) -> dict[str, Any]:
    """Return the end state in words that are the same in every run of a story."""
    made = _count_jobs(history)
    diemjobs = {
        diemjob["metadata"]["name"]: {
            "state": diemjob["spec"].get("state"),
            "phase": diemjob.get("status", {}).get("phase"),
            "conditions": {c["type"]: c["status"] for c in diemjob.get("status", {}).get("conditions", [])},
            "runs": [_describe_run(history, diemjob, run, made) for run in list_runs(diemjob.get("status", {}))],
            "jobs": sorted(_describe_jobs(history, diemjob["metadata"]["uid"])),
        }
        for diemjob in sorted(history.diemjobs, key=lambda each: str(each["metadata"]["name"]))
    }
    return diemjobs | {f"key {key['metadata']['name']}": _describe_key(history, key) for key in history.keys}


def _describe_key(history: History, key: dict[str, Any]) -> dict[str, Any]:
    owners = Counter(find_owner(secret, kind="DiemApiKey") for secret in history.secrets)
    conditions = key.get("status", {}).get("conditions", [])
    return {
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in conditions},
        "secrets": owners[key["metadata"]["name"], key["metadata"]["uid"]],
    }


def _count_jobs(history: History) -> Counter[RunKey]:
    """Count the Jobs of each run, without those that a late request made beside another one."""
    posts = [each for each in history.exchanges if each.call.what == "create jobs" and each.is_stored]
    late = {each.answered["metadata"]["uid"] for each in posts if each.fault == ARRIVED_LATE}
    made = Counter(life.run for life in history.job_lives)
    in_time = Counter(life.run for life in history.job_lives if life.uid not in late)
    return Counter({run: in_time[run] or count for run, count in made.items()})


def _describe_run(
    history: History, diemjob: dict[str, Any], run: dict[str, Any], made: Counter[RunKey]
) -> tuple[str, str, str, int]:
    key = RunKey(diemjob["metadata"]["uid"], run["id"])
    return _name(history, key), run["phase"], run.get("reason", ""), made[key]


def _describe_jobs(history: History, diemjob_uid: str) -> Iterator[tuple[str, str]]:
    for life in history.job_lives:
        if life.owner[1] == diemjob_uid and life.gone is None:
            yield _name(history, life.run), life.outcome


def _list_first_told(history: History, phase: str) -> list[tuple[RunKey, int, str]]:
    """Return the runs that were ever told to be in a phase, with the revision of the first time, and the reason."""
    told: dict[RunKey, tuple[int, str]] = {}
    for seen in history.versions_of("diemjobs"):
        for run in list_runs(seen.raw.get("status", {})):
            if run["phase"] == phase:
                key = RunKey(seen.raw["metadata"]["uid"], run["id"])
                told.setdefault(key, (seen.revision, run.get("reason", "")))
    return [(run, revision, reason) for run, (revision, reason) in told.items()]


def _group(lives: Iterable[JobLife], key: Callable[[JobLife], Key]) -> dict[Key, list[JobLife]]:
    groups: dict[Key, list[JobLife]] = {}
    for life in lives:
        groups.setdefault(key(life), []).append(life)
    return groups


def _name(history: History, run: RunKey) -> str:
    """Return what the story calls a run, also where a restored DiemJob tells of it under another uid."""
    labels = history.told.labels
    restored = (label for key, label in labels.items() if key.run_id == run.run_id)
    return labels.get(run) or next(restored, run.run_id)


def _takes_lease(exchange: Exchange) -> bool:
    return exchange.is_stored and exchange.call.resource == "leases"


def _is_fenced(exchange: Exchange) -> bool:
    call = exchange.call
    return call.client.startswith("operator") and call.is_write and call.resource not in _NOT_FENCED


def _holder(exchange: Exchange) -> str:
    return str(exchange.answered["spec"].get("holderIdentity") or "")


def _process(exchange: Exchange) -> tuple[str, int]:
    return exchange.call.client, exchange.call.process
