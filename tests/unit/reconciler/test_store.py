"""The store goes forward only, whoever tells it what, and in whatever order."""

import msgspec
import pytest

from diem_operator.model.diemjob import DiemJob
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, ObjectMeta, OwnerReference
from diem_operator.model.names import Uid
from diem_operator.reconciler import store as store_module
from diem_operator.reconciler.store import Store
from tests.builders import NAME, NAMESPACE, UID
from tests.builders import make_diemjob as build_diemjob

KEY = ObjectKey(namespace=NAMESPACE, name=NAME)
JOB_KEY = ObjectKey(namespace=NAMESPACE, name="job-a")


def make_metadata(name: str, version: int, **fields: object) -> ObjectMeta:
    metadata = ObjectMeta(name=name, namespace=NAMESPACE, uid=Uid("u"), resource_version=str(version))
    return msgspec.structs.replace(metadata, **fields)


def make_diemjob(version: int, *, name: str = NAME) -> DiemJob:
    return msgspec.structs.replace(build_diemjob(), metadata=make_metadata(name, version))


def make_job(version: int, *, owner: str | None = NAME, name: str = "job-a") -> Job:
    reference = OwnerReference(
        api_version="diem.io/v1", kind="DiemJob", name=owner or "", uid=UID, controller=owner is not None
    )
    return Job(metadata=make_metadata(name, version, owner_references=(reference,)))


def find_version(store: Store) -> str | None:
    known = store.find_diemjob(KEY)
    return None if known is None else known.metadata.resource_version


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        pytest.param((5, 7), "7", id="newer replaces older"),
        pytest.param((7, 5), "7", id="older changes nothing"),
        pytest.param((9, 10), "10", id="compared as numbers, not as text"),
    ],
)
def test_diemjob_never_goes_back(versions: tuple[int, ...], expected: str) -> None:
    store = Store()

    kept = [store.put_diemjob(make_diemjob(version)) for version in versions]

    assert find_version(store) == expected
    assert kept == [True, int(expected) == versions[1]]


def test_version_that_is_known_already_is_no_news() -> None:
    store = Store()
    store.put_diemjob(make_diemjob(5))
    store.put_job(make_job(6))

    assert store.put_diemjob(make_diemjob(5)) is False
    assert store.put_job(make_job(6)) is None


def test_live_read_is_believed_even_if_it_is_older() -> None:
    store = Store()
    store.put_diemjob(make_diemjob(5000))
    store.put_job(make_job(5001))

    store.put_diemjob(make_diemjob(7), is_live=True)
    store.put_job(make_job(8), is_live=True)

    assert find_version(store) == "7"
    assert [job.metadata.resource_version for job in store.find_jobs(KEY)] == ["8"]


def test_deletion_told_late_does_not_take_away_what_was_created_anew() -> None:
    store = Store()
    store.put_diemjob(make_diemjob(12))
    store.put_job(make_job(13))

    assert store.remove_diemjob(KEY, metadata=make_diemjob(10).metadata) is False
    assert store.remove_job(JOB_KEY, metadata=make_job(10).metadata) is None

    assert find_version(store) == "12"
    assert len(store.find_jobs(KEY)) == 1


def test_older_version_told_after_the_deletion_brings_nothing_back() -> None:
    store = Store()
    store.put_diemjob(make_diemjob(5))
    store.put_job(make_job(6))
    store.remove_diemjob(KEY, metadata=make_diemjob(9).metadata)
    store.remove_job(JOB_KEY, metadata=make_job(9).metadata)

    assert store.put_diemjob(make_diemjob(8)) is False
    assert store.put_job(make_job(8)) is None

    assert find_version(store) is None
    assert store.find_jobs(KEY) == ()


def test_deletion_is_remembered_also_of_an_object_that_was_not_known_yet() -> None:
    store = Store()

    store.remove_diemjob(KEY, metadata=make_diemjob(9).metadata)
    store.remove_job(JOB_KEY, metadata=make_job(9).metadata)
    store.put_diemjob(make_diemjob(8))
    store.put_job(make_job(8))

    assert find_version(store) is None
    assert store.find_jobs(KEY) == ()


def test_what_a_live_read_missed_is_not_brought_back_by_its_last_version() -> None:
    store = Store()
    store.put_diemjob(make_diemjob(5))
    store.put_job(make_job(6))

    store.remove_diemjob(KEY)
    store.remove_job(JOB_KEY)

    assert store.put_diemjob(make_diemjob(5)) is False
    assert store.put_job(make_job(6)) is None


def test_object_created_anew_under_an_old_name_is_taken() -> None:
    store = Store()
    store.put_diemjob(make_diemjob(5))
    store.put_job(make_job(6))
    store.remove_diemjob(KEY, metadata=make_diemjob(9).metadata)
    store.remove_job(JOB_KEY, metadata=make_job(9).metadata)

    assert store.put_diemjob(make_diemjob(10)) is True
    assert store.put_job(make_job(11)) == KEY


def test_live_read_takes_a_deletion_back() -> None:
    store = Store()
    store.remove_diemjob(KEY, metadata=make_diemjob(900).metadata)
    store.remove_job(JOB_KEY, metadata=make_job(900).metadata)

    store.put_diemjob(make_diemjob(7), is_live=True)
    store.put_job(make_job(7), is_live=True)
    store.put_diemjob(make_diemjob(8))
    store.put_job(make_job(8))

    assert find_version(store) == "8"
    assert [job.metadata.resource_version for job in store.find_jobs(KEY)] == ["8"]


def test_only_the_latest_deletions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_DELETIONS", 2)
    store = Store()

    for name in ("a", "b", "c"):
        store.remove_diemjob(ObjectKey(namespace=NAMESPACE, name=name), metadata=make_metadata(name, 9))

    assert [store.put_diemjob(make_diemjob(8, name=name)) for name in ("a", "b", "c")] == [True, False, False]


def test_job_that_gets_another_owner_moves() -> None:
    store = Store()
    store.put_job(make_job(5))

    assert store.put_job(make_job(6, owner="other")) == ObjectKey(namespace=NAMESPACE, name="other")
    assert store.find_jobs(KEY) == ()


def test_job_that_loses_its_owner_is_forgotten_and_its_diemjob_is_told() -> None:
    store = Store()
    store.put_job(make_job(5))

    assert store.put_job(make_job(6, owner=None)) == KEY
    assert store.list_jobs() == []


def test_foreign_job_concerns_nobody() -> None:
    store = Store()

    assert store.put_job(make_job(6, owner=None)) is None
    assert store.remove_job(JOB_KEY) is None
    assert store.find_job(JOB_KEY) is None


# LISTs


def put_all(store: Store, diemjobs: list[DiemJob], jobs: list[Job]) -> set[ObjectKey]:
    for diemjob in diemjobs:
        store.put_diemjob(diemjob)
    for job in jobs:
        store.put_job(job)
    return store.find_doubtful_diemjobs(diemjobs) | store.find_owners_of_doubtful_jobs(jobs)


def test_lists_that_agree_leave_no_doubt() -> None:
    foreign = make_job(8, owner=None, name="foreign")

    assert put_all(Store(), [make_diemjob(5)], [make_job(6), foreign]) == set()


def test_what_a_list_lacks_is_doubtful_and_stays() -> None:
    store = Store()
    store.put_diemjob(make_diemjob(5))
    store.put_diemjob(make_diemjob(6, name="other"))
    store.put_job(make_job(7, owner="other"))

    assert put_all(store, [], [make_job(7, owner="other")]) == {KEY, ObjectKey(namespace=NAMESPACE, name="other")}
    assert find_version(store) == "5"


def test_job_that_a_list_lacks_makes_its_diemjob_doubtful() -> None:
    store = Store()
    store.put_job(make_job(7))

    assert put_all(store, [make_diemjob(5)], []) == {KEY}


def test_list_older_than_what_is_known_is_doubtful() -> None:
    store = Store()
    store.put_diemjob(make_diemjob(5000))

    assert put_all(store, [make_diemjob(40)], []) == {KEY}


def test_listed_object_that_was_told_to_be_deleted_is_doubtful() -> None:
    store = Store()
    store.remove_diemjob(KEY, metadata=make_diemjob(9).metadata)
    store.remove_job(JOB_KEY, metadata=make_job(9).metadata)

    assert put_all(store, [], [make_job(6)]) == {KEY}
    assert put_all(store, [make_diemjob(5)], []) == {KEY}
