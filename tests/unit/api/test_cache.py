import asyncio

import pytest

from diem_operator.access.permissions import Reference
from diem_operator.api.cache import JobCache
from diem_operator.model.diemjob import DiemJob, State
from diem_operator.model.metadata import ObjectKey
from tests.unit.api.objects import NIGHTLY, make_diemjob


def find_names(cache: JobCache, text: str, *, namespace: str = "team-a") -> list[str]:
    return [diemjob.metadata.name for diemjob in cache.find(Reference(namespace=namespace, text=text))]


def version_in(cache: JobCache, key: ObjectKey = NIGHTLY) -> str | None:
    diemjob = cache.get(key)
    return None if diemjob is None else diemjob.metadata.resource_version


def test_diemjob_is_found_by_name_and_by_alias() -> None:
    cache = JobCache()
    cache.apply(make_diemjob("nightly", aliases=("old-id", "older-id")))

    assert find_names(cache, "nightly") == find_names(cache, "old-id") == find_names(cache, "older-id") == ["nightly"]
    assert find_names(cache, "unknown") == find_names(cache, "nightly", namespace="team-b") == []


def test_several_diemjobs_with_one_alias_are_found_in_the_order_of_their_names() -> None:
    cache = JobCache()
    for name in ("b", "c", "a"):
        cache.apply(make_diemjob(name, aliases=("all",)))

    assert find_names(cache, "all") == ["a", "b", "c"]


def test_diemjob_whose_alias_is_its_name_is_found_once() -> None:
    cache = JobCache()
    cache.apply(make_diemjob("nightly", aliases=("nightly",)))

    assert find_names(cache, "nightly") == ["nightly"]


def test_alias_that_was_taken_away_finds_nothing() -> None:
    cache = JobCache()
    cache.apply(make_diemjob("nightly", version=1, aliases=("old-id", "kept")))
    cache.apply(make_diemjob("nightly", version=2, aliases=("kept",)))

    assert find_names(cache, "old-id") == []
    assert find_names(cache, "kept") == ["nightly"]


def test_alias_of_two_still_finds_one_when_the_other_is_deleted() -> None:
    cache = JobCache()
    cache.apply(make_diemjob("a", version=1, aliases=("all",)))
    cache.apply(make_diemjob("b", version=2, aliases=("all",)))
    cache.remove(ObjectKey(namespace="team-a", name="a"), resource_version=3)

    assert find_names(cache, "all") == ["b"]


def test_deleted_diemjob_finds_nothing() -> None:
    cache = JobCache()
    cache.apply(make_diemjob("nightly", version=1, aliases=("old-id",)))
    cache.remove(NIGHTLY, resource_version=2)

    assert find_names(cache, "nightly") == find_names(cache, "old-id") == []
    assert len(cache) == 0


def test_own_write_is_not_undone_by_older_watch_events() -> None:
    cache = JobCache()
    cache.apply(make_diemjob(version=1))
    cache.put(make_diemjob(version=9, state=State.RUNNING))
    cache.apply(make_diemjob(version=5))

    assert version_in(cache) == "9"


def test_versions_are_compared_as_numbers() -> None:
    cache = JobCache()
    cache.put(make_diemjob(version=10))
    cache.apply(make_diemjob(version=9))

    assert version_in(cache) == "10"


def test_own_write_is_not_undone_by_a_list_that_began_before_it() -> None:
    cache = JobCache()
    cache.put(make_diemjob(version=9))
    cache.replace([make_diemjob(version=5)], resource_version=6)

    assert version_in(cache) == "9"


def test_diemjob_created_after_a_list_began_survives_it() -> None:
    cache = JobCache()
    cache.put(make_diemjob(version=9))
    cache.replace([], resource_version=6)

    assert version_in(cache) == "9"


def test_diemjob_that_a_list_lacks_is_gone() -> None:
    cache = JobCache()
    cache.replace([make_diemjob("a"), make_diemjob("b")], resource_version=5)
    cache.replace([make_diemjob("b")], resource_version=6)

    assert find_names(cache, "a") == []
    assert find_names(cache, "b") == ["b"]


def test_list_of_one_namespace_says_nothing_about_others() -> None:
    cache = JobCache()
    cache.replace([make_diemjob("a", namespace="team-a")], resource_version=5, namespace="team-a")
    cache.replace([], resource_version=6, namespace="team-b")

    assert find_names(cache, "a") == ["a"]


def test_deletion_older_than_what_is_known_is_ignored() -> None:
    cache = JobCache()
    cache.put(make_diemjob(version=9))
    cache.remove(NIGHTLY, resource_version=8)

    assert version_in(cache) == "9"


def test_late_answer_does_not_bring_back_a_deleted_diemjob() -> None:
    cache = JobCache()
    cache.apply(make_diemjob(version=5))
    cache.remove(NIGHTLY, resource_version=8)
    cache.put(make_diemjob(version=7))

    assert version_in(cache) is None


def test_late_answer_does_not_bring_back_what_a_list_lacked() -> None:
    cache = JobCache()
    cache.replace([], resource_version=8)
    cache.put(make_diemjob(version=7))

    assert version_in(cache) is None


def test_answer_about_a_diemjob_that_the_watch_has_yet_to_tell_is_kept() -> None:
    cache = JobCache()
    cache.replace([], resource_version=8)
    cache.put(make_diemjob(version=9))

    assert version_in(cache) == "9"


@pytest.mark.parametrize("namespace", [None, "team-a"])
def test_list_older_than_what_was_known_before_it_means_a_restored_cluster_and_is_believed(
    namespace: str | None,
) -> None:
    cache = JobCache()
    cache.apply(make_diemjob("nightly", version=90))
    cache.apply(make_diemjob("made-after-the-backup", version=91))
    cache.expect_list(namespace)
    cache.replace([make_diemjob("nightly", version=5)], resource_version=50, namespace=namespace)

    assert version_in(cache) == "5"
    assert find_names(cache, "made-after-the-backup") == []
    cache.apply(make_diemjob("nightly", version=51))
    assert version_in(cache) == "51"
    cache.put(make_diemjob("new", version=52))
    assert find_names(cache, "new") == ["new"]


@pytest.mark.parametrize("resource_version", [50, 200], ids=["store behind", "store ahead again"])
def test_own_write_that_a_restored_cluster_does_not_know_gives_way_to_a_list(resource_version: int) -> None:
    cache = JobCache()
    cache.apply(make_diemjob("nightly", version=30))
    cache.put(make_diemjob("nightly", version=90, state=State.RUNNING))
    cache.put(make_diemjob("made-after-the-backup", version=91))
    cache.expect_list()
    cache.replace([make_diemjob("nightly", version=30)], resource_version=resource_version)

    assert version_in(cache) == "30"
    assert find_names(cache, "made-after-the-backup") == []


def test_own_write_while_a_list_is_read_stays() -> None:
    cache = JobCache()
    cache.apply(make_diemjob(version=5))
    cache.expect_list()
    cache.put(make_diemjob(version=9))
    cache.put(make_diemjob("new", version=10))
    cache.replace([make_diemjob(version=5)], resource_version=6)

    assert version_in(cache) == "9"
    assert find_names(cache, "new") == ["new"]


def test_what_was_known_before_one_list_says_nothing_about_the_next() -> None:
    cache = JobCache()
    cache.expect_list()
    cache.replace([make_diemjob(version=5)], resource_version=6)
    cache.put(make_diemjob(version=9))
    cache.replace([make_diemjob(version=5)], resource_version=7)

    assert version_in(cache) == "9"


def test_excluded_namespace_holds_no_diemjobs() -> None:
    cache = JobCache(excluded_namespaces=["diem-system"])
    cache.apply(make_diemjob(namespace="diem-system"))

    assert len(cache) == 0


def is_running(diemjob: DiemJob | None) -> bool:
    return diemjob is not None and diemjob.spec.state is State.RUNNING


async def test_waiting_ends_when_a_change_brings_what_is_waited_for() -> None:
    cache = JobCache()
    cache.apply(make_diemjob(version=1))
    waiting = asyncio.create_task(cache.wait_until(NIGHTLY, is_running, timeout_seconds=30))
    await asyncio.sleep(0)
    cache.apply(make_diemjob(version=2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()

    cache.apply(make_diemjob(version=3, state=State.RUNNING))

    await asyncio.wait_for(waiting, 1)


async def test_waiting_for_what_is_already_so_ends_at_once() -> None:
    cache = JobCache()
    cache.apply(make_diemjob(version=1, state=State.RUNNING))

    await asyncio.wait_for(cache.wait_until(NIGHTLY, is_running, timeout_seconds=30), 1)


async def test_waiting_is_told_of_a_deletion() -> None:
    cache = JobCache()
    cache.apply(make_diemjob(version=1))
    waiting = asyncio.create_task(cache.wait_until(NIGHTLY, lambda diemjob: diemjob is None, timeout_seconds=30))
    await asyncio.sleep(0)

    cache.remove(NIGHTLY, resource_version=2)

    await asyncio.wait_for(waiting, 1)


async def test_waiting_ends_with_the_callers_time_and_leaves_nothing_behind() -> None:
    cache = JobCache()

    await cache.wait_until(NIGHTLY, is_running, timeout_seconds=0.01)

    assert cache.waiting_count == 0


async def test_one_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    cache = JobCache()
    patient = asyncio.create_task(cache.wait_until(NIGHTLY, is_running, timeout_seconds=30))
    await cache.wait_until(NIGHTLY, is_running, timeout_seconds=0.01)

    cache.apply(make_diemjob(version=1, state=State.RUNNING))

    await asyncio.wait_for(patient, 1)


async def test_everybody_is_let_go_when_the_process_ends() -> None:
    cache = JobCache()
    waiting = [asyncio.create_task(cache.wait_until(NIGHTLY, is_running, timeout_seconds=30)) for _ in range(3)]
    await asyncio.sleep(0)
    assert cache.waiting_count == 3

    cache.close()

    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    await asyncio.wait_for(cache.wait_until(NIGHTLY, is_running, timeout_seconds=30), 1)
