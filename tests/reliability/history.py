"""What happened in one namespace, as the oracle takes it: versions of objects, calls, and what callers were told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.reliability.proxy.calls import Exchange
from tests.reliability.witness import Seen

RUN_ID = "diem.io/run-id"


@dataclass(frozen=True, order=True)
class RunKey:
    """One run of one DiemJob."""

    diemjob_uid: str
    run_id: str


@dataclass
class Told:
    """What callers were told, and what people did that no object tells.

    Attributes:
        labels: what a story calls the runs that were accepted, in order.
        stopped: runs whose stop was acknowledged.
        excused: runs whose Job somebody deleted before any status told of it: they may be started again.
        foreign: uids and versions of objects that are none of ours.
        is_status_wiped: somebody wiped a status; what it told before binds nobody.
    """

    labels: dict[RunKey, str] = field(default_factory=dict)
    stopped: set[RunKey] = field(default_factory=set)
    excused: set[RunKey] = field(default_factory=set)
    foreign: dict[str, str] = field(default_factory=dict)
    is_status_wiped: bool = False


@dataclass(frozen=True)
class JobLife:
    """One Job from its creation to its end.

    Attributes:
        owner: name and uid of the DiemJob that controls it.
        created, ended: revisions; it ended by finishing or by being gone. None: it has not.
        gone: the revision at which the object was removed; None while it is there.
    """

    name: str
    uid: str
    owner: tuple[str, str]
    run_id: str
    created: int
    ended: int | None
    gone: int | None
    outcome: str

    @property
    def run(self) -> RunKey:
        return RunKey(self.owner[1], self.run_id)

    def overlaps(self, other: "JobLife") -> bool:
        """Whether both were unfinished at one moment."""
        begin = max(self.created, other.created)
        return all(life.ended is None or life.ended > begin for life in (self, other))


@dataclass(frozen=True)
class History:
    """Everything from the first step of a story to its last."""

    seen: Sequence[Seen]
    exchanges: Sequence[Exchange]
    told: Told
    ended_by_themselves: Sequence[str] = ()
    """Processes of ours, by name, that died more often than they were killed."""

    @property
    def diemjobs(self) -> list[dict[str, Any]]:
        """The DiemJobs that are left, as they are."""
        return [seen.raw for seen in self._last("diemjobs") if seen.type != "DELETED"]

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The Jobs that are left, as they are."""
        return [seen.raw for seen in self._last("jobs") if seen.type != "DELETED"]

    @property
    def keys(self) -> list[dict[str, Any]]:
        """The DiemApiKeys that are left, as they are."""
        return [seen.raw for seen in self._last("diemapikeys") if seen.type != "DELETED"]

    @property
    def secrets(self) -> list[dict[str, Any]]:
        """The Secrets that are left, without what is in them."""
        return [seen.raw for seen in self._last("secrets") if seen.type != "DELETED"]

    @property
    def job_lives(self) -> list[JobLife]:
        """The Jobs that a DiemJob controls or controlled, in the order of their creation."""
        versions: dict[str, list[Seen]] = {}
        for seen in self.seen:
            if seen.kind == "jobs" and find_owner(seen.raw) is not None:
                versions.setdefault(seen.raw["metadata"]["uid"], []).append(seen)
        return sorted(map(_live, versions.values()), key=lambda life: life.created)

    def versions_of(self, kind: str) -> Iterable[Seen]:
        return (seen for seen in self.seen if seen.kind == kind)

    def _last(self, kind: str) -> Iterable[Seen]:
        return {seen.raw["metadata"]["uid"]: seen for seen in self.versions_of(kind)}.values()


def find_owner(raw: dict[str, Any], *, kind: str = "DiemJob") -> tuple[str, str] | None:
    """Return name and uid of the DiemJob that controls a Job, or of the DiemApiKey that controls a Secret."""
    for reference in raw["metadata"].get("ownerReferences", []):
        if reference["kind"] == kind and reference.get("controller"):
            return reference["name"], reference["uid"]
    return None


def find_outcome(job: dict[str, Any]) -> str:
    """Return Complete or Failed; empty while the Job is unfinished."""
    conditions = job.get("status", {}).get("conditions", [])
    final = (c["type"] for c in conditions if c["type"] in {"Complete", "Failed"} and c["status"] == "True")
    return next(final, "")


def list_runs(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs that a status tells of, the latest first, each once."""
    runs = list(status.get("runs", []))
    latest = status.get("run")
    return runs if latest is None or any(run["id"] == latest["id"] for run in runs) else [latest, *runs]


def _live(versions: Sequence[Seen]) -> JobLife:
    first, last = versions[0], versions[-1]
    gone = last.revision if last.type == "DELETED" else None
    finished = next((seen.revision for seen in versions if find_outcome(seen.raw)), None)
    owner = find_owner(first.raw)
    assert owner is not None
    return JobLife(
        name=first.raw["metadata"]["name"],
        uid=first.raw["metadata"]["uid"],
        owner=owner,
        run_id=first.raw["metadata"].get("annotations", {}).get(RUN_ID, ""),
        created=first.revision,
        ended=finished if finished is not None else gone,
        gone=gone,
        outcome=find_outcome(last.raw),
    )
