"""A replica does not lead under CRDs that would drop what it writes."""

import logging

import pytest

from diem_operator.cluster.errors import ClusterError, OutcomeUnknown
from diem_operator.reconciler.schema_gate import RECHECK_SECONDS, REREAD_SECONDS, SchemaGate


class FakeCluster:
    """Answers with `missing` until told otherwise; `now` is the clock."""

    def __init__(self, *missing: str) -> None:
        self.missing: tuple[str, ...] | ClusterError = missing
        self.asked = 0
        self.now = 100.0
        self.gate = SchemaGate(self.find_missing_fields, clock=lambda: self.now)

    async def find_missing_fields(self) -> tuple[str, ...]:
        self.asked += 1
        if isinstance(self.missing, ClusterError):
            raise self.missing
        return self.missing


async def test_current_schemas_open_the_gate() -> None:
    assert await FakeCluster().gate.may_lead()


async def test_gate_that_was_open_once_is_known_to_have_been() -> None:
    cluster = FakeCluster("DiemJob.status.run.id")
    seen = []
    for missing in (("DiemJob.status.run.id",), (), ("DiemJob.status.run.id",)):
        cluster.missing = missing
        cluster.now += RECHECK_SECONDS
        await cluster.gate.may_lead()
        seen.append(cluster.gate.has_opened)
    assert seen == [False, True, True]


async def test_missing_field_closes_it_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    assert not await FakeCluster("DiemJob.status.run.id").gate.may_lead()
    assert "they lack DiemJob.status.run.id; apply the crds/" in caplog.text


async def test_unreadable_schemas_close_it_for_a_shorter_moment() -> None:
    cluster = FakeCluster()
    cluster.missing = OutcomeUnknown("no answer")
    assert not await cluster.gate.may_lead()
    cluster.missing = ()
    assert not await cluster.gate.may_lead()
    cluster.now += REREAD_SECONDS
    assert await cluster.gate.may_lead()


async def test_answer_no_is_remembered_for_a_moment() -> None:
    cluster = FakeCluster("DiemJob.status.run")
    answers = [await cluster.gate.may_lead() for _ in range(3)]
    assert (answers, cluster.asked) == ([False] * 3, 1)
    cluster.missing = ()
    cluster.now += RECHECK_SECONDS
    assert await cluster.gate.may_lead()


async def test_answer_yes_is_never_remembered() -> None:
    cluster = FakeCluster()
    assert await cluster.gate.may_lead()
    cluster.missing = ("DiemJob.status.run",)
    assert not await cluster.gate.may_lead()


async def test_same_problem_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    cluster = FakeCluster("DiemJob.status.run")
    for _ in range(3):
        await cluster.gate.may_lead()
        cluster.now += RECHECK_SECONDS
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
