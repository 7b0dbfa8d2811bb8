"""Run ids: which were seen, which comes next, and the name of the Job an id stands for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diem_operator.model.diemjob import DiemJobStatus
from diem_operator.model.names import MAX_RECENT_RUN_IDS, RunId, Uid
from diem_operator.planning.ids import (
    build_job_name,
    build_next_state_run_id,
    find_state_start,
    forget_old,
    hash_of,
    is_seen,
    remember,
)
from tests.builders import NAME, UID, make_run, make_status

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def test_job_name_depends_on_name_uid_and_id_alone() -> None:
    name = build_job_name(NAME, UID, RunId("r1"))

    assert name == build_job_name(NAME, UID, RunId("r1"))
    others = {
        build_job_name("other", UID, RunId("r1")),
        build_job_name(NAME, Uid("other"), RunId("r1")),
        build_job_name(NAME, UID, RunId("r2")),
    }
    assert len({name, *others}) == 4


@given(
    name=st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True),
    run_id=st.text(min_size=1, max_size=128),
)
def test_job_name_is_a_dns_label_that_leaves_room_for_pod_suffixes(name: str, run_id: str) -> None:
    job_name = build_job_name(name, UID, RunId(run_id))

    assert DNS_LABEL.fullmatch(job_name)
    assert len(job_name) <= 50


@pytest.mark.parametrize(
    ("name", "job_name"),
    [
        pytest.param("nightly-load", "nightly-load-pwq7xbkzzlc4udlc", id="whole"),
        pytest.param("a" * 32 + ".b.c", "a" * 32 + "-tfs7mju73z72tfzv", id="cut where a dot stood"),
    ],
)
def test_job_name_stays_the_same_across_releases(name: str, job_name: str) -> None:
    assert build_job_name(name, UID, RunId("r1")) == job_name


def test_hash_of_an_id_stays_the_same_across_releases() -> None:
    """Status holds these; another hash would make every finished run a new one."""
    assert hash_of("r1") == "qlz6truv3rvy2gyr"


def test_parts_of_a_hash_cannot_be_shifted_into_each_other() -> None:
    assert hash_of("ab", "c") != hash_of("a", "bc")


def test_id_is_seen_as_the_latest_run_or_by_its_hash() -> None:
    status = make_status(make_run("latest"), recent_run_ids=(hash_of("older"),))

    assert is_seen(status, RunId("latest"))
    assert is_seen(status, RunId("older"))
    assert not is_seen(status, RunId("new"))


def test_remembered_id_comes_to_the_front_once() -> None:
    recent = remember(remember(remember((), RunId("a")), RunId("b")), RunId("a"))

    assert recent == (hash_of("a"), hash_of("b"))


def test_old_ids_are_forgotten_but_those_still_written_somewhere() -> None:
    ids = [RunId(str(number)) for number in range(MAX_RECENT_RUN_IDS + 3)]
    recent = tuple(hash_of(run_id) for run_id in ids)

    kept = forget_old(recent, except_ids=[ids[-1], ids[0], RunId("unknown")])

    assert kept == (*recent[:MAX_RECENT_RUN_IDS], recent[-1])


def test_first_id_beyond_the_bound_pushes_out_the_oldest() -> None:
    ids = [RunId(str(number)) for number in range(MAX_RECENT_RUN_IDS)]
    full = tuple(hash_of(run_id) for run_id in ids)

    assert forget_old(full, except_ids=[]) == full
    assert forget_old(remember(full, RunId("new")), except_ids=[]) == (hash_of("new"), *full[:-1])


def test_nothing_is_forgotten_while_there_is_room() -> None:
    recent = (hash_of("a"), hash_of("b"))

    assert forget_old(recent, except_ids=[]) is recent


def test_next_start_by_state_skips_ids_that_were_seen() -> None:
    assert build_next_state_run_id(DiemJobStatus()) == "state-1"
    status = DiemJobStatus(state_starts=4, recent_run_ids=(hash_of("state-5"), hash_of("state-6")))
    assert build_next_state_run_id(status) == "state-7"


@pytest.mark.parametrize(
    ("run_id", "number"),
    [
        ("state-0", 0),
        ("state-12", 12),
        ("state-01", None),
        ("state-", None),
        ("state-1x", None),
        ("xstate-1", None),
        ("state-1234567890", None),
    ],
)
def test_only_plain_state_ids_count_as_starts_by_state(run_id: str, number: int | None) -> None:
    assert find_state_start(RunId(run_id)) == number
