"""Tokens: how one is made for a DiemApiKey, and the hash by which it is known ever after.

A token is a function of the DiemApiKey, the signing secret and the settings, so that making it twice makes it once: the
operator may only create Secrets, never read them. Nothing here verifies a signature, and nothing should: the registry
knows a token by its hash, and believes none of its claims.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import jwt

from diem_operator.access.rules import created_at_of, find_expiry
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.settings import KeySettings, Tenant

MIN_SIGNING_SECRET_BYTES: Final = 32
"""RFC 7518, section 3.2: an HS256 key is at least as long as its hash."""

_ALGORITHM: Final = "HS256"
_KEY_ID_LABEL: Final = b"diem-operator signing key\0"
_KEY_ID_LENGTH: Final = 16


@dataclass(frozen=True, kw_only=True)
class SigningSecret:
    """What tokens are signed with; its text never shows the bytes.

    Raises:
        ValueError: it is shorter than 32 bytes.
    """

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.value) < MIN_SIGNING_SECRET_BYTES:
            raise ValueError(
                f"the signing secret has {len(self.value)} bytes, at least {MIN_SIGNING_SECRET_BYTES} are needed: "
                "replace it by random bytes"
            )

    @property
    def key_id(self) -> str:
        """The `kid` of tokens signed with this secret; tells secrets apart and discloses nothing of them."""
        return hashlib.sha256(_KEY_ID_LABEL + self.value).hexdigest()[:_KEY_ID_LENGTH]


@dataclass(frozen=True, kw_only=True)
class Token:
    """A minted token; its text shows the hash only."""

    value: str = field(repr=False)
    sha256: str


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token in lower-case hex; any text has one, also what HTTP could not decode."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def mint_token(apikey: DiemApiKey, *, signing_secret: SigningSecret, settings: KeySettings) -> Token:
    """Make the token of this DiemApiKey."""
    value = jwt.encode(
        build_claims(apikey, settings),
        signing_secret.value,
        algorithm=_ALGORITHM,
        headers={"kid": signing_secret.key_id},
    )
    return Token(value=value, sha256=hash_token(value))


def build_claims(apikey: DiemApiKey, settings: KeySettings) -> dict[str, Any]:
    """Return the claims, in the old service's order; programs may show them, we never read them."""
    namespace = apikey.metadata.namespace
    org = settings.tenants.get(namespace, Tenant()).org or namespace
    claims = {
        "email": apikey.spec.email,
        "name": apikey.spec.name or apikey.metadata.name,
        "id": apikey.metadata.uid,
        "org": org,
        "blueGroups": ["all"],
        "uid": org,
        "iat": _numeric_date(created_at_of(apikey)),
    }
    expires_at = find_expiry(apikey, settings)
    return claims if expires_at is None else claims | {"exp": _numeric_date(expires_at)}


def _numeric_date(moment: datetime) -> int:
    """Whole seconds since 1970 (RFC 7519, NumericDate)."""
    return int(moment.timestamp())
