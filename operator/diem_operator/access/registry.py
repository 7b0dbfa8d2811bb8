"""The registry: which token opens which key, built from DiemApiKeys.

    token ──SHA-256──► entries that claim this hash ──oldest──► revoked? valid? issued? expired? ──► accepted

A token opens exactly the entry whose hash equals its own. Entries are found by the first digits of the hash and then
compared whole, in constant time. What the look-up's own duration discloses are digits of stored hashes, which are no
secret (they stand in the status), and which help nobody to find a text that has such a hash.

Of two claims to one hash the oldest key wins. A minted token is never lost to an adoption, though, not even within the
one second that a creationTimestamp can tell: it was there before anybody could have adopted it.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from hmac import compare_digest

from diem_operator.access.rules import created_at_of, find_claimed_hash, find_expiry, find_spec_fault, is_issued
from diem_operator.access.tokens import hash_token
from diem_operator.model.diemapikey import Action, Compatibility, DiemApiKey
from diem_operator.model.metadata import ObjectKey, Resource
from diem_operator.model.names import REQUESTER_API_KEY_PREFIX, Uid
from diem_operator.settings import KeySettings, Tenant

_INDEXED_DIGITS = 16


class Verdict(StrEnum):
    """What became of a token; for our logs and metrics: callers are told no more than yes or no."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    INVALID = "invalid"
    NOT_ISSUED = "not-issued"
    EXPIRED = "expired"


class KeyEntry(Resource, frozen=True, kw_only=True):
    """What the registry knows of one DiemApiKey that claims a token; `namespaces` begins with its own."""

    key: ObjectKey
    uid: Uid
    created_at: datetime
    token_sha256: str
    is_adopted: bool
    standing: Verdict
    expires_at: datetime | None
    actions: tuple[Action, ...]
    jobs: tuple[str, ...]
    namespaces: tuple[str, ...]
    compatibility: Compatibility

    @property
    def requested_by(self) -> str:
        """How requests made with this key are signed in a DiemJob."""
        return f"{REQUESTER_API_KEY_PREFIX}{self.uid}"

    @property
    def missing_action(self) -> Action:
        """What a body without an action asks for."""
        return self.compatibility.missing_action or Action.STATUS


class Decision(Resource, frozen=True, kw_only=True):
    """The answer to "whose token is this, and is it good": `entry` is set whenever the token is known, good or not."""

    verdict: Verdict
    entry: KeyEntry | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the caller may go on, as the entry's key."""
        return self.verdict is Verdict.ACCEPTED


class KeyRegistry:
    """All DiemApiKeys that claim a token, by its hash."""

    def __init__(self, settings: KeySettings) -> None:
        self._settings = settings
        self._entries: dict[ObjectKey, KeyEntry] = {}
        self._keys_by_digits: defaultdict[str, set[ObjectKey]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, apikey: DiemApiKey) -> None:
        """Take over the present state of a DiemApiKey."""
        self.discard(apikey.key)
        entry = build_entry(apikey, self._settings)
        if entry is not None:
            self._entries[entry.key] = entry
            self._keys_by_digits[entry.token_sha256[:_INDEXED_DIGITS]].add(entry.key)

    def replace(self, apikeys: Iterable[DiemApiKey], *, namespace: str | None = None) -> None:
        """Take over a complete list, of one namespace or of all: forget what is not in it."""
        for key in [key for key in self._entries if namespace in {None, key.namespace}]:
            self.discard(key)
        for apikey in apikeys:
            self.put(apikey)

    def discard(self, key: ObjectKey) -> None:
        """Forget a DiemApiKey, known or not."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        digits = entry.token_sha256[:_INDEXED_DIGITS]
        self._keys_by_digits[digits].discard(key)
        if not self._keys_by_digits[digits]:
            del self._keys_by_digits[digits]

    def find_claims(self, token_sha256: str) -> tuple[KeyEntry, ...]:
        """Return the entries that claim this token, the one it opens first: minted, oldest, lowest uid."""
        keys = self._keys_by_digits.get(token_sha256[:_INDEXED_DIGITS], ())
        candidates = (self._entries[key] for key in keys)
        claims = [entry for entry in candidates if compare_digest(entry.token_sha256, token_sha256)]
        return tuple(sorted(claims, key=lambda entry: (entry.is_adopted, entry.created_at, entry.uid)))


def build_entry(apikey: DiemApiKey, settings: KeySettings) -> KeyEntry | None:
    """Return the key's entry; None where it claims no token."""
    token_sha256 = find_claimed_hash(apikey)
    if token_sha256 is None:
        return None
    namespace = apikey.metadata.namespace
    more = settings.tenants.get(namespace, Tenant()).namespaces
    return KeyEntry(
        key=apikey.key,
        uid=apikey.metadata.uid,
        created_at=created_at_of(apikey),
        token_sha256=token_sha256,
        is_adopted=apikey.spec.adopt_token_sha256 is not None,
        standing=_find_standing(apikey, settings),
        expires_at=find_expiry(apikey, settings),
        actions=apikey.spec.actions,
        jobs=apikey.spec.jobs,
        namespaces=tuple(dict.fromkeys((namespace, *more))),
        compatibility=apikey.spec.compatibility or Compatibility(),
    )


def authenticate(token: str, registry: KeyRegistry, *, now: datetime) -> Decision:
    """Decide whose token this is, and whether it is good at this moment."""
    if not token:
        return Decision(verdict=Verdict.MISSING)
    claims = registry.find_claims(hash_token(token))
    if not claims:
        return Decision(verdict=Verdict.UNKNOWN)
    return Decision(verdict=judge(claims[0], now=now), entry=claims[0])


def judge(entry: KeyEntry, *, now: datetime) -> Verdict:
    """Return the entry's standing at this moment; the moment it expires is no longer within its life."""
    if entry.standing is Verdict.ACCEPTED and entry.expires_at is not None and now >= entry.expires_at:
        return Verdict.EXPIRED
    return entry.standing


def _find_standing(apikey: DiemApiKey, settings: KeySettings) -> Verdict:
    """Judge what time does not change. A DiemApiKey whose deletion is held up by a finalizer is revoked already."""
    if apikey.spec.revoked or apikey.metadata.is_being_deleted:
        return Verdict.REVOKED
    if find_spec_fault(apikey, settings) is not None:
        return Verdict.INVALID
    return Verdict.ACCEPTED if is_issued(apikey) else Verdict.NOT_ISSUED
