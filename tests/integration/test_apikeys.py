"""From a DiemApiKey to a token that opens the API, with the rights of both processes at a real API server."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from diem_operator.access.tokens import hash_token
from diem_operator.clock import now
from diem_operator.cluster.errors import NotFound
from diem_operator.cluster.resources import Cluster
from diem_operator.metrics import OperatorMetrics
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.metadata import ObjectKey
from diem_operator.reconciler.apikeys import ApiKeyController, KeyWorld
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.signing_secret import obtain_signing_secret
from diem_operator.settings import KeySettings
from tests.integration.api_world import TIMEOUT_SECONDS, ApiWorld, api_world, connected
from tests.integration.identities import API_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE, issue_kubeconfig
from tests.localcluster import LocalCluster

SIGNING_SECRET = ObjectKey(namespace=SYSTEM_NAMESPACE, name="diem-operator-signing")


@dataclass(frozen=True, kw_only=True)
class KeyDesk:
    """A namespace with an API in front of it, and the operator's controller of keys, to be run when wanted."""

    world: ApiWorld
    operator: Cluster

    async def apply(self, **spec: object) -> ObjectKey:
        return await self.world.post_key(name="ci", **spec)

    async def read(self) -> DiemApiKey:
        return await self.world.admin.apikeys.get(ObjectKey(namespace=self.world.namespace, name="ci"))

    async def read_token(self) -> str:
        name = (await self.read()).status.secret_name
        secret = await self.world.admin.secrets.get(ObjectKey(namespace=self.world.namespace, name=name))
        return secret.data["token"].decode()

    async def has_secret(self, key: ObjectKey) -> bool:
        try:
            await self.world.admin.secrets.get(key)
        except NotFound:
            return False
        return True

    @asynccontextmanager
    async def operating(self) -> AsyncIterator[None]:
        """Run the controller; it finds the keys that are there when it starts."""
        obtain = partial(obtain_signing_secret, self.operator.secrets, SIGNING_SECRET, make_bytes=secrets.token_bytes)
        controller = ApiKeyController(
            KeyWorld(
                cluster=self.operator,
                fence=AlwaysLeading(),
                scope=Scope(namespaces=(self.world.namespace,)),
                settings=KeySettings(),
                obtain_signing_secret=obtain,
                now=now,
                metrics=OperatorMetrics(CollectorRegistry()).for_controller("diemapikeys"),
            )
        )
        task = asyncio.create_task(controller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def reach(self, reason: str) -> DiemApiKey:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                apikey = await self.read()
                if [condition.reason for condition in apikey.status.conditions] == [reason]:
                    return apikey
                await asyncio.sleep(0.01)


class AlwaysLeading:
    is_leader = True

    def write_budget_seconds(self) -> float:
        return TIMEOUT_SECONDS


@pytest.fixture(scope="session")
def kubeconfigs(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("identities")
    return {
        account: issue_kubeconfig(cluster, account=account, directory=directory)
        for account in (OPERATOR_ACCOUNT, API_ACCOUNT)
    }


@pytest.fixture
async def desk(cluster: LocalCluster, kubeconfigs: dict[str, Path]) -> AsyncIterator[KeyDesk]:
    async with AsyncExitStack() as stack:
        world = api_world(admin=cluster.admin_kubeconfig, api=kubeconfigs[API_ACCOUNT])
        operator = connected(kubeconfigs[OPERATOR_ACCOUNT])
        yield KeyDesk(world=await stack.enter_async_context(world), operator=await stack.enter_async_context(operator))


async def test_issued_token_opens_the_api(desk: KeyDesk) -> None:
    await desk.world.apply_job()
    await desk.apply()
    async with desk.operating():
        apikey = await desk.reach("Issued")
    token = await desk.read_token()

    await desk.world.reach(200, token=token)
    assert apikey.status.token_sha256 == hash_token(token)
    assert apikey.status.key_id == apikey.metadata.uid
    assert (await desk.world.ask("start", token=token)).message == "job started"
    run = (await desk.world.stored()).spec.run
    assert run is not None
    assert run.requested_by == f"apikey/{apikey.status.key_id}"


async def test_token_is_issued_once(desk: KeyDesk) -> None:
    await desk.apply()
    async with desk.operating():
        first = await desk.reach("Issued")
    token = await desk.read_token()
    async with desk.operating():
        await asyncio.sleep(0.2)  # nothing is to happen, so there is nothing to wait for

    assert await desk.read() == first
    assert await desk.read_token() == token


async def test_operator_that_died_before_recording_the_token_records_it(desk: KeyDesk) -> None:
    key = await desk.apply()
    async with desk.operating():
        first = await desk.reach("Issued")
    patch = {
        "metadata": {"resourceVersion": first.metadata.resource_version},
        "status": dict.fromkeys(["keyId", "secretName", "tokenSHA256", "issuedAt", "conditions"]),
    }
    await desk.world.admin.apikeys.patch_status(key, patch, timeout_seconds=TIMEOUT_SECONDS)
    async with desk.operating():
        second = await desk.reach("Issued")

    assert second.status.token_sha256 == first.status.token_sha256 == hash_token(await desk.read_token())


async def test_secret_goes_away_with_its_key(desk: KeyDesk) -> None:
    key = await desk.apply()
    async with desk.operating():
        apikey = await desk.reach("Issued")
    secret = ObjectKey(namespace=key.namespace, name=apikey.status.secret_name)

    path = f"/apis/diem.io/v1/namespaces/{key.namespace}/diemapikeys/{key.name}"
    await desk.world.admin.server.request("DELETE", path, timeout_seconds=TIMEOUT_SECONDS)

    async with asyncio.timeout(90):  # the garbage collector may take 30 s to notice a new CRD
        while await desk.has_secret(secret):  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.1)


async def test_adopted_token_opens_the_api_without_a_secret(desk: KeyDesk) -> None:
    await desk.world.apply_job()
    token = secrets.token_urlsafe()
    await desk.apply(
        adoptTokenSHA256=hash_token(token),
        expiresAt=f"{datetime.now(UTC).year}-12-31T23:59:59Z",  # noqa: TID251 - any time soon
        compatibility={"missingAction": "start"},
    )
    async with desk.operating():
        apikey = await desk.reach("Adopted")

    await desk.world.reach(200, token=token)
    assert apikey.status.secret_name == ""
    assert (await desk.world.ask(None, token=token)).message == "job started"


async def test_key_for_longer_than_allowed_is_not_ready(desk: KeyDesk) -> None:
    await desk.apply(expiresAt="2999-01-01T00:00:00Z")
    async with desk.operating():
        apikey = await desk.reach("InvalidSpec")

    assert apikey.status.token_sha256 == ""
    assert "365 days after creation" in apikey.status.conditions[0].message


async def test_signing_secret_is_made_once_with_the_operators_rights(desk: KeyDesk) -> None:
    obtain = partial(obtain_signing_secret, desk.operator.secrets, SIGNING_SECRET, make_bytes=secrets.token_bytes)

    first, second = await obtain(), await obtain()

    stored = await desk.world.admin.secrets.get(SIGNING_SECRET)
    assert first.value == second.value == stored.data["key"]
    assert len(base64.b64encode(first.value)) == 44
