"""What the operator does for one DiemApiKey: the Secret to create, if any, and the status to have.

The first that holds decides:

    being deleted                                           nothing
    InvalidSpec · Revoked · Expired · DuplicateToken        not Ready; a token on record is kept, none is made
    adoptTokenSHA256                                        Adopted: its hash is recorded, there is no Secret
    a token on record                                       Issued: never a second one for the same object
    else                                                    mint, create the Secret, then Issued

The token on record stays although a new `spec.name` or signing secret would now mint another: callers hold it, and its
claims are not what it is judged by. Who wants a new token makes a new DiemApiKey. A Secret deleted by hand stays
deleted: that is good practice once the token has been handed over.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from diem_operator.access.registry import KeyRegistry
from diem_operator.access.rules import find_claimed_hash, find_expiry, find_spec_fault, is_issued
from diem_operator.access.secret import SecretDraft, draft_secret
from diem_operator.access.tokens import SigningSecret, mint_token
from diem_operator.model import reasons
from diem_operator.model.diemapikey import DiemApiKey, DiemApiKeyStatus
from diem_operator.model.metadata import Condition
from diem_operator.settings import KeySettings

READY = "Ready"


@dataclass(frozen=True, kw_only=True)
class KeyPlan:
    """First create the Secret, where there is one; then write the status, where it is not that already.

    Attributes:
        check_again_at: when time alone makes another plan of this one; None for never.
    """

    status: DiemApiKeyStatus
    secret: SecretDraft | None = None
    check_again_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class KeyContext:
    """What a plan rests on beside the DiemApiKey itself; the registry holds all of them."""

    settings: KeySettings
    signing_secret: SigningSecret
    registry: KeyRegistry


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What the Ready condition says, and the token that is on record from now on."""

    is_ready: bool
    reason: str
    message: str
    record: DiemApiKeyStatus
    secret: SecretDraft | None = None


def plan_key(apikey: DiemApiKey, context: KeyContext, *, now: datetime) -> KeyPlan:
    """Decide what to do for this DiemApiKey at this moment."""
    if apikey.metadata.is_being_deleted:
        return KeyPlan(status=apikey.status)
    moment = now.replace(microsecond=0)  # what metav1.Time can hold, so that a written status compares equal
    outcome = _find_refusal(apikey, context, now=moment) or _issue(apikey, context, now=moment)
    expires_at = find_expiry(apikey, context.settings)
    return KeyPlan(
        status=_build_status(apikey, outcome, now=moment),
        secret=outcome.secret,
        check_again_at=expires_at if expires_at is not None and expires_at > moment else None,
    )


def _find_refusal(apikey: DiemApiKey, context: KeyContext, *, now: datetime) -> _Outcome | None:
    fault = find_spec_fault(apikey, context.settings)
    if fault is not None:
        return _refuse(apikey, reasons.KEY_INVALID, fault)
    if apikey.spec.revoked:
        return _refuse(apikey, reasons.KEY_REVOKED, "spec.revoked is true: the token opens nothing")
    expires_at = find_expiry(apikey, context.settings)
    if expires_at is not None and now >= expires_at:
        ended_at = expires_at.isoformat().replace("+00:00", "Z")
        message = f"expired at {ended_at}: the token opens nothing; make a new DiemApiKey"
        return _refuse(apikey, reasons.KEY_EXPIRED, message)
    if _is_duplicate(apikey, context.registry):
        # The other is not named: it may be in somebody else's namespace.
        message = "an older DiemApiKey has the same token, which therefore opens that one: delete one of the two"
        return _refuse(apikey, reasons.KEY_DUPLICATE, message)
    return None


def _is_duplicate(apikey: DiemApiKey, registry: KeyRegistry) -> bool:
    token_sha256 = find_claimed_hash(apikey)
    claims = () if token_sha256 is None else registry.find_claims(token_sha256)
    return bool(claims) and claims[0].uid != apikey.metadata.uid


def _refuse(apikey: DiemApiKey, reason: str, message: str) -> _Outcome:
    """Keep the token on record, so that the key is as it was once the reason is gone; but not another object's."""
    is_own = apikey.status.key_id == apikey.metadata.uid
    record = apikey.status if is_own else DiemApiKeyStatus(key_id=apikey.metadata.uid)
    return _Outcome(is_ready=False, reason=reason, message=message, record=record)


def _issue(apikey: DiemApiKey, context: KeyContext, *, now: datetime) -> _Outcome:
    if apikey.spec.adopt_token_sha256 is not None:
        return _adopt(apikey, apikey.spec.adopt_token_sha256)
    if is_issued(apikey):
        return _issued(apikey.status)
    token = mint_token(apikey, signing_secret=context.signing_secret, settings=context.settings)
    draft = draft_secret(apikey, token)
    record = DiemApiKeyStatus(
        key_id=apikey.metadata.uid, secret_name=draft.name, token_sha256=token.sha256, issued_at=now
    )
    return _issued(record, secret=draft)


def _adopt(apikey: DiemApiKey, token_sha256: str) -> _Outcome:
    return _Outcome(
        is_ready=True,
        reason=reasons.KEY_ADOPTED,
        message="a token issued elsewhere opens this key; there is no Secret",
        record=DiemApiKeyStatus(key_id=apikey.metadata.uid, token_sha256=token_sha256),
    )


def _issued(record: DiemApiKeyStatus, *, secret: SecretDraft | None = None) -> _Outcome:
    message = f"the token is in Secret {record.secret_name!r}"
    return _Outcome(is_ready=True, reason=reasons.KEY_ISSUED, message=message, record=record, secret=secret)


def _build_status(apikey: DiemApiKey, outcome: _Outcome, *, now: datetime) -> DiemApiKeyStatus:
    ready = Condition(
        type=READY,
        status="True" if outcome.is_ready else "False",
        reason=outcome.reason,
        message=outcome.message,
        last_transition_time=now,
        observed_generation=apikey.metadata.generation,
    )
    for old in apikey.status.conditions:
        if old.type == READY and old.status == ready.status:
            ready = msgspec.structs.replace(ready, last_transition_time=old.last_transition_time)
    return msgspec.structs.replace(outcome.record, observed_generation=apikey.metadata.generation, conditions=(ready,))
