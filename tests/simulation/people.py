"""The moves of people with kubectl, of GitOps, and of whoever else has rights in the namespace."""

from typing import Literal

from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import ANNOTATION_RECORDED_UID, RunId
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.job_manifest import build_job
from diem_operator.planning.rules import StartRequest, find_due_start
from tests.builders import NAMESPACE, make_template
from tests.simulation.api_server import run_id_of
from tests.simulation.world import World

ForeignJob = Literal["plain", "copied", "of another uid"]
"""A Job under a name of ours: unlike ours, like ours without an owner, or like ours with another DiemJob's uid."""


class People(World):
    """Edits, deletions, and Jobs of their own."""

    def create_diemjob(self, *, state: str | None, run_id: RunId | None = None) -> None:
        if self.server.diemjob is None:
            spec: RawObject = {"jobTemplate": make_template(), "parameters": [{"name": "DAY"}]}
            spec |= {"state": state} if state else {}
            spec |= {"run": {"id": run_id}} if run_id else {}
            self.server.create_diemjob(spec)

    def restore_diemjob(self) -> None:
        """Bring a deleted DiemJob back from a backup: its spec and annotations, a new uid, no status."""
        if self.server.diemjob is None and self.backups:
            backup = self.backups[-1]
            self.server.create_diemjob(backup["spec"], annotations=backup["metadata"]["annotations"])

    def delete_diemjob(self, *, is_foreground: bool) -> None:
        if self.server.diemjob is not None:
            self.backups.append(self.server.diemjob)
            self.server.delete_diemjob(is_foreground=is_foreground)

    def set_state(self, state: str | None) -> None:
        if self.server.diemjob is not None:
            self.server.patch_spec({"state": state})
            if state is None:
                self.ledger.note_stop_undone()

    def write_run(self, run_id: RunId, *, state: str | None, is_targeted: bool) -> None:
        """A person asks for a run by id."""
        diemjob = self.diemjob
        if diemjob is None:
            return
        self.ledger.note_requested_again(run_id)
        run: RawObject = {"id": run_id}
        run |= {"targetUID": diemjob.metadata.uid} if is_targeted else {}
        self.server.patch_spec({"run": run} | ({"state": state} if state else {}))
        self.ledger.note_stop_undone()

    def remove_run(self) -> None:
        if self.server.diemjob is not None:
            self.server.patch_spec({"run": None})
            self.ledger.note_stop_undone()

    def edit(self, **changes: object) -> None:
        """Change limits, parameters or the like."""
        if self.server.diemjob is not None:
            self.server.patch_spec(changes)

    def wipe_status(self) -> None:
        diemjob = self.diemjob
        if diemjob is not None:
            is_noticeable = diemjob.metadata.annotations.get(ANNOTATION_RECORDED_UID) == diemjob.metadata.uid
            self.server.wipe_status()
            self.ledger.note_stop_undone()
            self.ledger.note_wiped(diemjob, is_noticeable=is_noticeable)

    def delete_job(self, place: int, *, is_foreground: bool) -> None:
        name = self._choose_job(place)
        if name is not None:
            raw = self.server.jobs[name]
            self.ledger.note_deleted_by_hand(raw, is_known_created=self._remembers(run_id_of(raw)))
            self.server.delete_job(name, uid=None, resource_version=None, is_foreground=is_foreground)

    def strip_label(self, place: int) -> None:
        name = self._choose_job(place)
        if name is not None:
            self.ledger.hidden.add(self.server.jobs[name]["metadata"]["uid"])
            self.server.strip_label(name)

    def take_name(self, kind: ForeignJob = "plain") -> None:
        """Somebody makes a Job under the name that the next run needs."""
        diemjob = self.diemjob
        due = None if diemjob is None else find_due_start(diemjob.spec, diemjob.status, diemjob.metadata.uid)
        if diemjob is None or due is None:
            return
        name = build_job_name(diemjob.metadata.name, diemjob.metadata.uid, due.id)
        if name not in self.server.jobs and not self.server.is_quota_exceeded and not self.server.is_template_invalid:
            self.ledger.note_foreign(self.server.create_job(_build_foreign_job(kind, name, diemjob, due)))


def _build_foreign_job(kind: ForeignJob, name: str, diemjob: DiemJob, due: StartRequest) -> RawObject:
    if kind == "plain":
        return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}}
    manifest = build_job(diemjob, due, number=1)
    if kind == "of another uid":
        owner = manifest["metadata"]["ownerReferences"][0] | {"uid": "diemjob-uid-0"}
        return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [owner]}}
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": []}}


def find_known_ids(diemjob: DiemJob) -> list[RunId]:
    """Return ids that an old manifest could bring again."""
    ids = [entry.id for entry in diemjob.spec.requests]
    return [*ids, *(run.id for run in diemjob.status.runs)]


def find_replayable_ids(diemjob: DiemJob) -> list[RunId]:
    """Return ids that a caller could send again with their Idempotency-Key."""
    return [run_id for run_id in find_known_ids(diemjob) if run_id.startswith("key-")]
