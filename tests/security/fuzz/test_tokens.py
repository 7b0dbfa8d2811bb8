"""Tokens: none but an issued one opens anything, and what an issued one opens is what its key says at that moment."""

import hashlib
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diem_operator.access.registry import KeyRegistry, Verdict, authenticate
from diem_operator.access.tokens import SigningSecret, Token, hash_token, mint_token
from diem_operator.model.diemapikey import Action, Compatibility, DiemApiKey, DiemApiKeySpec, DiemApiKeyStatus
from diem_operator.model.metadata import ObjectMeta
from diem_operator.model.names import Uid
from diem_operator.settings import KeySettings
from tests.security.fuzz.profile import FUZZ, read_corpus
from tests.security.fuzz.strategies import PLAIN_TEXTS

BORN_AT = datetime(2030, 1, 1, tzinfo=UTC)
SETTINGS = KeySettings()
TOKENS = ("alpha-token", "beta-token", "gamma-token")
URL_SAFE = frozenset(string.ascii_letters + string.digits + "-_.")
CORPUS = read_corpus("tokens")

SECONDS = st.one_of(st.integers(-6, 12), st.integers(365 * 86400 - 4, 365 * 86400 + 1), st.integers(-10, 500 * 86400))
"""Around the moments at which a key may end: its birth, what its spec says, and the longest life."""

RECEIVED = st.binary(max_size=120).map(lambda received: received.decode("utf-8", "surrogateescape"))
"""Header values as aiohttp hands them on."""


def make_key(number: int, token: str, **fields: Any) -> DiemApiKey:
    """Return a DiemApiKey to which a token was issued, or which has adopted it."""
    age = fields.pop("age_seconds", 0)
    is_adopted, is_deleted = fields.pop("is_adopted", False), fields.pop("is_deleted", False)
    born_at = BORN_AT - timedelta(seconds=age)
    metadata = ObjectMeta(
        name=f"key-{number}",
        namespace=f"team-{number % 3}",
        uid=Uid(f"uid-{number}"),
        creation_timestamp=born_at,
        deletion_timestamp=BORN_AT if is_deleted else None,
    )
    spec = DiemApiKeySpec(actions=tuple(Action), jobs=("*",), **fields)
    if is_adopted:
        ends_at = spec.expires_at or born_at + timedelta(days=30)
        compatibility = Compatibility(missing_action=Action.STATUS)
        spec = msgspec.structs.replace(
            spec, adopt_token_sha256=hash_token(token), expires_at=ends_at, compatibility=compatibility
        )
        status = DiemApiKeyStatus(key_id=metadata.uid, token_sha256=hash_token(token))
    else:
        status = DiemApiKeyStatus(key_id=metadata.uid, token_sha256=hash_token(token), secret_name="secret")
    return DiemApiKey(metadata=metadata, spec=spec, status=status)


RARELY = st.sampled_from([False, False, False, True])
KEYS = st.lists(
    st.builds(
        lambda **drawn: drawn,
        number=st.integers(0, 7),
        token=st.sampled_from(TOKENS),
        age_seconds=st.integers(0, 3),
        is_adopted=st.booleans(),
        is_deleted=RARELY,
        revoked=RARELY,
        expires_at=st.one_of(st.none(), SECONDS.map(lambda seconds: BORN_AT + timedelta(seconds=seconds))),
    ),
    max_size=6,
    unique_by=lambda drawn: drawn["number"],
).map(lambda several: [make_key(**one) for one in several])


def make_registry(keys: list[DiemApiKey]) -> KeyRegistry:
    registry = KeyRegistry(SETTINGS)
    for key in keys:
        registry.put(key)
    return registry


def expect_opened(token: str, keys: list[DiemApiKey], *, moment: datetime) -> str | None:
    """Return the name of the key that a token opens, by the words of the design alone."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
    claims = [key for key in keys if digest in {key.spec.adopt_token_sha256, key.status.token_sha256}]
    if not claims:
        return None
    minted = [key for key in claims if key.spec.adopt_token_sha256 is None]
    oldest = min(minted or claims, key=lambda key: (key.metadata.creation_timestamp, key.metadata.uid))
    born_at = oldest.metadata.creation_timestamp
    assert born_at is not None
    latest = born_at + timedelta(seconds=SETTINGS.max_lifetime_seconds)
    ends_at = oldest.spec.expires_at or latest
    is_good = not oldest.spec.revoked and oldest.metadata.deletion_timestamp is None and ends_at <= latest
    return oldest.metadata.name if is_good and moment < ends_at else None


@given(RECEIVED)
@FUZZ
def test_whatever_is_sent_has_the_hash_of_its_bytes(token: str) -> None:
    assert hash_token(token) == hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@given(KEYS, st.one_of(st.sampled_from(TOKENS), st.sampled_from(TOKENS), RECEIVED), SECONDS)
@FUZZ
def test_token_opens_what_the_design_says_and_nothing_else(keys: list[DiemApiKey], token: str, seconds: int) -> None:
    moment = BORN_AT + timedelta(seconds=seconds)
    decision = authenticate(token, make_registry(keys), now=moment)

    opened = decision.entry.key.name if decision.is_accepted and decision.entry is not None else None
    assert opened == expect_opened(token, keys, moment=moment)
    assert not decision.is_accepted or token in TOKENS
    assert (decision.verdict is Verdict.MISSING) is (token == "")


@given(KEYS, st.permutations(range(6)), st.sampled_from(TOKENS))
@FUZZ
def test_order_in_which_keys_become_known_does_not_matter(keys: list[DiemApiKey], order: list[int], token: str) -> None:
    shuffled = [keys[place] for place in order if place < len(keys)]

    decisions = {authenticate(token, make_registry(known), now=BORN_AT) for known in (keys, shuffled, keys + shuffled)}
    assert len(decisions) == 1


@given(KEYS, KEYS, st.sampled_from(TOKENS))
@FUZZ
def test_registry_that_has_changed_is_as_one_that_began_so(
    before: list[DiemApiKey], after: list[DiemApiKey], token: str
) -> None:
    registry = make_registry(before)
    registry.replace(after)
    for key in before:
        registry.discard(key.key) if key.key not in {one.key for one in after} else registry.put(key)
    for key in after:
        registry.put(key)

    expected = make_registry(after)
    assert authenticate(token, registry, now=BORN_AT) == authenticate(token, expected, now=BORN_AT)
    assert len(registry) == len(expected)


@given(st.data(), st.sampled_from(TOKENS))
@FUZZ
def test_near_miss_opens_nothing(data: st.DataObject, token: str) -> None:
    place = data.draw(st.integers(0, len(token)))
    piece = data.draw(RECEIVED)
    length = data.draw(st.integers(0, 3))
    other = token[:place] + piece + token[place + length :]
    assume(other != token)

    decision = authenticate(other, make_registry([make_key(0, token)]), now=BORN_AT)
    assert decision.verdict in {Verdict.UNKNOWN, Verdict.MISSING}
    assert decision.entry is None


@given(PLAIN_TEXTS, PLAIN_TEXTS, st.binary(min_size=32, max_size=80), st.integers(0, 3))
@FUZZ
def test_minted_token_fits_a_header_and_says_what_the_key_says(name: str, email: str, secret: bytes, age: int) -> None:
    key = make_key(0, "x", name=name, email=email, age_seconds=age)
    token, again = (mint_token(key, signing_secret=SigningSecret(value=secret), settings=SETTINGS) for _ in range(2))
    claims = jwt.decode(token.value, secret, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})

    assert token == again
    assert set(token.value) <= URL_SAFE
    assert (claims["name"], claims["email"], claims["id"]) == (name or key.metadata.name, email, key.metadata.uid)
    assert token.sha256 == hashlib.sha256(token.value.encode()).hexdigest()


@given(st.binary(min_size=32, max_size=64), st.binary(max_size=31))
@FUZZ
def test_no_text_shows_a_secret_or_a_token(secret: bytes, short: bytes) -> None:
    signing = SigningSecret(value=secret)
    token = mint_token(make_key(0, "x"), signing_secret=signing, settings=SETTINGS)

    assert repr(secret) not in repr(signing)
    assert secret.hex() not in f"{signing!r} {signing.key_id}"
    assert token.value not in f"{token!r} {Token(value=token.value, sha256=token.sha256)}"
    with pytest.raises(ValueError, match="replace it by random bytes") as refused:
        SigningSecret(value=short)
    assert not short or repr(short)[1:] not in str(refused.value)


@pytest.mark.parametrize("name", list(CORPUS))
def test_hostile_token_opens_nothing(name: str) -> None:
    token = CORPUS[name].decode("utf-8", "surrogateescape")
    registry = make_registry([make_key(number, token) for number, token in enumerate(TOKENS)])

    assert not authenticate(token, registry, now=BORN_AT).is_accepted


def test_good_token_is_accepted_so_that_all_this_could_fail() -> None:
    registry = make_registry([make_key(number, token) for number, token in enumerate(TOKENS)])

    assert [authenticate(token, registry, now=BORN_AT).is_accepted for token in TOKENS] == [True, True, True]
