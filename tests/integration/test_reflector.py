"""A reflector knows what the real API server has, whatever happens to the wire and to the server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials
from diem_operator.cluster.kubeconfig import from_kubeconfig
from diem_operator.cluster.reflector import Reactions, Reflector, ReflectorTiming
from diem_operator.cluster.resources import Cluster
from diem_operator.cluster.watch import EventType
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey
from tests.integration.manifests import make_diemjob, with_field
from tests.integration.namespaced import Namespaced
from tests.integration.tcp_relay import TcpRelay, relay_to
from tests.localcluster import LocalCluster

TIMING = ReflectorTiming(first_pause_seconds=0.05, most_pause_seconds=0.5, inactivity_seconds=8)


@dataclass
class Mirror:
    """What the reflector told, as a cache would keep it."""

    states: dict[str, str | None] = field(default_factory=dict)
    replacements: int = 0

    def on_replace(self, items: tuple[DiemJob, ...], resource_version: int) -> None:
        self.replacements += 1
        self.states = {item.metadata.name: item.spec.state for item in items}

    def on_event(self, event_type: EventType, item: DiemJob, resource_version: int) -> None:
        self.states[item.metadata.name] = item.spec.state
        if event_type is EventType.DELETED:
            del self.states[item.metadata.name]

    def on_undecodable(self, key: ObjectKey, resource_version: int) -> None:
        del self.states[key.name]


@dataclass
class Following:
    reflector: Reflector[DiemJob]
    mirror: Mirror
    relay: TcpRelay

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():  # noqa: ASYNC110 - a test polls what the code under test knows nothing of
                await asyncio.sleep(0.02)

    async def until_states(self, **states: str | None) -> None:
        await self.until(lambda: self.mirror.states == states)


@pytest.fixture
def credentials(cluster: LocalCluster) -> Credentials:
    return from_kubeconfig(environ={"KUBECONFIG": str(cluster.admin_kubeconfig)})


@pytest.fixture
async def following(credentials: Credentials, here: Namespaced) -> AsyncIterator[Following]:
    async for following in follow(credentials, here.name):
        yield following


async def follow(credentials: Credentials, namespace: str) -> AsyncIterator[Following]:
    port = urlsplit(credentials.server).port
    assert port is not None
    async with relay_to(port) as relay:
        server = ApiServer(replace(credentials, server=f"https://127.0.0.1:{relay.port}"))
        mirror = Mirror()
        reactions = Reactions(
            on_replace=mirror.on_replace, on_event=mirror.on_event, on_undecodable=mirror.on_undecodable
        )
        reflector = Reflector(Cluster(server).diemjobs, reactions, namespace=namespace, timing=TIMING)
        task = asyncio.create_task(reflector.run())
        async with asyncio.timeout(20):
            await reflector.wait_until_synced()
        yield Following(reflector, mirror, relay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.close()


def put(here: Namespaced, name: str, state: str) -> None:
    here.apply(with_field(make_diemjob(state=state), ("metadata", "name"), name))


async def test_changes_are_told_as_they_happen(here: Namespaced, following: Following) -> None:
    put(here, "one", "stopped")
    await following.until_states(one="stopped")
    put(here, "one", "running")
    put(here, "two", "stopped")
    await following.until_states(one="running", two="stopped")
    here.kubectl("delete", "diemjob", "one")
    await following.until_states(two="stopped")
    assert following.mirror.replacements == 1


async def test_changes_behind_a_cut_wire_are_told_by_a_new_list(here: Namespaced, following: Following) -> None:
    for name in ("one", "two"):
        put(here, name, "stopped")
    await following.until_states(one="stopped", two="stopped")
    following.relay.cut()
    put(here, "three", "running")
    here.kubectl("delete", "diemjob", "one")
    following.relay.mend()
    await following.until_states(two="stopped", three="running")
    assert following.mirror.replacements == 2


async def test_changes_behind_a_wire_that_went_silent_are_told(here: Namespaced, following: Following) -> None:
    put(here, "one", "stopped")
    await following.until_states(one="stopped")
    following.relay.mute()
    confirmed_at = following.reflector.confirmed_at
    here.kubectl("delete", "diemjob", "one")
    assert following.reflector.confirmed_at == confirmed_at
    await following.until_states()


async def test_past_that_the_server_forgot_is_made_good_by_a_new_list(
    here: Namespaced, following: Following, cluster: LocalCluster
) -> None:
    for name in ("one", "two"):
        put(here, name, "stopped")
    await following.until_states(one="stopped", two="stopped")
    following.relay.cut()
    put(here, "three", "running")
    here.kubectl("delete", "diemjob", "one")
    cluster.apiserver.kill()
    cluster.apiserver.start()
    following.relay.mend()
    await following.until_states(two="stopped", three="running")
    assert following.mirror.replacements == 2


async def test_revoked_rights_end_the_confirmation_and_given_ones_bring_it_back(
    here: Namespaced, cluster: LocalCluster, tmp_path: Path
) -> None:
    here.kubectl("create", "serviceaccount", "api")
    here.kubectl("create", "role", "api", "--verb=get,list,watch", "--resource=diemjobs.diem.io")
    bind = ("create", "rolebinding", "api", "--role=api", f"--serviceaccount={here.name}:api")
    here.kubectl(*bind)
    path = cluster.service_account_kubeconfig(namespace=here.name, name="api", directory=tmp_path)
    async for following in follow(from_kubeconfig(environ={"KUBECONFIG": str(path)}), here.name):
        here.kubectl("delete", "rolebinding", "api")
        following.relay.cut()
        following.relay.mend()
        await asyncio.sleep(1)
        confirmed_at = following.reflector.confirmed_at
        put(here, "one", "stopped")
        await asyncio.sleep(1)
        assert following.reflector.confirmed_at == confirmed_at
        assert following.mirror.states == {}
        here.kubectl(*bind)
        await following.until_states(one="stopped")
        assert following.reflector.confirmed_at != confirmed_at
