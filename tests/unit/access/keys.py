"""Builders of DiemApiKeys, of DiemJobs that they open, and of what decisions about them rest on."""

from datetime import UTC, datetime

import msgspec

from diem_operator.access.plan import KeyContext
from diem_operator.access.registry import KeyRegistry
from diem_operator.access.tokens import SigningSecret, hash_token
from diem_operator.model.diemapikey import Action, Compatibility, DiemApiKey, DiemApiKeySpec, DiemApiKeyStatus
from diem_operator.model.diemjob import DiemJob, DiemJobSpec, JobTemplate
from diem_operator.model.metadata import ObjectMeta
from diem_operator.model.names import Uid
from diem_operator.settings import KeySettings

CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
OLD_TOKEN = "a text that stands for a token of the old service"
OLD_TOKEN_SHA256 = hash_token(OLD_TOKEN)


class KeyBuilder:
    """Builds a DiemApiKey step by step: `make_key().named("ci").issued("text").build()`."""

    def __init__(self) -> None:
        self._metadata = ObjectMeta(
            name="ci",
            namespace="team-a",
            uid=Uid("uid-1"),
            resource_version="1",
            generation=3,
            creation_timestamp=CREATED_AT,
        )
        self._spec = DiemApiKeySpec(actions=tuple(Action), jobs=("*",))
        self._status = DiemApiKeyStatus()

    def named(self, name: str, *, namespace: str = "team-a", uid: str = "uid-1") -> "KeyBuilder":
        return self.with_metadata(name=name, namespace=namespace, uid=Uid(uid))

    def with_metadata(self, **changes: object) -> "KeyBuilder":
        self._metadata = msgspec.structs.replace(self._metadata, **changes)
        return self

    def with_spec(self, **changes: object) -> "KeyBuilder":
        self._spec = msgspec.structs.replace(self._spec, **changes)
        return self

    def with_status(self, status: DiemApiKeyStatus) -> "KeyBuilder":
        self._status = status
        return self

    def issued(self, token: str) -> "KeyBuilder":
        return self.with_status(
            DiemApiKeyStatus(
                key_id=self._metadata.uid,
                secret_name="ci-12345678",
                token_sha256=hash_token(token),
                issued_at=CREATED_AT,
            )
        )

    def adopting(self, token_sha256: str = OLD_TOKEN_SHA256) -> "KeyBuilder":
        return self.with_spec(
            adopt_token_sha256=token_sha256,
            expires_at=datetime(2026, 12, 31, tzinfo=UTC),
            compatibility=Compatibility(missing_action=Action.START),
        )

    def adopted(self) -> "KeyBuilder":
        self.adopting()
        return self.with_status(DiemApiKeyStatus(key_id=self._metadata.uid, token_sha256=OLD_TOKEN_SHA256))

    def build(self) -> DiemApiKey:
        return DiemApiKey(metadata=self._metadata, spec=self._spec, status=self._status)


def make_key() -> KeyBuilder:
    return KeyBuilder()


def make_diemjob(name: str, *, namespace: str = "team-a", aliases: tuple[str, ...] = ()) -> DiemJob:
    return DiemJob(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=DiemJobSpec(job_template=JobTemplate(), aliases=aliases),
    )


def make_registry(*keys: DiemApiKey, settings: KeySettings | None = None) -> KeyRegistry:
    registry = KeyRegistry(settings or KeySettings())
    for key in keys:
        registry.put(key)
    return registry


def make_context(*keys: DiemApiKey, settings: KeySettings | None = None) -> KeyContext:
    """Return a context whose registry holds these keys."""
    settings = settings or KeySettings()
    return KeyContext(
        settings=settings, signing_secret=make_signing_secret(), registry=make_registry(*keys, settings=settings)
    )


def make_signing_secret(first_byte: int = 0) -> SigningSecret:
    return SigningSecret(value=bytes(range(first_byte, first_byte + 32)))
