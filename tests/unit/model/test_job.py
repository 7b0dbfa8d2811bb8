"""What is read off a Job: whose it is, which run it is for, and whether it is over."""

import msgspec
import pytest

from diem_operator.model.job import Job, JobStatus
from diem_operator.model.metadata import Condition, ObjectKey, ObjectMeta, OwnerReference
from diem_operator.model.names import ANNOTATION_RUN_ID, ANNOTATION_RUN_NUMBER, Uid

OURS = OwnerReference(api_version="diem.io/v1", kind="DiemJob", name="nightly", uid=Uid("u"), controller=True)


def make_job(
    *, annotations: dict[str, str] | None = None, owners: tuple[OwnerReference, ...] = (), conditions: str = ""
) -> Job:
    """Return a Job; conditions are written as `Failed=True Complete=False`."""
    metadata = ObjectMeta(
        name="job", namespace="team-a", uid=Uid("j"), annotations=annotations or {}, owner_references=owners
    )
    pairs = [pair.split("=") for pair in conditions.split()]
    return Job(
        metadata=metadata, status=JobStatus(conditions=tuple(Condition(type=kind, status=is_) for kind, is_ in pairs))
    )


def test_job_is_named_by_key_and_uid() -> None:
    job = make_job()

    assert (job.key, job.uid) == (ObjectKey(namespace="team-a", name="job"), "j")


def test_run_id_is_the_annotation() -> None:
    assert make_job(annotations={ANNOTATION_RUN_ID: "r1"}).run_id == "r1"
    assert make_job().run_id is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("007", 7), ("", 0), ("-7", 0), ("7.5", 0), ("seven", 0), ("٧", 0), ("²", 0), ("9" * 5000, 0)],  # noqa: RUF001 - digits that are not ASCII
)
def test_run_number_that_is_none_is_zero(text: str, number: int) -> None:
    assert make_job(annotations={ANNOTATION_RUN_NUMBER: text}).run_number == number


def test_job_without_a_number_has_number_zero() -> None:
    assert make_job().run_number == 0


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(msgspec.structs.replace(OURS, controller=False), id="does not control it"),
        pytest.param(msgspec.structs.replace(OURS, kind="CronJob"), id="another kind"),
        pytest.param(msgspec.structs.replace(OURS, api_version="diem.io/v2"), id="another version"),
    ],
)
def test_only_a_controlling_diemjob_is_the_owner(owner: OwnerReference) -> None:
    assert make_job(owners=(owner,)).owner is None
    assert make_job(owners=(owner, OURS)).owner == OURS


@pytest.mark.parametrize(
    ("conditions", "finish"),
    [
        pytest.param("", None, id="none"),
        pytest.param("Suspended=True", None, id="suspended"),
        pytest.param("FailureTarget=True", None, id="pods of a failed Job still end"),
        pytest.param("Complete=False Failed=Unknown", None, id="not true"),
        pytest.param("SuccessCriteriaMet=True Complete=True", "Complete", id="complete"),
        pytest.param("FailureTarget=True Failed=True", "Failed", id="failed"),
    ],
)
def test_job_is_over_when_a_condition_says_so(conditions: str, finish: str | None) -> None:
    job = make_job(conditions=conditions)

    assert (job.finish and job.finish.type) == finish
    assert job.is_finished is (finish is not None)


def test_job_is_decoded_from_json_and_what_is_not_needed_is_left_out() -> None:
    raw = {"kind": "Job", "metadata": {"name": "job"}, "spec": {"suspend": True, "backoffLimit": 3}}

    assert msgspec.convert(raw, Job).spec.suspend


def test_object_that_is_no_job_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"metadata": {}}, Job)
