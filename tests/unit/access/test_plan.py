import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from diem_operator.access.plan import KeyPlan, plan_key
from diem_operator.access.registry import authenticate
from diem_operator.model import reasons
from diem_operator.model.diemapikey import DiemApiKey, DiemApiKeyStatus
from diem_operator.model.metadata import Condition
from diem_operator.settings import KeySettings
from tests.unit.access.keys import (
    CREATED_AT,
    NOW,
    OLD_TOKEN_SHA256,
    KeyBuilder,
    make_context,
    make_key,
    make_registry,
    make_signing_secret,
)

SOON = NOW + timedelta(seconds=10)


def plan(apikey: DiemApiKey, *others: DiemApiKey, now: datetime = NOW) -> KeyPlan:
    return plan_key(apikey, make_context(apikey, *others), now=now)


def applied(apikey: DiemApiKey) -> DiemApiKey:
    """Return the key after its plan was carried out."""
    return msgspec.structs.replace(apikey, status=plan(apikey).status)


def ready_of(planned: KeyPlan) -> Condition:
    (condition,) = planned.status.conditions
    return condition


def test_new_key_gets_a_token_in_a_secret() -> None:
    planned = plan(make_key().build())

    assert planned.secret is not None
    assert planned.status == DiemApiKeyStatus(
        observed_generation=3,
        key_id="uid-1",
        secret_name=planned.secret.name,
        token_sha256=planned.secret.token.sha256,
        issued_at=NOW,
        conditions=(
            Condition(
                type="Ready",
                status="True",
                reason=reasons.KEY_ISSUED,
                message=f"the token is in Secret {planned.secret.name!r}",
                last_transition_time=NOW,
                observed_generation=3,
            ),
        ),
    )


def test_minted_token_opens_its_key_once_it_is_on_record() -> None:
    apikey = make_key().build()
    secret = plan(apikey).secret

    assert secret is not None
    assert authenticate(secret.token.value, make_registry(applied(apikey)), now=NOW).is_accepted
    assert not authenticate(secret.token.value, make_registry(apikey), now=NOW).is_accepted


def test_plan_carried_out_changes_nothing_more() -> None:
    apikey = applied(make_key().build())

    later = plan(apikey, now=NOW + timedelta(hours=1))

    assert later.secret is None
    assert later.status == apikey.status


def test_interrupted_plan_is_the_same_when_repeated() -> None:
    assert plan(make_key().build(), now=NOW).secret == plan(make_key().build(), now=SOON).secret


def test_edited_name_keeps_the_token_that_callers_hold() -> None:
    apikey = applied(make_key().build())
    renamed = msgspec.structs.replace(apikey, spec=msgspec.structs.replace(apikey.spec, name="another name"))

    assert plan(renamed).secret is None
    assert plan(renamed).status.token_sha256 == apikey.status.token_sha256


def test_new_signing_secret_keeps_the_token_that_callers_hold() -> None:
    apikey = applied(make_key().build())
    context = dataclasses.replace(make_context(apikey), signing_secret=make_signing_secret(1))

    planned = plan_key(apikey, context, now=NOW)

    assert planned.secret is None
    assert planned.status == apikey.status


def test_key_restored_from_a_backup_gets_a_token_of_its_own() -> None:
    restored = msgspec.structs.replace(
        applied(make_key().build()), metadata=make_key().named("ci", uid="new").build().metadata
    )

    planned = plan(restored)

    assert planned.secret is not None
    assert planned.status.key_id == "new"
    assert planned.status.token_sha256 != restored.status.token_sha256


def test_adopted_token_is_recorded_without_a_secret() -> None:
    planned = plan(make_key().adopting().build())

    assert planned.secret is None
    assert planned.status.token_sha256 == OLD_TOKEN_SHA256
    assert planned.status.secret_name == ""
    assert planned.status.issued_at is None
    assert ready_of(planned).reason == reasons.KEY_ADOPTED


def test_adoption_carried_out_changes_nothing_more() -> None:
    apikey = applied(make_key().adopting().build())

    assert plan(apikey, now=SOON).status == apikey.status


def test_key_that_adopts_no_more_is_minted_for() -> None:
    planned = plan(make_key().adopted().with_spec(adopt_token_sha256=None).build())

    assert planned.secret is not None
    assert ready_of(planned).reason == reasons.KEY_ISSUED


@pytest.mark.parametrize(
    ("key", "reason", "message"),
    [
        pytest.param(make_key().with_spec(revoked=True), reasons.KEY_REVOKED, "spec.revoked is true", id="revoked"),
        pytest.param(
            make_key().with_spec(expires_at=NOW), reasons.KEY_EXPIRED, "expired at 2026-02-03T04:05:06Z", id="expired"
        ),
        pytest.param(
            make_key().with_spec(expires_at=NOW.astimezone(timezone(timedelta(hours=2)))),
            reasons.KEY_EXPIRED,
            "expired at 2026-02-03T06:05:06+02:00",
            id="expired, and written in another zone",
        ),
        pytest.param(
            make_key().with_spec(expires_at=CREATED_AT + timedelta(days=366)),
            reasons.KEY_INVALID,
            "spec.expiresAt is later than",
            id="life longer than allowed",
        ),
        pytest.param(
            make_key().adopting("no hash"), reasons.KEY_INVALID, "spec.adoptTokenSHA256 is no SHA-256", id="no hash"
        ),
    ],
)
def test_key_that_may_not_open_anything_gets_no_token(key: KeyBuilder, reason: str, message: str) -> None:
    planned = plan(key.build())

    assert planned.secret is None
    assert planned.status.token_sha256 == ""
    assert (ready_of(planned).status, ready_of(planned).reason) == ("False", reason)
    assert ready_of(planned).message.startswith(message)


def test_younger_key_with_the_same_token_is_not_ready() -> None:
    older = make_key().named("older").adopted().build()
    younger = make_key().named("younger", namespace="team-b", uid="uid-2").adopting().build()

    assert ready_of(plan(younger, older)).reason == reasons.KEY_DUPLICATE
    assert "older" not in ready_of(plan(younger, older)).message.replace("an older DiemApiKey", "")
    assert ready_of(plan(older, younger)).reason == reasons.KEY_ADOPTED


def test_revoking_keeps_the_token_on_record() -> None:
    apikey = applied(make_key().build())
    revoked = msgspec.structs.replace(apikey, spec=msgspec.structs.replace(apikey.spec, revoked=True))

    assert plan(revoked).status.token_sha256 == apikey.status.token_sha256
    assert plan(revoked).status.secret_name == apikey.status.secret_name


def test_refused_key_forgets_the_record_of_another_object() -> None:
    restored = make_key().issued("text").with_metadata(uid="new").with_spec(revoked=True).build()

    assert plan(restored).status.token_sha256 == ""
    assert plan(restored).status.key_id == "new"


def test_key_that_is_being_deleted_is_left_alone() -> None:
    apikey = make_key().with_metadata(deletion_timestamp=NOW).build()

    assert plan(apikey) == KeyPlan(status=apikey.status)


def test_transition_time_moves_only_with_the_conditions_status() -> None:
    apikey = applied(make_key().build())
    revoked = msgspec.structs.replace(apikey, spec=msgspec.structs.replace(apikey.spec, revoked=True))
    other = Condition(type="Another", status="True", last_transition_time=CREATED_AT)
    renewed = msgspec.structs.replace(
        apikey, status=msgspec.structs.replace(apikey.status, conditions=(other, *apikey.status.conditions))
    )

    assert ready_of(plan(renewed, now=SOON)).last_transition_time == NOW
    assert ready_of(plan(revoked, now=SOON)).last_transition_time == SOON


@pytest.mark.parametrize(
    ("key", "settings", "expected"),
    [
        pytest.param(make_key().with_spec(expires_at=SOON), KeySettings(), SOON, id="when it expires"),
        pytest.param(make_key().with_spec(expires_at=NOW), KeySettings(), None, id="never once it has expired"),
        pytest.param(make_key(), KeySettings(max_lifetime_seconds=0), None, id="never without an end"),
    ],
)
def test_time_alone_changes_a_plan(key: KeyBuilder, settings: KeySettings, expected: datetime | None) -> None:
    assert plan_key(key.build(), make_context(settings=settings), now=NOW).check_again_at == expected


def test_status_holds_whole_seconds_as_the_api_server_does() -> None:
    planned = plan(make_key().build(), now=datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC))

    assert planned.status.issued_at == NOW


def test_token_does_not_show_in_the_plans_repr() -> None:
    planned = plan(make_key().build())

    assert planned.secret is not None
    assert planned.secret.token.value not in repr(planned)
