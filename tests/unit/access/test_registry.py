from datetime import timedelta

import pytest

from diem_operator.access.registry import KeyRegistry, Verdict, authenticate
from diem_operator.access.tokens import hash_token
from diem_operator.model.diemapikey import Action, Compatibility, DiemApiKeyStatus
from diem_operator.model.metadata import ObjectKey
from diem_operator.settings import KeySettings, Tenant
from tests.unit.access.keys import CREATED_AT, NOW, OLD_TOKEN, OLD_TOKEN_SHA256, KeyBuilder, make_key, make_registry

TOKEN = "a text that stands for a minted token"


def test_token_opens_the_key_with_its_hash() -> None:
    other = make_key().named("other", uid="uid-2").issued("another token").build()
    registry = make_registry(other, make_key().issued(TOKEN).build())

    decision = authenticate(TOKEN, registry, now=NOW)

    assert decision.is_accepted
    assert decision.entry is not None
    assert decision.entry.key == ObjectKey(namespace="team-a", name="ci")


@pytest.mark.parametrize(
    ("key", "token", "expected"),
    [
        pytest.param(make_key().issued(TOKEN), TOKEN, Verdict.ACCEPTED, id="minted"),
        pytest.param(make_key().adopted(), OLD_TOKEN, Verdict.ACCEPTED, id="adopted"),
        pytest.param(make_key().issued(TOKEN), "", Verdict.MISSING, id="no token"),
        pytest.param(make_key().issued(TOKEN), TOKEN + "=", Verdict.UNKNOWN, id="edited token"),
        pytest.param(make_key(), TOKEN, Verdict.UNKNOWN, id="key without a token yet"),
        pytest.param(make_key().issued(TOKEN).with_spec(revoked=True), TOKEN, Verdict.REVOKED, id="revoked"),
        pytest.param(
            make_key().issued(TOKEN).with_metadata(deletion_timestamp=NOW), TOKEN, Verdict.REVOKED, id="being deleted"
        ),
        pytest.param(make_key().issued(TOKEN).with_spec(jobs=("*-*",)), TOKEN, Verdict.INVALID, id="invalid spec"),
        pytest.param(make_key().adopting(), OLD_TOKEN, Verdict.NOT_ISSUED, id="adoption not confirmed by the operator"),
        pytest.param(
            make_key().issued(TOKEN).with_spec(expires_at=NOW + timedelta(seconds=1)),
            TOKEN,
            Verdict.ACCEPTED,
            id="last second",
        ),
        pytest.param(make_key().issued(TOKEN).with_spec(expires_at=NOW), TOKEN, Verdict.EXPIRED, id="expired"),
    ],
)
def test_verdict_on_a_token(key: KeyBuilder, token: str, expected: Verdict) -> None:
    assert authenticate(token, make_registry(key.build()), now=NOW).verdict is expected


def test_key_without_an_end_never_expires() -> None:
    registry = make_registry(make_key().issued(TOKEN).build(), settings=KeySettings(max_lifetime_seconds=0))

    assert authenticate(TOKEN, registry, now=NOW + timedelta(days=9999)).is_accepted


def test_key_without_expires_at_ends_with_the_longest_life() -> None:
    registry = make_registry(make_key().issued(TOKEN).build(), settings=KeySettings(max_lifetime_seconds=60))

    assert authenticate(TOKEN, registry, now=NOW).verdict is Verdict.EXPIRED


def test_known_token_is_told_apart_even_when_it_opens_nothing() -> None:
    decision = authenticate(TOKEN, make_registry(make_key().issued(TOKEN).with_spec(revoked=True).build()), now=NOW)

    assert not decision.is_accepted
    assert decision.entry is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            make_key().named("older", uid="uid-9").adopted(),
            make_key().named("newer").adopted().with_metadata(creation_timestamp=CREATED_AT + timedelta(seconds=1)),
            id="the older one",
        ),
        pytest.param(
            make_key().named("low", uid="uid-1").adopted(),
            make_key().named("high", uid="uid-2").adopted(),
            id="the lower uid when equally old",
        ),
        pytest.param(
            make_key().named("minted").issued(OLD_TOKEN),
            make_key()
            .named("thief", uid="uid-0")
            .adopted()
            .with_metadata(creation_timestamp=CREATED_AT - timedelta(9)),
            id="the minted one however old the other is",
        ),
        pytest.param(
            make_key().named("older").adopted().with_spec(revoked=True),
            make_key().named("newer", uid="uid-2").adopted(),
            id="the older one even if revoked",
        ),
    ],
)
def test_of_two_claims_the_token_opens(first: KeyBuilder, second: KeyBuilder) -> None:
    expected = first.build()
    registry = make_registry(second.build(), expected)

    claims = registry.find_claims(OLD_TOKEN_SHA256)

    assert [claim.key for claim in claims] == [expected.key, second.build().key]
    assert authenticate(OLD_TOKEN, registry, now=NOW).entry == claims[0]


def test_equal_first_digits_are_not_enough() -> None:
    nearly = OLD_TOKEN_SHA256[:-1] + ("0" if OLD_TOKEN_SHA256[-1] != "0" else "1")
    status = DiemApiKeyStatus(key_id="uid-1", token_sha256=nearly)
    registry = make_registry(make_key().adopting(nearly).with_status(status).build())

    assert authenticate(OLD_TOKEN, registry, now=NOW).verdict is Verdict.UNKNOWN


def test_discarded_key_opens_nothing() -> None:
    apikey = make_key().issued(TOKEN).build()
    registry = make_registry(apikey)

    registry.discard(apikey.key)

    assert authenticate(TOKEN, registry, now=NOW).verdict is Verdict.UNKNOWN
    assert len(registry) == 0


def test_discarding_one_claim_leaves_the_other() -> None:
    first, second = make_key().adopted().build(), make_key().named("other", uid="uid-2").adopted().build()
    registry = make_registry(first, second)

    registry.discard(first.key)

    assert [claim.key for claim in registry.find_claims(OLD_TOKEN_SHA256)] == [second.key]


def test_discarding_an_unknown_key_changes_nothing() -> None:
    registry = make_registry(make_key().issued(TOKEN).build())

    registry.discard(ObjectKey(namespace="team-a", name="nobody"))

    assert len(registry) == 1


def test_complete_list_replaces_what_is_known() -> None:
    gone = make_key().named("gone").issued("gone").build()
    registry = make_registry(gone, make_key().named("kept", uid="uid-2").issued("kept").with_spec(revoked=True).build())

    registry.replace([make_key().named("kept", uid="uid-2").issued("kept").build()])

    assert authenticate("gone", registry, now=NOW).verdict is Verdict.UNKNOWN
    assert authenticate("kept", registry, now=NOW).verdict is Verdict.ACCEPTED


def test_complete_list_of_one_namespace_says_nothing_about_others() -> None:
    here = make_key().named("here").issued("here").build()
    elsewhere = make_key().named("elsewhere", namespace="team-b", uid="uid-2").issued("elsewhere").build()
    registry = make_registry(here, elsewhere)

    registry.replace([], namespace="team-a")

    assert authenticate("here", registry, now=NOW).verdict is Verdict.UNKNOWN
    assert authenticate("elsewhere", registry, now=NOW).verdict is Verdict.ACCEPTED


def test_key_that_lost_its_token_is_forgotten() -> None:
    registry = make_registry(make_key().issued(TOKEN).build())

    registry.put(make_key().build())

    assert len(registry) == 0
    assert registry.find_claims(hash_token(TOKEN)) == ()


def test_entry_opens_its_own_namespace_first_and_each_once() -> None:
    settings = KeySettings(tenants={"team-a": Tenant(namespaces=("team-b", "team-a", "team-b"))})
    (entry,) = make_registry(make_key().issued(TOKEN).build(), settings=settings).find_claims(hash_token(TOKEN))

    assert entry.namespaces == ("team-a", "team-b")


def test_requests_are_signed_with_the_keys_uid() -> None:
    (entry,) = make_registry(make_key().issued(TOKEN).build()).find_claims(hash_token(TOKEN))

    assert entry.requested_by == "apikey/uid-1"


@pytest.mark.parametrize(
    ("compatibility", "expected"),
    [
        pytest.param(None, Action.STATUS, id="no compatibility"),
        pytest.param(Compatibility(), Action.STATUS, id="not said"),
        pytest.param(Compatibility(missing_action=Action.START), Action.START, id="said"),
    ],
)
def test_missing_action(compatibility: Compatibility | None, expected: Action) -> None:
    registry: KeyRegistry = make_registry(make_key().issued(TOKEN).with_spec(compatibility=compatibility).build())
    (entry,) = registry.find_claims(hash_token(TOKEN))

    assert entry.missing_action is expected
