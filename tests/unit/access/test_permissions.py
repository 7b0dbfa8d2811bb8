from collections.abc import Iterable

import pytest

from diem_operator.access.permissions import Answer, Authorization, Reference, authorize, is_match
from diem_operator.access.registry import KeyEntry
from diem_operator.access.tokens import hash_token
from diem_operator.model.diemapikey import Action
from diem_operator.model.diemjob import DiemJob
from diem_operator.settings import KeySettings, Tenant
from tests.unit.access.keys import make_diemjob, make_key, make_registry

SETTINGS = KeySettings(tenants={"team-a": Tenant(namespaces=("team-b",))})
NIGHTLY = make_diemjob("nightly", aliases=("5fd3a340b15cc4d3b71b7cc7",))
REPORT = make_diemjob("report")
OTHER = make_diemjob("nightly", namespace="team-b", aliases=("old-id",))
FOREIGN = make_diemjob("nightly", namespace="team-c")


def make_entry(*, jobs: tuple[str, ...] = ("*",), actions: tuple[Action, ...] = tuple(Action)) -> KeyEntry:
    apikey = make_key().issued("text").with_spec(jobs=jobs, actions=actions).build()
    (entry,) = make_registry(apikey, settings=SETTINGS).find_claims(hash_token("text"))
    return entry


def ask(entry: KeyEntry, job_id: str, *diemjobs: DiemJob, action: Action = Action.STATUS) -> Authorization:
    def find(reference: Reference) -> Iterable[DiemJob]:
        return [
            diemjob
            for diemjob in diemjobs or (NIGHTLY, REPORT, OTHER, FOREIGN)
            if diemjob.metadata.namespace == reference.namespace
            and reference.text in {diemjob.metadata.name, *diemjob.spec.aliases}
        ]

    return authorize(entry, action=action, job_id=job_id, find=find)


@pytest.mark.parametrize(
    ("jobs", "job_id", "expected"),
    [
        pytest.param(("*",), "nightly", NIGHTLY, id="by name"),
        pytest.param(("*",), "5fd3a340b15cc4d3b71b7cc7", NIGHTLY, id="by alias"),
        pytest.param(("*",), "team-a/nightly", NIGHTLY, id="by name with the own namespace"),
        pytest.param(("*",), "team-b/nightly", OTHER, id="in another namespace by name"),
        pytest.param(("*",), "team-b/old-id", OTHER, id="in another namespace by alias"),
        pytest.param(("nightly",), "5fd3a340b15cc4d3b71b7cc7", NIGHTLY, id="glob on the name, id is the alias"),
        pytest.param(("5fd3*",), "nightly", NIGHTLY, id="glob on the alias, id is the name"),
        pytest.param(("nothing", "night*"), "nightly", NIGHTLY, id="second glob"),
        pytest.param(("team-a/*",), "nightly", NIGHTLY, id="glob with the own namespace"),
        pytest.param(("team-b/night*",), "team-b/nightly", OTHER, id="glob with another namespace"),
    ],
)
def test_key_may(jobs: tuple[str, ...], job_id: str, expected: DiemJob) -> None:
    assert ask(make_entry(jobs=jobs), job_id) == Authorization(answer=Answer.ALLOWED, diemjob=expected)


@pytest.mark.parametrize(
    ("jobs", "job_id"),
    [
        pytest.param(("*",), "no-such-job", id="unknown"),
        pytest.param(("*",), "team-c/nightly", id="another tenant's"),
        pytest.param(("*",), "old-id", id="another namespace's alias without its namespace"),
        pytest.param(("report",), "nightly", id="outside the globs"),
        pytest.param(("report-*",), "report", id="glob longer than the name"),
        pytest.param(("night*",), "team-b/nightly", id="glob of the own namespace only"),
        pytest.param((), "nightly", id="no globs"),
        pytest.param(("*",), "", id="empty id"),
        pytest.param(("*",), "/nightly", id="empty namespace"),
    ],
)
def test_job_does_not_exist_for_the_key(jobs: tuple[str, ...], job_id: str) -> None:
    assert ask(make_entry(jobs=jobs), job_id) == Authorization(answer=Answer.UNKNOWN_JOB)


@pytest.mark.parametrize(
    ("jobs", "job_id"),
    [
        pytest.param(("team-b/report-*",), "poser", id="by name"),
        pytest.param(("team-b/report-*",), "team-a/poser", id="by name with the own namespace"),
        pytest.param(("team-b/report-*",), "team-a/team-b/report-x", id="by the alias"),
        pytest.param(("team-b/report-x",), "poser", id="exact glob"),
    ],
)
def test_alias_with_a_slash_does_not_pose_as_a_job_of_another_namespace(jobs: tuple[str, ...], job_id: str) -> None:
    poser = make_diemjob("poser", aliases=("team-b/report-x",))

    assert ask(make_entry(jobs=jobs), job_id, poser) == Authorization(answer=Answer.UNKNOWN_JOB)


def test_finder_that_offers_a_foreign_job_is_not_believed() -> None:
    answer = authorize(make_entry(), action=Action.STATUS, job_id="nightly", find=lambda _: [FOREIGN]).answer

    assert answer is Answer.UNKNOWN_JOB


@pytest.mark.parametrize(
    ("job_id", "rival"),
    [
        pytest.param("nightly", make_diemjob("rival", aliases=("nightly",)), id="name of one, alias of another"),
        pytest.param(
            "5fd3a340b15cc4d3b71b7cc7",
            make_diemjob("rival", aliases=("5fd3a340b15cc4d3b71b7cc7",)),
            id="alias of two",
        ),
    ],
)
def test_id_of_several_jobs_is_ambiguous(job_id: str, rival: DiemJob) -> None:
    assert ask(make_entry(), job_id, NIGHTLY, rival).answer is Answer.AMBIGUOUS_ID


def test_job_outside_the_globs_does_not_make_an_id_ambiguous() -> None:
    rival = make_diemjob("rival", aliases=("nightly",))

    assert ask(make_entry(jobs=("rival",)), "nightly", NIGHTLY, rival).diemjob == rival


def test_missing_action_right_is_told_before_any_job_is_looked_up() -> None:
    entry = make_entry(actions=(Action.STATUS,))

    assert ask(entry, "no-such-job", action=Action.START) == Authorization(answer=Answer.ACTION_FORBIDDEN)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        pytest.param("*", "anything", True, id="star"),
        pytest.param("*", "", True, id="star and nothing"),
        pytest.param("a*", "abc", True, id="prefix"),
        pytest.param("a*", "a", True, id="bare prefix"),
        pytest.param("a*", "ba", False, id="other prefix"),
        pytest.param("abc", "abc", True, id="exact"),
        pytest.param("abc", "abcd", False, id="longer"),
        pytest.param("a*c", "abc", False, id="star in the middle"),
        pytest.param("a.c", "abc", False, id="no regular expression"),
        pytest.param("a?c", "abc", False, id="no question mark"),
        pytest.param("ABC", "abc", False, id="case matters"),
    ],
)
def test_glob(pattern: str, text: str, *, expected: bool) -> None:
    assert is_match(pattern, text) is expected
