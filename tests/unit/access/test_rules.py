from datetime import UTC, datetime, timedelta

import pytest

from diem_operator.access.rules import find_claimed_hash, find_expiry, find_spec_fault, is_issued
from diem_operator.model.diemapikey import Action, Compatibility
from diem_operator.settings import DAY_SECONDS, KeySettings
from tests.unit.access.keys import CREATED_AT, OLD_TOKEN_SHA256, KeyBuilder, make_key

YEAR = timedelta(days=365)
UNLIMITED = KeySettings(max_lifetime_seconds=0)


@pytest.mark.parametrize(
    ("key", "settings", "expected"),
    [
        pytest.param(make_key(), KeySettings(), CREATED_AT + YEAR, id="a year by default"),
        pytest.param(
            make_key(),
            KeySettings(max_lifetime_seconds=60),
            CREATED_AT + timedelta(minutes=1),
            id="as the setting says",
        ),
        pytest.param(make_key(), UNLIMITED, None, id="never where there is no limit"),
        pytest.param(
            make_key().with_spec(expires_at=datetime(2026, 5, 1, tzinfo=UTC)),
            KeySettings(),
            datetime(2026, 5, 1, tzinfo=UTC),
            id="when the spec says",
        ),
    ],
)
def test_key_expires(key: KeyBuilder, settings: KeySettings, expected: datetime | None) -> None:
    assert find_expiry(key.build(), settings) == expected


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        pytest.param(make_key(), KeySettings(), id="minimal"),
        pytest.param(make_key().with_spec(expires_at=CREATED_AT + YEAR), KeySettings(), id="longest life"),
        pytest.param(make_key().with_spec(expires_at=CREATED_AT + 9 * YEAR), UNLIMITED, id="long life without a limit"),
        pytest.param(make_key().with_spec(jobs=("report-*", "*", "nightly")), KeySettings(), id="trailing stars"),
        pytest.param(make_key().adopting(), KeySettings(), id="adopted"),
    ],
)
def test_valid_spec_has_no_fault(key: KeyBuilder, settings: KeySettings) -> None:
    assert find_spec_fault(key.build(), settings) is None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(
            make_key().with_spec(expires_at=CREATED_AT + timedelta(seconds=11 * DAY_SECONDS)),
            "spec.expiresAt is later than 2026-01-12T03:04:05Z, 10 days after creation: set it earlier",
            id="life longer than allowed",
        ),
        pytest.param(
            make_key().with_spec(jobs=("a*b",)),
            "spec.jobs: 'a*b' has a * that is not its last character: only a trailing * is understood",
            id="star in the middle",
        ),
        pytest.param(
            make_key().with_spec(jobs=("a**",)),
            "spec.jobs: 'a**' has a * that is not its last character: only a trailing * is understood",
            id="two stars",
        ),
        pytest.param(
            make_key().with_spec(adopt_token_sha256=OLD_TOKEN_SHA256.upper()),
            "spec.adoptTokenSHA256 is no SHA-256: write it as 64 lower-case hexadecimal digits",
            id="hash that no token can have",
        ),
        pytest.param(
            make_key().with_spec(adopt_token_sha256=OLD_TOKEN_SHA256),
            "spec.adoptTokenSHA256 needs spec.expiresAt: say when the old token is to stop working",
            id="adoption without an end",
        ),
        pytest.param(
            make_key().adopting().with_spec(expires_at=CREATED_AT, compatibility=None),
            "spec.adoptTokenSHA256 needs spec.compatibility.missingAction: say status or start",
            id="adoption without compatibility",
        ),
        pytest.param(
            make_key().adopting().with_spec(expires_at=CREATED_AT, compatibility=Compatibility()),
            "spec.adoptTokenSHA256 needs spec.compatibility.missingAction: say status or start",
            id="adoption without missingAction",
        ),
        pytest.param(
            make_key()
            .adopting()
            .with_spec(expires_at=CREATED_AT, compatibility=Compatibility(missing_action=Action.STOP)),
            "spec.adoptTokenSHA256 needs spec.compatibility.missingAction: say status or start",
            id="adoption whose missing action stops",
        ),
    ],
)
def test_fault_says_what_is_wrong_and_what_to_do(key: KeyBuilder, expected: str) -> None:
    assert find_spec_fault(key.build(), KeySettings(max_lifetime_seconds=10 * DAY_SECONDS)) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(make_key().issued("text"), True, id="minted and recorded"),
        pytest.param(make_key().adopted(), True, id="adopted and recorded"),
        pytest.param(make_key(), False, id="new"),
        pytest.param(make_key().issued("text").with_metadata(uid="uid-9"), False, id="status from a backup"),
        pytest.param(make_key().issued("text").adopting(), False, id="adopts now, was minted"),
        pytest.param(make_key().adopted().with_spec(adopt_token_sha256=None), False, id="adopts no more"),
        pytest.param(make_key().adopted().with_spec(adopt_token_sha256="0" * 64), False, id="adopts another token"),
    ],
)
def test_key_is_issued(key: KeyBuilder, *, expected: bool) -> None:
    assert is_issued(key.build()) is expected


def test_adopting_key_claims_its_token_before_the_status_says_so() -> None:
    assert find_claimed_hash(make_key().adopting().build()) == OLD_TOKEN_SHA256


def test_minted_key_claims_the_token_on_record() -> None:
    apikey = make_key().issued("text").build()

    assert find_claimed_hash(apikey) == apikey.status.token_sha256


def test_status_of_another_object_claims_nothing() -> None:
    assert find_claimed_hash(make_key().issued("text").with_metadata(uid="uid-9").build()) is None
