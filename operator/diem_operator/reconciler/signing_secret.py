"""The secret that tokens are signed with: one Secret beside the operator, filled once with random bytes.

Whoever installs the operator may have made the Secret and left it empty, so that it goes when the installation goes.
Such a Secret is not made immutable: a tool that replaces objects whole, like `helm upgrade --force`, would then fail.

Losing it harms no caller: tokens are known by their hashes, not by their signatures. It never leaves this process.
"""

import base64
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from diem_operator.access.tokens import MIN_SIGNING_SECRET_BYTES, SigningSecret
from diem_operator.cluster.errors import AlreadyExists, Conflict, NotFound
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.model.names import LABEL_MANAGED_BY, MANAGED_BY
from diem_operator.model.secret import Secret

ENTRY: Final = "key"
"""The entry of the Secret that holds the bytes."""

WRITE_TIMEOUT_SECONDS: Final = 10.0


class UnusableSigningSecret(Exception):  # noqa: N818 - says what is there
    """The Secret exists, but tokens cannot be signed with what is in it."""


class SecretAccess(Protocol):
    """The Secrets of a cluster (`Cluster.secrets`)."""

    async def get(self, key: ObjectKey) -> Secret:
        """Return a Secret."""

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> None:
        """Create a Secret, or raise AlreadyExists."""

    async def patch(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> None:
        """Merge a patch into a Secret, or raise Conflict."""


async def obtain_signing_secret(
    secrets: SecretAccess, key: ObjectKey, *, make_bytes: Callable[[int], bytes]
) -> SigningSecret:
    """Return what is in the Secret of this name; make it first if there is none, and fill it if it is empty.

    Args:
        secrets: the cluster's.
        key: of the Secret, in the operator's namespace.
        make_bytes: gives so many random bytes, fit for cryptography.

    Raises:
        UnusableSigningSecret: it has no such entry, or too few bytes there.
        ClusterError: it can be neither read nor written.
    """
    try:
        secret = await secrets.get(key)
    except NotFound:
        manifest = _build_manifest(key, make_bytes(MIN_SIGNING_SECRET_BYTES))
        with suppress(AlreadyExists):
            await secrets.create(key.namespace, manifest, timeout_seconds=WRITE_TIMEOUT_SECONDS)
    else:
        if secret.data:
            return _read(secret)
        patch = _build_filling(secret, make_bytes(MIN_SIGNING_SECRET_BYTES))
        with suppress(Conflict):
            await secrets.patch(key, patch, timeout_seconds=WRITE_TIMEOUT_SECONDS)
    # Read back in any case: another replica may have been faster, and what is stored counts.
    return _read(await secrets.get(key))


def _read(secret: Secret) -> SigningSecret:
    value = secret.data.get(ENTRY, b"")
    if len(value) < MIN_SIGNING_SECRET_BYTES:
        raise UnusableSigningSecret(
            f"Secret {secret.metadata.namespace}/{secret.metadata.name} has {len(value)} bytes under {ENTRY!r}, at "
            f"least {MIN_SIGNING_SECRET_BYTES} are needed: put random bytes there, or delete it to have it made anew"
        )
    return SigningSecret(value=value)


def _build_filling(secret: Secret, value: bytes) -> RawObject:
    return {"metadata": {"resourceVersion": secret.metadata.resource_version}, "data": _build_data(value)}


def _build_data(value: bytes) -> dict[str, str]:
    return {ENTRY: base64.b64encode(value).decode()}


def _build_manifest(key: ObjectKey, value: bytes) -> RawObject:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": key.name, "namespace": key.namespace, "labels": {LABEL_MANAGED_BY: MANAGED_BY}},
        "type": "Opaque",
        "immutable": True,
        "data": _build_data(value),
    }
