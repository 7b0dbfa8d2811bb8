import base64

import pytest

from diem_operator.cluster.errors import AlreadyExists, Forbidden
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.reconciler.signing_secret import UnusableSigningSecret, obtain_signing_secret
from tests.unit.api.fake_cluster import FakeSecrets

KEY = ObjectKey(namespace="diem-system", name="diem-operator-signing")
STORED = bytes(range(40))


def put(secrets: FakeSecrets, data: dict[str, bytes], *, version: str = "1") -> None:
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "resourceVersion": version}
    secrets.manifests[KEY] = {"metadata": metadata, "data": encoded}


def make_bytes(count: int) -> bytes:
    return bytes([7] * count)


async def test_secret_that_exists_is_used_as_it_is() -> None:
    secrets = FakeSecrets()
    put(secrets, {"key": STORED})

    assert (await obtain_signing_secret(secrets, KEY, make_bytes=make_bytes)).value == STORED
    assert secrets.creations == 0


async def test_secret_is_made_once_of_32_random_bytes() -> None:
    secrets = FakeSecrets()

    first = await obtain_signing_secret(secrets, KEY, make_bytes=make_bytes)
    second = await obtain_signing_secret(secrets, KEY, make_bytes=bytes)

    assert first.value == second.value == bytes([7] * 32)
    assert secrets.creations == 1
    assert secrets.manifests[KEY]["immutable"] is True


class Racing(FakeSecrets):
    """Another replica makes the Secret just before we do."""

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> None:
        put(self, {"key": STORED})
        raise AlreadyExists("already exists")


async def test_secret_of_a_faster_replica_is_used() -> None:
    assert (await obtain_signing_secret(Racing(), KEY, make_bytes=make_bytes)).value == STORED


async def test_secret_that_was_left_empty_is_filled_once() -> None:
    secrets = FakeSecrets()
    put(secrets, {})

    first = await obtain_signing_secret(secrets, KEY, make_bytes=make_bytes)
    second = await obtain_signing_secret(secrets, KEY, make_bytes=bytes)

    assert first.value == second.value == bytes([7] * 32)
    assert secrets.creations == 0
    assert "immutable" not in secrets.manifests[KEY]


class RacingToFill(FakeSecrets):
    """Another replica fills the Secret just before we do."""

    async def patch(self, key: ObjectKey, patch: RawObject, *, timeout_seconds: float) -> None:
        put(self, {"key": STORED}, version="2")
        await super().patch(key, patch, timeout_seconds=timeout_seconds)


async def test_secret_that_a_faster_replica_filled_is_used() -> None:
    secrets = RacingToFill()
    put(secrets, {})

    assert (await obtain_signing_secret(secrets, KEY, make_bytes=make_bytes)).value == STORED


@pytest.mark.parametrize(
    ("data", "count"),
    [
        pytest.param({"password": STORED}, 0, id="other entry"),
        pytest.param({"key": bytes(31)}, 31, id="too short"),
    ],
)
async def test_unusable_secret_is_told_and_not_replaced(data: dict[str, bytes], count: int) -> None:
    secrets = FakeSecrets()
    put(secrets, data)

    with pytest.raises(
        UnusableSigningSecret, match=f"diem-operator-signing has {count} bytes under 'key', at least 32"
    ):
        await obtain_signing_secret(secrets, KEY, make_bytes=make_bytes)

    assert secrets.creations == 0


async def test_missing_right_is_an_error_of_the_cluster() -> None:
    secrets = FakeSecrets()
    secrets.failures.append(Forbidden("no"))

    with pytest.raises(Forbidden):
        await obtain_signing_secret(secrets, KEY, make_bytes=make_bytes)
