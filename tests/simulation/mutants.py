"""Mistakes planted on purpose, each into a process of its own: a search that does not find them proves nothing.

Every one replaces a function of the product at run time, where its caller looks it up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import msgspec

from diem_operator.cluster.errors import OutcomeUnknown
from diem_operator.model.diemjob import DiemJob, RunStatus
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.names import Uid
from diem_operator.planning import following, starting, urgency
from diem_operator.planning.rules import StartRequest
from diem_operator.planning.steps import CreateJob, Step
from diem_operator.planning.world import PostOutcome, World
from diem_operator.reconciler import applier, memory, posting, store
from diem_operator.reconciler.posting import PostResult
from tests.simulation.cluster import ModelDiemJobs, ModelJobs


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake.

    Attributes:
        text: what is done wrong.
        plant: makes this process do it.
    """

    text: str
    plant: Callable[[], None]


MUTANTS: Final[dict[str, Mutant]] = {}


def mutant(text: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Enter a mistake into the table."""

    def enter(plant: Callable[[], None]) -> Callable[[], None]:
        MUTANTS[plant.__name__.replace("_", "-")] = Mutant(text=text, plant=plant)
        return plant

    return enter


def find(owner: ModuleType | type, name: str) -> Callable[..., Any]:
    """Return a function that is to be replaced, or that its replacement needs; it may be private."""
    function: Callable[..., Any] = getattr(owner, name)
    return function


def replace(owner: ModuleType | type, name: str, replacement: Callable[..., Any]) -> None:
    """Put a function in another's place; the other has to be there."""
    assert callable(find(owner, name))
    setattr(owner, name, replacement)


@mutant("a Job of another DiemJob is adopted, since only its run id is compared")
def adopt_by_id_alone() -> None:
    def is_same_run(job: Job, manifest: Job) -> bool:
        return job.run_id == manifest.run_id

    replace(posting, "_is_same_run", is_same_run)


@mutant("a run is recorded before its Job is created")
def status_before_post() -> None:
    find_next_step, show = find(starting, "_find_next_step"), find(starting, "_show")

    def find_status_first(world: World, request: StartRequest) -> Step:
        step: Step = find_next_step(world, request)
        shown: Step | None = show(world, request, "", "") if isinstance(step, CreateJob) else None
        return shown or step

    replace(starting, "_find_next_step", find_status_first)


@mutant("a write does not ask the fence")
def no_fence() -> None:
    def find_timeout(_: applier.Applier) -> float:
        return applier.WRITE_TIMEOUT_SECONDS

    replace(applier.Applier, "_find_timeout", find_timeout)


@mutant("a Job is deleted by its name alone")
def delete_without_preconditions() -> None:
    delete = ModelJobs.delete

    async def delete_whatever(self: ModelJobs, key: ObjectKey, **options: Any) -> Job | None:
        return await delete(self, key, **options | {"uid": None, "resource_version": None})

    replace(ModelJobs, "delete", delete_whatever)


@mutant("an unfinished Job is deleted by its uid, whatever has become of it meanwhile")
def delete_without_version() -> None:
    delete = ModelJobs.delete

    async def delete_any_version(self: ModelJobs, key: ObjectKey, **options: Any) -> Job | None:
        return await delete(self, key, **options | {"resource_version": None})

    replace(ModelJobs, "delete", delete_any_version)


@mutant("a POST of unknown outcome counts as one that did not happen")
def unknown_is_failure() -> None:
    explain = find(posting, "_explain")

    def explain_as_failure(step: CreateJob, error: Exception) -> PostResult:
        result = explain(step, error)
        attempt = result.attempt
        if isinstance(error, OutcomeUnknown):
            attempt = msgspec.structs.replace(attempt, outcome=PostOutcome.DEFERRED)
        return PostResult(attempt, result.retry_after_seconds)

    replace(posting, "_explain", explain_as_failure)


@mutant("a Job that the store lacks counts as gone, without a live read")
def absence_from_store() -> None:
    end_without_job = find(following, "_end_without_job")

    def end_at_once(world: World, live: RunStatus, reason: str) -> Step:
        step: Step = end_without_job(msgspec.structs.replace(world, is_live=True), live, reason)
        return step

    replace(following, "_end_without_job", end_at_once)


@mutant("that a POST has created its Job is not remembered")
def forgotten_post() -> None:
    note_post = memory.Memory.note_post

    def note_failures_only(
        self: memory.Memory, key: ObjectKey, uid: Uid, result: PostResult, *, now_seconds: float
    ) -> None:
        if result.attempt.outcome is not PostOutcome.CREATED:
            note_post(self, key, uid, result, now_seconds=now_seconds)

    replace(memory.Memory, "note_post", note_failures_only)


@mutant("a POST without an answer is forgotten as soon as another one has had one")
def forgotten_straggler() -> None:
    note_post = memory.Memory.note_post

    def note_last_post(
        self: memory.Memory, key: ObjectKey, uid: Uid, result: PostResult, *, now_seconds: float
    ) -> None:
        note_post(self, key, uid, result, now_seconds=now_seconds)
        if not result.attempt.is_unknown:
            self._lost_posts.pop(key, None)

    replace(memory.Memory, "note_post", note_last_post)


@mutant("the store takes whatever it is told, newer or not")
def older_versions() -> None:
    replace(store, "_is_newer", lambda _known, _other: False)


@mutant("a status is written without the resourceVersion it was decided on")
def blind_status() -> None:
    patch_status = ModelDiemJobs.patch_status

    async def patch_blindly(self: ModelDiemJobs, key: ObjectKey, patch: Any, *, timeout_seconds: float) -> DiemJob:
        version = self._server.get_diemjob()["metadata"]["resourceVersion"]
        return await patch_status(self, key, patch | {"metadata": {"resourceVersion": version}}, timeout_seconds=1)

    replace(ModelDiemJobs, "patch_status", patch_blindly)


@mutant("every status is left for later as long as other DiemJobs are to be looked at")
def tell_all_later() -> None:
    replace(urgency, "_can_be_told_later", lambda _status, _world: True)
