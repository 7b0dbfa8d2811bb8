"""The DiemApiKey resource (`diem.io/v1`): one key, what it may do, which token opens it. See crds/diemapikey.yaml."""

from enum import StrEnum

import msgspec

from diem_operator.model.metadata import Condition, Moment, ObjectKey, ObjectMeta, Resource, key_of


class Action(StrEnum):
    """What an HTTP caller may ask of a job."""

    STATUS = "status"
    START = "start"
    STOP = "stop"


class StatusCodes(StrEnum):
    """Which HTTP status codes the key's programs expect; legacy: 200 for unknown jobs, 403 without a key."""

    STANDARD = "standard"
    LEGACY = "legacy"


class Compatibility(Resource, frozen=True, kw_only=True):
    """`spec.compatibility`: how to meet programs written for the old service.

    `missing_action` is what a body without action asks for (status or start); absent means status, except that an
    adopted token must say it.
    """

    missing_action: Action | None = None
    status_codes: StatusCodes = StatusCodes.STANDARD


class DiemApiKeySpec(Resource, frozen=True, kw_only=True):
    """`spec`; `jobs` are names or aliases, each with at most one trailing `*`."""

    name: str = ""
    email: str = ""
    actions: tuple[Action, ...] = ()
    jobs: tuple[str, ...] = ()
    expires_at: Moment | None = None
    revoked: bool = False
    adopt_token_sha256: str | None = msgspec.field(name="adoptTokenSHA256", default=None)
    compatibility: Compatibility | None = None


class DiemApiKeyStatus(Resource, frozen=True, kw_only=True):
    """`status`; the token itself is nowhere but in the Secret."""

    observed_generation: int = 0
    key_id: str = ""
    secret_name: str = ""
    token_sha256: str = msgspec.field(name="tokenSHA256", default="")
    issued_at: Moment | None = None
    conditions: tuple[Condition, ...] = ()


class DiemApiKey(Resource, frozen=True, kw_only=True):
    """A DiemApiKey as read from the API server."""

    metadata: ObjectMeta
    spec: DiemApiKeySpec = DiemApiKeySpec()
    status: DiemApiKeyStatus = DiemApiKeyStatus()

    @property
    def key(self) -> ObjectKey:
        """The namespace and name of this DiemApiKey."""
        return key_of(self.metadata)
