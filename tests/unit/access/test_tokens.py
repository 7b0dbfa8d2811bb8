import hashlib
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from diem_operator.access.tokens import SigningSecret, hash_token, mint_token
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.settings import KeySettings, Tenant
from tests.unit.access.keys import CREATED_AT, make_key, make_signing_secret


def mint(apikey: DiemApiKey, settings: KeySettings | None = None) -> str:
    return mint_token(apikey, signing_secret=make_signing_secret(), settings=settings or KeySettings()).value


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, make_signing_secret().value, algorithms=["HS256"], options={"verify_exp": False})


def test_minting_twice_gives_the_same_bytes() -> None:
    assert mint(make_key().build()) == mint(make_key().build())


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(make_key().with_metadata(uid="uid-2").build(), id="another object of the same name"),
        pytest.param(make_key().with_spec(email="x@example.com").build(), id="another email"),
    ],
)
def test_another_key_gets_another_token(other: DiemApiKey) -> None:
    assert mint(other) != mint(make_key().build())


def test_claims_are_those_of_the_old_service() -> None:
    apikey = make_key().with_spec(name="Leap Api", email="myapp@example.com").build()
    settings = KeySettings(max_lifetime_seconds=0, tenants={"team-a": Tenant(org="leap")})

    assert claims_of(mint(apikey, settings)) == {
        "email": "myapp@example.com",
        "name": "Leap Api",
        "id": "uid-1",
        "org": "leap",
        "blueGroups": ["all"],
        "uid": "leap",
        "iat": int(CREATED_AT.timestamp()),
    }


def test_org_and_name_default_to_the_keys_namespace_and_name() -> None:
    claims = claims_of(mint(make_key().build()))

    assert (claims["org"], claims["uid"], claims["name"]) == ("team-a", "team-a", "ci")


def test_exp_claim_is_the_time_when_the_key_ends() -> None:
    expires_at = datetime(2026, 5, 1, tzinfo=UTC)

    assert claims_of(mint(make_key().with_spec(expires_at=expires_at).build()))["exp"] == int(expires_at.timestamp())


def test_exp_claim_defaults_to_the_longest_life_that_is_allowed() -> None:
    claims = claims_of(mint(make_key().build(), KeySettings(max_lifetime_seconds=60)))

    assert claims["exp"] == claims["iat"] + 60


def test_header_names_the_signing_secret_without_disclosing_it() -> None:
    header = jwt.get_unverified_header(mint(make_key().build()))

    assert header == {"alg": "HS256", "typ": "JWT", "kid": make_signing_secret().key_id}
    assert make_signing_secret(0).key_id != make_signing_secret(1).key_id
    assert header["kid"] not in make_signing_secret().value.hex()


def test_token_hash_is_the_sha256_of_its_text() -> None:
    token = mint_token(make_key().build(), signing_secret=make_signing_secret(), settings=KeySettings())

    assert token.sha256 == hashlib.sha256(token.value.encode()).hexdigest()


def test_text_that_is_not_utf8_has_a_hash_too() -> None:
    assert hash_token(b"\xff".decode("utf-8", "surrogateescape")) == hashlib.sha256(b"\xff").hexdigest()


def test_short_signing_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="has 31 bytes, at least 32 are needed"):
        SigningSecret(value=bytes(31))


def test_neither_secret_nor_token_shows_in_a_repr() -> None:
    secret = make_signing_secret()
    token = mint_token(make_key().build(), signing_secret=secret, settings=KeySettings())

    assert token.value not in repr(token)
    assert repr(secret) == "SigningSecret()"


def test_an_object_that_was_never_stored_cannot_be_minted_for() -> None:
    with pytest.raises(ValueError, match="DiemApiKey team-a/ci has no creationTimestamp"):
        mint(make_key().with_metadata(creation_timestamp=None).build())
