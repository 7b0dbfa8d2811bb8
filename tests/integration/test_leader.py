"""Electors on a real API server: one leader, replaced in time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.kubeconfig import from_kubeconfig
from diem_operator.cluster.resources import Cluster
from diem_operator.model.metadata import ObjectKey
from diem_operator.reconciler.leader import LeaderElector
from diem_operator.reconciler.leadership import NotLeader
from tests.integration.namespaced import Namespaced
from tests.localcluster import LocalCluster

MakeReplica = Callable[[str], "Replica"]


@dataclass
class Replica:
    name: str
    resources: Cluster
    namespace: str
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        key = ObjectKey(namespace=self.namespace, name="diem-operator")
        self.elector = LeaderElector(self.resources.leases, key, identity=self.name)
        self.task = asyncio.create_task(self.elector.run(self.on_started, self.on_stopped))

    async def on_started(self) -> None:
        self.log.append("started")

    async def on_stopped(self) -> None:
        self.log.append("stopped")

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def kill(self) -> None:
        """End without being able to say so to anybody, as SIGKILL does."""
        await self.resources.close()
        await self.end()

    async def seconds_until_leading(self) -> float:
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(20):
            while not self.elector.is_leader:  # noqa: ASYNC110 - a test polls what the elector need not tell
                await asyncio.sleep(0.01)
        return asyncio.get_running_loop().time() - began


@pytest.fixture
async def make_replica(cluster: LocalCluster, namespace: str) -> AsyncIterator[MakeReplica]:
    replicas: list[Replica] = []

    def make(name: str) -> Replica:
        credentials = from_kubeconfig(environ={"KUBECONFIG": str(cluster.admin_kubeconfig)})
        replicas.append(Replica(name, Cluster(ApiServer(credentials)), namespace))
        return replicas[-1]

    yield make
    for replica in replicas:
        await replica.end()
        await replica.resources.close()


async def wait_for_log(replica: Replica, *log: str) -> None:
    async with asyncio.timeout(10):
        while replica.log != list(log):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


async def read_lease(here: Namespaced) -> dict[str, object]:
    printed = await asyncio.to_thread(here.kubectl, "get", "lease", "diem-operator", "--output=json")
    return dict(json.loads(printed)["spec"])


async def test_of_replicas_that_start_at_once_one_leads(make_replica: MakeReplica, here: Namespaced) -> None:
    replicas = [make_replica(name) for name in "abcde"]
    await asyncio.sleep(4)
    leaders = [replica.name for replica in replicas if replica.elector.is_leader]
    assert len(leaders) == 1
    assert sum(len(replica.log) for replica in replicas) == 1
    lease = await read_lease(here)
    assert (lease["holderIdentity"], lease.get("leaseTransitions", 0)) == (leaders[0], 0)


async def test_killed_leader_is_replaced_within_eight_seconds(make_replica: MakeReplica, here: Namespaced) -> None:
    leader = make_replica("a")
    await leader.seconds_until_leading()
    standby = make_replica("b")
    await asyncio.sleep(2)
    await leader.kill()
    assert await standby.seconds_until_leading() < 8
    lease = await read_lease(here)
    assert (lease["holderIdentity"], lease["leaseTransitions"]) == ("b", 1)


async def test_leader_that_ends_in_order_is_replaced_within_a_second(make_replica: MakeReplica) -> None:
    leader = make_replica("a")
    await leader.seconds_until_leading()
    standby = make_replica("b")
    await asyncio.sleep(2)
    await leader.end()
    assert leader.log == ["started", "stopped"]
    assert await standby.seconds_until_leading() < 1


async def test_leader_without_an_api_server_stops_writing_and_leads_again_later(
    make_replica: MakeReplica, cluster: LocalCluster
) -> None:
    leader = make_replica("a")
    await leader.seconds_until_leading()
    cluster.apiserver.pause()
    try:
        await wait_for_log(leader, "started", "stopped")
        with pytest.raises(NotLeader):
            leader.elector.write_budget_seconds()
    finally:
        cluster.apiserver.resume()
    await wait_for_log(leader, "started", "stopped", "started")


async def test_lease_taken_by_hand_ends_the_leading(make_replica: MakeReplica, here: Namespaced) -> None:
    leader = make_replica("a")
    await leader.seconds_until_leading()
    patch = json.dumps({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}})
    await asyncio.to_thread(here.kubectl, "patch", "lease", "diem-operator", "--type=merge", "--patch", patch)
    await wait_for_log(leader, "started", "stopped")
    await asyncio.sleep(1)
    assert not leader.elector.is_leader
