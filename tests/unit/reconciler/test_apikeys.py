import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import jwt
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from diem_operator.access.tokens import SigningSecret, hash_token
from diem_operator.cluster.errors import ClusterError, Conflict, Forbidden, OutcomeUnknown
from diem_operator.metrics import OperatorMetrics
from diem_operator.model.diemapikey import DiemApiKey, DiemApiKeyStatus
from diem_operator.model.metadata import ObjectKey
from diem_operator.reconciler import apikeys
from diem_operator.reconciler.apikeys import ApiKeyController, KeyWorld
from diem_operator.reconciler.leadership import NotLeader
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.signing_secret import UnusableSigningSecret
from diem_operator.settings import RESYNC_SECONDS, KeySettings
from tests.unit.access.keys import NOW, OLD_TOKEN_SHA256, KeyBuilder, make_key, make_signing_secret
from tests.unit.api.fake_cluster import FakeCluster

CI = ObjectKey(namespace="team-a", name="ci")


@dataclass
class Term:
    """A leader's term, in a cluster in memory; `run` is what is running."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    now: datetime = NOW
    is_leader: bool = True
    scope: Scope = field(default_factory=Scope)
    secret_failures: list[Exception] = field(default_factory=list)
    resync_seconds: float = RESYNC_SECONDS

    def __post_init__(self) -> None:
        self.metrics = OperatorMetrics(CollectorRegistry())
        self.controller = ApiKeyController(
            KeyWorld(
                cluster=self.cluster.as_cluster(),
                fence=self,
                scope=self.scope,
                settings=KeySettings(),
                obtain_signing_secret=self._obtain,
                now=lambda: self.now,
                metrics=self.metrics.for_controller("diemapikeys"),
                resync_seconds=self.resync_seconds,
            )
        )

    async def _obtain(self) -> SigningSecret:
        if self.secret_failures:
            raise self.secret_failures.pop()
        return make_signing_secret()

    def write_budget_seconds(self) -> float:
        if not self.is_leader:
            raise NotLeader("another one leads")
        return 4.0

    def store(self, builder: KeyBuilder) -> DiemApiKey:
        stored = self.cluster.apikeys.store(builder.build())
        self.controller.observe_apikey("MODIFIED", msgspec.to_builtins(stored))
        return stored

    def delete(self, key: ObjectKey) -> None:
        last = self.cluster.apikeys.stored(key)
        self.cluster.apikeys.remove(key)
        metadata = msgspec.structs.replace(last.metadata, resource_version="99999")
        self.controller.observe_apikey("DELETED", msgspec.to_builtins(msgspec.structs.replace(last, metadata=metadata)))

    def status_of(self, key: ObjectKey = CI) -> DiemApiKeyStatus:
        return self.cluster.apikeys.stored(key).status

    def reason_of(self, key: ObjectKey = CI) -> str | None:
        conditions = self.status_of(key).conditions
        return conditions[0].reason if conditions else None

    async def reach(self, reason: str, key: ObjectKey = CI) -> None:
        async with asyncio.timeout(5):
            while self.reason_of(key) != reason:  # noqa: ASYNC110 - it is a poll
                await asyncio.sleep(0.001)

    def outcomes(self, outcome: str) -> float:
        labels = {"controller": "diemapikeys", "outcome": outcome}
        return self.metrics.registry.get_sample_value("diem_operator_reconciles_total", labels) or 0.0

    @property
    def token(self) -> str:
        (manifest,) = self.cluster.secrets.manifests.values()
        return str(manifest["stringData"]["token"])


@asynccontextmanager
async def leading(term: Term) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(term.controller.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_new_key_gets_a_token_that_only_its_secret_shows() -> None:
    term = Term()
    async with leading(term):
        term.store(make_key())
        await term.reach("Issued")

    assert term.status_of().token_sha256 == hash_token(term.token)
    assert jwt.get_unverified_header(term.token)["kid"] == make_signing_secret().key_id
    assert term.token not in str(msgspec.json.encode(term.cluster.apikeys.stored(CI)))


async def test_keys_that_exist_before_the_term_are_found() -> None:
    term = Term()
    term.cluster.apikeys.store(make_key().build())
    async with leading(term):
        await term.reach("Issued")


async def test_key_seen_while_standing_by_is_reconciled_in_the_next_term() -> None:
    term = Term()
    term.store(make_key())
    async with leading(term):
        await term.reach("Issued")


async def test_issued_key_costs_no_further_write() -> None:
    term = Term()
    async with leading(term):
        term.store(make_key())
        await term.reach("Issued")
    async with leading(term):
        await reconcile_all(term, 1)

    assert len(term.cluster.apikeys.patches) == 1
    assert term.cluster.secrets.creations == 1


async def reconcile_all(term: Term, more: int) -> None:
    """Return when so many more reconciles are done."""
    before = term.outcomes("done")
    async with asyncio.timeout(5):
        while term.outcomes("done") < before + more:  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.001)


async def test_secret_whose_creation_was_not_recorded_is_recognised() -> None:
    term = Term()
    term.cluster.apikeys.failures.extend([None, OutcomeUnknown("no answer")])
    async with leading(term):
        term.store(make_key())
        await term.reach("Issued")

    assert term.cluster.secrets.creations == 2
    assert term.status_of().token_sha256 == hash_token(term.token)


async def test_adopted_key_gets_no_secret() -> None:
    term = Term()
    async with leading(term):
        term.store(make_key().adopting())
        await term.reach("Adopted")

    assert term.status_of().token_sha256 == OLD_TOKEN_SHA256
    assert term.cluster.secrets.creations == 0


async def test_key_expires_by_the_clock_alone() -> None:
    term = Term()
    async with leading(term):
        term.store(make_key().with_spec(expires_at=NOW + timedelta(seconds=1)))
        await term.reach("Issued")
        term.now = NOW + timedelta(seconds=2)
        await term.reach("Expired")


async def test_conflict_is_read_and_planned_again() -> None:
    term = Term()
    term.cluster.apikeys.failures.extend([None, Conflict("modified")])
    async with leading(term):
        term.store(make_key())
        await term.reach("Issued")

    assert term.cluster.apikeys.gets == [CI]


async def test_key_deleted_meanwhile_is_forgotten() -> None:
    term = Term()
    async with leading(term):
        stored = term.cluster.apikeys.store(make_key().build())
        term.cluster.apikeys.remove(stored.key)
        term.controller.observe_apikey("ADDED", msgspec.to_builtins(stored))
        await reconcile_all(term, 1)

    assert term.cluster.apikeys.patches == []
    assert term.controller.stored_count == 0


async def test_deletion_of_an_unknown_key_or_of_an_older_version_is_ignored() -> None:
    term = Term()
    stored = term.store(make_key())
    older = msgspec.structs.replace(stored.metadata, resource_version="1")
    unknown = make_key().named("unknown", uid="uid-9").build()

    for apikey in (unknown, msgspec.structs.replace(stored, metadata=older)):
        term.controller.observe_apikey("DELETED", msgspec.to_builtins(apikey))

    assert term.controller.stored_count == 1


async def test_failing_cluster_is_tried_again() -> None:
    term = Term()
    term.cluster.secrets.failures.extend([Forbidden("namespace is being deleted"), OutcomeUnknown("no answer")])
    async with leading(term):
        term.store(make_key())
        await term.reach("Issued")

    assert term.outcomes("retry") == 2


async def test_younger_key_takes_over_when_the_older_is_deleted() -> None:
    term = Term()
    younger = ObjectKey(namespace="team-b", name="younger")
    async with leading(term):
        term.store(make_key().adopting())
        term.store(make_key().named("younger", namespace="team-b", uid="uid-2").adopting())
        await term.reach("DuplicateToken", younger)
        term.delete(CI)
        await term.reach("Adopted", younger)


async def test_deletion_that_the_watch_missed_is_found_by_comparing() -> None:
    term = Term(resync_seconds=0.01)
    younger = ObjectKey(namespace="team-b", name="younger")
    async with leading(term):
        term.store(make_key().adopting())
        term.store(make_key().named("younger", namespace="team-b", uid="uid-2").adopting())
        await term.reach("DuplicateToken", younger)
        term.cluster.apikeys.remove(CI)
        await term.reach("Adopted", younger)


async def test_comparing_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    term = Term(resync_seconds=0.01)
    async with leading(term):
        await asyncio.sleep(0)
        term.cluster.apikeys.failures.extend([None, OutcomeUnknown("no answer")])
        async with asyncio.timeout(5):
            while "Could not compare" not in caplog.text:  # noqa: ASYNC110 - it is a poll
                await asyncio.sleep(0.001)
        term.store(make_key())
        await term.reach("Issued")


async def test_namespace_whose_list_is_refused_keeps_its_keys_and_spoils_no_other() -> None:
    term = Term(resync_seconds=0.01, scope=Scope(namespaces=("team-a", "team-b")))
    term.cluster.apikeys.refused.add("team-a")
    other = ObjectKey(namespace="team-b", name="ci")
    term.store(make_key())
    term.cluster.apikeys.store(make_key().named("ci", namespace="team-b", uid="uid-2").build())
    async with leading(term):
        await term.reach("Issued", other)
        term.cluster.apikeys.remove(CI)
        term.cluster.apikeys.remove(other)
        await reach_stored_count(term, 1)
        term.cluster.apikeys.refused.clear()
        await reach_stored_count(term, 0)


async def reach_stored_count(term: Term, count: int) -> None:
    """Return when so many keys are known; more comparisons do not change that."""
    async with asyncio.timeout(5):
        while term.controller.stored_count != count:  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert term.controller.stored_count == count


async def test_term_begins_again_when_every_list_is_refused() -> None:
    term = Term(scope=Scope(namespaces=("team-a", "team-b")))
    term.cluster.apikeys.refused.update(("team-a", "team-b"))

    with pytest.raises(Forbidden):
        await term.controller.run()


async def test_term_begins_again_when_its_first_list_fails() -> None:
    term = Term()
    term.cluster.apikeys.failures.append(OutcomeUnknown("no answer"))

    with pytest.raises(ClusterError):
        await term.controller.run()


async def test_nothing_is_written_once_another_replica_may_lead() -> None:
    term = Term(is_leader=False)
    async with leading(term) as task:
        term.store(make_key())
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(asyncio.shield(task), 5)

    assert ended.group_contains(NotLeader)
    assert term.cluster.secrets.creations == 0


@pytest.mark.parametrize(
    "scope",
    [Scope(excluded=("team-a",)), Scope(namespaces=("team-b",))],
    ids=["excluded namespace", "not among the served ones"],
)
async def test_key_in_a_namespace_that_is_not_served_is_left_alone(scope: Scope) -> None:
    term = Term(scope=scope)
    other = ObjectKey(namespace="team-b", name="ci")
    async with leading(term):
        term.store(make_key())
        term.store(make_key().named("ci", namespace="team-b", uid="uid-2"))
        await term.reach("Issued", other)

    assert term.reason_of() is None


async def test_unusable_signing_secret_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apikeys, "UNUSABLE_SECRET_SECONDS", 0.01)
    term = Term(secret_failures=[UnusableSigningSecret("too short")])
    async with leading(term):
        term.store(make_key())
        await term.reach("Issued")


def test_object_of_another_form_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    Term().controller.observe_apikey("ADDED", {"metadata": {"name": "ci"}, "spec": {"revoked": "perhaps"}})

    assert "Ignored a DiemApiKey that does not fit its schema" in caplog.text


async def test_older_news_do_not_replace_newer() -> None:
    term = Term()
    old = term.store(make_key().with_spec(revoked=True))
    term.store(make_key())
    term.controller.observe_apikey("MODIFIED", msgspec.to_builtins(old))
    async with leading(term):
        await term.reach("Issued")


async def test_no_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    term = Term()
    term.cluster.secrets.failures.append(ClusterError("no"))
    async with leading(term):
        term.store(make_key())
        await term.reach("Issued")

    assert term.token not in caplog.text
    assert "Wrote the status of a DiemApiKey" in caplog.text


async def test_mistake_of_ours_does_not_end_the_term(caplog: pytest.LogCaptureFixture) -> None:
    term = Term()
    term.cluster.secrets.failures.append(ZeroDivisionError("a mistake"))
    async with leading(term):
        term.store(make_key())
        await term.reach("Issued")

    assert term.outcomes("error") == 1
