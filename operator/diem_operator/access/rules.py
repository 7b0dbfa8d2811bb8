"""What makes a DiemApiKey valid, from its own fields alone; the operator and the API ask the same questions."""

import re
from datetime import datetime, timedelta

from diem_operator.model.diemapikey import Action, DiemApiKey, DiemApiKeySpec
from diem_operator.settings import DAY_SECONDS, KeySettings

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")


def created_at_of(apikey: DiemApiKey) -> datetime:
    """Return when the DiemApiKey was created.

    Raises:
        ValueError: the object was never stored, so it has no such time.
    """
    if apikey.metadata.creation_timestamp is None:
        raise ValueError(f"DiemApiKey {apikey.key} has no creationTimestamp: only stored objects can be judged")
    return apikey.metadata.creation_timestamp


def find_expiry(apikey: DiemApiKey, settings: KeySettings) -> datetime | None:
    """Return when the key ends: `expiresAt`, or at the end of the longest life that is allowed; None for never."""
    if apikey.spec.expires_at is not None:
        return apikey.spec.expires_at
    return _find_latest_expiry(apikey, settings)


def find_spec_fault(apikey: DiemApiKey, settings: KeySettings) -> str | None:
    """Return what is wrong with the spec and what to do about it, in one sentence; None where nothing is.

    The CRD's schema refuses most of this already; these rules hold wherever it is older or was bypassed.
    """
    spec = apikey.spec
    latest = _find_latest_expiry(apikey, settings)
    if latest is not None and spec.expires_at is not None and spec.expires_at > latest:
        days = settings.max_lifetime_seconds // DAY_SECONDS
        return f"spec.expiresAt is later than {latest:%Y-%m-%dT%H:%M:%SZ}, {days} days after creation: set it earlier"
    for pattern in spec.jobs:
        if "*" in pattern[:-1]:
            return f"spec.jobs: {pattern!r} has a * that is not its last character: only a trailing * is understood"
    return _find_adoption_fault(spec)


def _find_adoption_fault(spec: DiemApiKeySpec) -> str | None:
    if spec.adopt_token_sha256 is None:
        return None
    if not _SHA256_HEX.fullmatch(spec.adopt_token_sha256):
        return "spec.adoptTokenSHA256 is no SHA-256: write it as 64 lower-case hexadecimal digits"
    if spec.expires_at is None:
        return "spec.adoptTokenSHA256 needs spec.expiresAt: say when the old token is to stop working"
    if spec.compatibility is None or spec.compatibility.missing_action not in {Action.STATUS, Action.START}:
        return "spec.adoptTokenSHA256 needs spec.compatibility.missingAction: say status or start"
    return None


def is_issued(apikey: DiemApiKey) -> bool:
    """Whether the status records a token for this very object and for what its spec says now.

    A status that came back from a backup names another uid. An adopted token has no Secret, a minted one has.
    """
    status, adopted = apikey.status, apikey.spec.adopt_token_sha256
    if not status.token_sha256 or status.key_id != apikey.metadata.uid:
        return False
    return bool(status.secret_name) if adopted is None else status.token_sha256 == adopted


def find_claimed_hash(apikey: DiemApiKey) -> str | None:
    """Return the hash of the one token that could open this key; None while there is none.

    The claim is independent of validity: a revoked key still keeps a younger one from being opened by its token.
    """
    if apikey.spec.adopt_token_sha256 is not None:
        return apikey.spec.adopt_token_sha256
    return apikey.status.token_sha256 if is_issued(apikey) else None


def _find_latest_expiry(apikey: DiemApiKey, settings: KeySettings) -> datetime | None:
    """Counted from creation, not from now, so that editing a key cannot keep it alive for ever."""
    if not settings.max_lifetime_seconds:
        return None
    return created_at_of(apikey) + timedelta(seconds=settings.max_lifetime_seconds)
