"""What two LISTs may tell the store, which namespaces they cover, and what they leave to a live read."""

import asyncio
import logging

import msgspec
import pytest

from diem_operator.clock import steady_seconds
from diem_operator.cluster.endpoint import Listing
from diem_operator.cluster.errors import Forbidden, OutcomeUnknown, UndecodableAnswer
from diem_operator.model.diemjob import DiemJob, Phase
from diem_operator.model.job import Job
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.planning.world import PostOutcome
from diem_operator.reconciler.posting import PostResult
from diem_operator.reconciler.scope import Scope
from tests.builders import make_attempt
from tests.unit.reconciler.conftest import KEY, Shell
from tests.unit.reconciler.fake_cluster import refusal


def find_job_names(shell: Shell) -> list[str]:
    world = shell.observer.observe(KEY, is_live=False)
    assert world is not None
    return [job.metadata.name for job in world.jobs]


async def start_run(shell: Shell) -> ObjectKey:
    """Bring a run to Running; return the key of its Job."""
    job_key = await shell.run_to(Phase.RUNNING)
    shell.server.calls.clear()
    return job_key


# LISTs


async def test_start_lists_both_kinds_in_full(shell: Shell) -> None:
    shell.apply(name="a")
    shell.apply(name="b")
    shell.server.pending_events.clear()

    keys = await shell.observer.start(led_since=0)

    assert [key.name for key in sorted(keys)] == ["a", "b"]
    assert shell.server.calls == ["LIST diemjobs", "LIST jobs"]


async def test_start_forgets_what_an_earlier_term_remembered(shell: Shell) -> None:
    shell.server.fail("POST jobs", OutcomeUnknown("no answer"))
    uid = shell.start("r1").metadata.uid
    await shell.reconcile()

    await shell.observer.start(led_since=0)

    assert shell.memory.find(KEY, uid).attempt is None


async def begin_watch(shell: Shell) -> tuple[asyncio.Event, asyncio.Task[Listing[DiemJob]]]:
    """Let a watch list DiemJobs; return what its answer waits for, and the list."""
    is_over = asyncio.Event()
    shell.server.hold("LIST diemjobs", is_over)
    listing = asyncio.create_task(shell.cluster.diemjobs.list())
    await asyncio.sleep(0)
    return is_over, listing


async def test_start_shares_the_list_that_a_watch_begins_with(shell: Shell) -> None:
    shell.apply()
    led_since = steady_seconds()
    is_over, listing = await begin_watch(shell)
    starting = asyncio.create_task(shell.observer.start(led_since=led_since))
    await asyncio.sleep(0)
    is_over.set()
    assert await starting == {KEY}
    await listing
    assert shell.server.calls == ["LIST diemjobs", "LIST jobs"]


async def test_start_lists_anew_where_the_watch_has_begun_before_it_led(shell: Shell) -> None:
    is_over, listing = await begin_watch(shell)
    shell.apply()
    async with asyncio.timeout(5):
        assert await shell.observer.start(led_since=steady_seconds()) == {KEY}
    is_over.set()
    await listing
    assert shell.server.count("LIST diemjobs") == 2


async def test_resync_compares_with_no_list_but_its_own(shell: Shell) -> None:
    is_over, listing = await begin_watch(shell)
    shell.apply()
    shell.server.edit("diemjobs", KEY, lambda raw: raw["spec"].update(state="running"))
    async with asyncio.timeout(5):
        assert await shell.observer.resync() == {KEY}
    is_over.set()
    await listing
    assert shell.server.count("LIST diemjobs") == 2


async def test_lists_that_agree_cost_no_further_request(shell: Shell) -> None:
    await start_run(shell)

    assert await shell.observer.resync() == set()
    assert await shell.observer.refresh_if_doubtful(KEY) is False
    assert shell.server.calls == ["LIST diemjobs", "LIST jobs"]


async def test_deletion_that_no_watch_told_is_found(shell: Shell) -> None:
    job_key = await start_run(shell)
    shell.server.remove("jobs", job_key)
    shell.server.pending_events.clear()

    assert await shell.observer.resync() == {KEY}
    assert await shell.observer.refresh_if_doubtful(KEY) is True
    assert find_job_names(shell) == []


async def test_change_that_no_watch_told_is_found(shell: Shell) -> None:
    shell.apply()
    shell.tell()
    shell.apply(state="stopped")
    shell.server.pending_events.clear()

    assert await shell.observer.resync() == {KEY}
    assert shell.store.find_diemjob(KEY) == shell.diemjob()


async def test_restored_control_plane_is_found(shell: Shell) -> None:
    shell.apply()
    restore = shell.server.back_up()
    await start_run(shell)
    restore()

    assert await shell.observer.resync() == {KEY}
    assert await shell.observer.refresh_if_doubtful(KEY) is True
    assert shell.store.find_diemjob(KEY) == shell.diemjob()


async def test_what_a_restored_control_plane_has_again_is_found(shell: Shell) -> None:
    shell.apply()
    shell.tell()
    restore = shell.server.back_up()
    shell.server.remove("diemjobs", KEY)
    shell.tell()
    restore()

    assert await shell.observer.resync() == {KEY}
    await shell.observer.refresh_if_doubtful(KEY)

    assert shell.store.find_diemjob(KEY) == shell.diemjob()


@pytest.mark.parametrize("what", ["LIST diemjobs", "LIST jobs"])
async def test_deletion_while_a_list_is_on_its_way_is_not_undone(shell: Shell, what: str) -> None:
    job_key = await start_run(shell)

    def delete() -> None:
        shell.server.remove("jobs", job_key)
        shell.server.remove("diemjobs", KEY)
        shell.tell()

    shell.server.meanwhile(what, delete, is_answered=True)
    await shell.observer.resync()

    assert shell.store.list_jobs() == []
    assert shell.store.list_diemjobs() == []


async def test_doubt_remains_until_a_read_succeeds(shell: Shell) -> None:
    job_key = await start_run(shell)
    shell.server.remove("jobs", job_key)
    shell.server.pending_events.clear()
    await shell.observer.resync()
    shell.server.fail("LIST jobs", OutcomeUnknown("no answer"))

    with pytest.raises(OutcomeUnknown):
        await shell.observer.refresh_if_doubtful(KEY)

    assert await shell.observer.refresh_if_doubtful(KEY) is True
    assert await shell.observer.refresh_if_doubtful(KEY) is False


async def test_diemjob_that_cannot_be_decoded_spoils_no_list_and_is_forgotten(shell: Shell) -> None:
    shell.apply()
    shell.apply(name="other")
    shell.tell()

    def spoil(raw: RawObject) -> None:
        raw["spec"]["state"] = "sideways"

    shell.server.edit("diemjobs", KEY, spoil)
    shell.server.pending_events.clear()

    assert await shell.observer.resync() == set()
    assert [diemjob.metadata.name for diemjob in shell.store.list_diemjobs()] == ["other"]
    assert await shell.observer.refresh_if_doubtful(KEY) is False


async def test_doubt_that_arises_while_it_is_read_remains(shell: Shell) -> None:
    shell.start("r1")
    shell.tell()
    shell.observer.doubt(KEY)
    shell.server.meanwhile("LIST jobs", lambda: shell.observer.doubt(KEY), is_answered=True)

    assert await shell.observer.refresh_if_doubtful(KEY) is True

    assert await shell.observer.refresh_if_doubtful(KEY) is True


async def test_diemjob_that_turns_out_to_make_no_sense_while_it_is_read_is_not_read_for_ever(shell: Shell) -> None:
    shell.apply()
    shell.tell()
    shell.observer.doubt(KEY)
    raw = shell.server.edit("diemjobs", KEY, lambda raw: raw["spec"].update(state="sideways"))
    shell.server.meanwhile("GET diemjobs", lambda: shell.tell_diemjob("MODIFIED", raw))

    with pytest.raises(UndecodableAnswer):
        await shell.observer.refresh_if_doubtful(KEY)
    await shell.observer.resync()

    assert await shell.observer.refresh_if_doubtful(KEY) is False


async def test_late_word_of_a_version_that_makes_no_sense_takes_no_newer_one_away(shell: Shell) -> None:
    shell.apply()
    shell.tell()
    diemjob = shell.diemjob()

    shell.controller.forget_diemjob(KEY, resource_version=diemjob.metadata.version - 1)
    assert shell.store.find_diemjob(KEY) == diemjob

    shell.controller.forget_diemjob(KEY, resource_version=diemjob.metadata.version)
    assert shell.store.find_diemjob(KEY) is None


# The list that a watch of Jobs begins with


def list_jobs(shell: Shell, *, namespace: str | None = None) -> None:
    """Let the watch of Jobs begin anew with what is there; what happened before is told by nothing else."""
    shell.server.pending_events.clear()
    jobs = [msgspec.convert(raw, Job) for raw in shell.server.list_all("jobs")]
    shell.controller.observe_job_list(
        [job for job in jobs if namespace in {None, job.metadata.namespace}], namespace=namespace
    )


async def test_job_that_a_list_lacks_is_read_before_anything_is_decided(shell: Shell) -> None:
    job_key = await start_run(shell)
    shell.server.remove("jobs", job_key)

    list_jobs(shell)
    assert find_job_names(shell) == [job_key.name]

    assert await shell.observer.refresh_if_doubtful(KEY) is True
    assert find_job_names(shell) == []


async def test_job_that_a_list_has_in_another_version_is_taken_or_read(shell: Shell) -> None:
    job_key = await start_run(shell)
    shell.server.finish_job(job_key)

    list_jobs(shell)

    [job] = shell.store.find_jobs(KEY)
    assert job.is_finished
    assert await shell.observer.refresh_if_doubtful(KEY) is False


async def test_job_older_in_a_list_than_known_is_read(shell: Shell) -> None:
    await start_run(shell)
    restore = shell.server.back_up()
    shell.server.finish_job(shell.job_key("r1"))
    shell.tell()
    restore()

    list_jobs(shell)

    assert await shell.observer.refresh_if_doubtful(KEY) is True
    [job] = shell.store.find_jobs(KEY)
    assert not job.is_finished


async def test_list_that_agrees_raises_no_doubt(shell: Shell) -> None:
    await start_run(shell)

    list_jobs(shell)

    assert await shell.observer.refresh_if_doubtful(KEY) is False


async def test_list_of_one_namespace_says_nothing_of_others(shell: Shell) -> None:
    await start_run(shell)

    list_jobs(shell, namespace="team-b")

    assert await shell.observer.refresh_if_doubtful(KEY) is False


# Scope


@pytest.mark.parametrize(
    ("scope", "listed", "served"),
    [
        pytest.param(Scope(), (None,), ["a", "b", "own"], id="everything"),
        pytest.param(Scope(excluded=("own",)), (None,), ["a", "b"], id="all but the operator's own"),
        pytest.param(Scope(namespaces=("a", "b")), ("a", "b"), ["a", "b"], id="some"),
        pytest.param(Scope(namespaces=("a", "own"), excluded=("own",)), ("a",), ["a"], id="some, less its own"),
        pytest.param(Scope(namespaces=("own",), excluded=("own",)), (), [], id="nothing at all"),
    ],
)
async def test_only_served_namespaces_are_looked_at(
    scope: Scope, listed: tuple[str | None, ...], served: list[str]
) -> None:
    shell = Shell(scope)
    for namespace in ("a", "b", "own"):
        shell.apply(namespace=namespace)

    keys = await shell.observer.start(led_since=0)

    assert listed == scope.listed
    assert [key.namespace for key in sorted(keys)] == served
    assert [namespace for namespace in ("a", "b", "own") if scope.serves(namespace)] == served


# Namespaces whose LISTs are refused

OTHER = ObjectKey(namespace="b", name=KEY.name)
FORBIDDEN = refusal(403, "Forbidden")


@pytest.fixture
def namespaced() -> Shell:
    """One that serves two namespaces, each with a DiemJob that is known, and changes that no watch has told."""
    shell = Shell(Scope(namespaces=(KEY.namespace, OTHER.namespace)))
    for namespace in (KEY.namespace, OTHER.namespace):
        shell.apply(namespace=namespace)
    shell.tell()
    for namespace in (KEY.namespace, OTHER.namespace):
        shell.apply(namespace=namespace, state="stopped")
    shell.server.pending_events.clear()
    return shell


@pytest.mark.parametrize("what", ["LIST diemjobs", "LIST jobs"])
async def test_refused_namespace_is_left_as_it_is_known_and_spoils_no_other(namespaced: Shell, what: str) -> None:
    shell = namespaced
    shell.server.fail(what, FORBIDDEN, at=2)

    assert await shell.observer.resync() == {KEY}
    assert shell.store.find_diemjob(KEY) == shell.diemjob(KEY)
    assert shell.store.find_diemjob(OTHER) is not None
    assert shell.store.find_diemjob(OTHER) != shell.diemjob(OTHER)

    assert await shell.observer.resync() == {OTHER}


async def test_what_could_not_be_listed_is_read_before_each_decision(namespaced: Shell) -> None:
    shell = namespaced
    shell.server.fail("LIST diemjobs", FORBIDDEN, at=2)
    await shell.observer.start(led_since=0)

    assert [await shell.observer.refresh_if_doubtful(key) for key in (KEY, OTHER, OTHER)] == [False, True, True]
    assert await shell.observer.list_refused() == {OTHER}
    assert [await shell.observer.refresh_if_doubtful(key) for key in (KEY, OTHER)] == [False, False]


async def test_diemjob_that_is_gone_is_not_read_where_lists_are_refused(namespaced: Shell) -> None:
    shell = namespaced
    shell.server.fail("LIST diemjobs", FORBIDDEN, at=2)
    await shell.observer.start(led_since=0)
    shell.store.remove_diemjob(OTHER)

    assert not await shell.observer.refresh_if_doubtful(OTHER)


async def test_comparison_that_ends_a_refusal_returns_all_keys_there(namespaced: Shell) -> None:
    """The store is as the API server has it: nothing differs, and nobody has looked at it in this term."""
    shell = namespaced
    shell.store.put_diemjob(shell.diemjob(OTHER))
    shell.server.fail("LIST diemjobs", FORBIDDEN, at=2)
    assert OTHER not in await shell.observer.start(led_since=0)

    assert await shell.observer.resync() == {OTHER}
    assert await shell.observer.resync() == set()


async def test_doubtful_key_of_a_refused_namespace_waits_for_its_list(namespaced: Shell) -> None:
    shell = namespaced
    shell.server.fail("LIST diemjobs", FORBIDDEN, at=2)
    await shell.observer.start(led_since=0)
    shell.observer.doubt(OTHER)
    shell.server.fail("LIST diemjobs", FORBIDDEN, at=2)

    assert await shell.observer.resync() == set()


async def test_diemjob_that_a_watch_tells_before_its_jobs_could_be_listed_starts_none_beside_another() -> None:
    """The Job of a run is unfinished, its status lost, and a new process is told of the DiemJob first."""
    shell = Shell(Scope(namespaces=(KEY.namespace, OTHER.namespace)))
    await shell.run_to(Phase.RUNNING, "r1")
    shell.server.edit("diemjobs", KEY, lambda raw: raw.pop("status"))
    shell.start("r2")
    new = Shell(Scope(namespaces=(KEY.namespace, OTHER.namespace)), server=shell.server)
    new.server.fail("LIST jobs", FORBIDDEN, at=new.server.count("LIST jobs") + 1)
    assert await new.observer.start(led_since=0) == set()
    new.controller.observe_diemjob_list([new.diemjob()], namespace=KEY.namespace)
    written = len(new.find_writes())

    await new.controller.reconcile(KEY)

    writes = new.find_writes()[written:]
    assert writes[-1].startswith("DELETE jobs")
    assert not any(write.startswith("POST jobs") for write in writes)


async def test_term_takes_up_what_it_could_not_list_as_soon_as_it_can(namespaced: Shell) -> None:
    shell = namespaced
    shell.server.fail("LIST diemjobs", FORBIDDEN, at=2)
    await shell.observer.start(led_since=0)
    shell.server.fail("LIST diemjobs", FORBIDDEN)
    assert await shell.observer.list_refused() == set()
    listed = len(shell.server.calls)

    assert await shell.observer.list_refused() == {OTHER}
    assert shell.store.find_diemjob(OTHER) == shell.diemjob(OTHER)
    assert len(shell.server.calls) == listed + 2
    assert await shell.observer.list_refused() == set()
    assert len(shell.server.calls) == listed + 2


async def test_term_takes_up_what_it_could_not_list_with_the_next_comparison(namespaced: Shell) -> None:
    shell = namespaced
    shell.server.fail("LIST jobs", FORBIDDEN, at=2)
    await shell.observer.start(led_since=0)
    shell.server.fail("LIST jobs", FORBIDDEN, at=2)
    assert await shell.observer.resync() == set()

    assert await shell.observer.resync() == {OTHER}


async def test_post_without_an_answer_is_reckoned_with_as_long_as_its_namespace_cannot_be_listed(
    namespaced: Shell,
) -> None:
    shell = namespaced
    for key in (KEY, OTHER):
        attempt = make_attempt(PostOutcome.UNKNOWN, "r1")
        uid = shell.diemjob(key).metadata.uid
        shell.memory.note_post(key, uid, PostResult(attempt, is_unanswered=True), now_seconds=shell.clock.seconds)
    shell.clock.seconds += 1000
    shell.server.fail("LIST diemjobs", FORBIDDEN, at=2)

    await shell.observer.resync()

    assert shell.memory.find_straggler(KEY, now_seconds=shell.clock.seconds) is None
    assert shell.memory.find_straggler(OTHER, now_seconds=shell.clock.seconds) is not None


@pytest.mark.parametrize(
    ("scope", "refused"),
    [(Scope(), 1), (Scope(namespaces=("a", "b")), 2)],
    ids=["the one list of everything", "each namespace"],
)
async def test_lists_that_are_all_refused_fail(scope: Scope, refused: int) -> None:
    shell = Shell(scope)
    for place in range(refused):
        shell.server.fail("LIST diemjobs", FORBIDDEN, at=place + 1)

    with pytest.raises(Forbidden):
        await shell.observer.start(led_since=0)


async def test_list_that_fails_otherwise_fails_all(namespaced: Shell) -> None:
    namespaced.server.fail("LIST diemjobs", FORBIDDEN)
    namespaced.server.fail("LIST diemjobs", OutcomeUnknown("no answer"), at=2)

    with pytest.raises(OutcomeUnknown):
        await namespaced.observer.resync()


async def test_refusal_is_logged_once(namespaced: Shell, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for is_refused in (True, True, False, False):
        if is_refused:
            namespaced.server.fail("LIST diemjobs", FORBIDDEN, at=2)
        await namespaced.observer.resync()

    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "Went on without lists of DiemJobs and Jobs in b",
        "Had lists of DiemJobs and Jobs in b again",
    ]
