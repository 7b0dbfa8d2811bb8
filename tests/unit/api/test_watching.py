import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from diem_operator.access.permissions import Reference
from diem_operator.access.registry import KeyRegistry
from diem_operator.access.tokens import hash_token
from diem_operator.api.cache import JobCache
from diem_operator.api.watching import watch_apikeys, watch_diemjobs
from diem_operator.cluster.reflector import Watch
from diem_operator.cluster.watch import EventType, Undecodable
from diem_operator.settings import KeySettings
from tests.unit.api.fake_cluster import FakeCluster
from tests.unit.api.objects import NIGHTLY, make_apikey, make_diemjob

TOKEN = "a text that stands for a token"


@asynccontextmanager
async def running(watch: Watch[Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(5):
            while not watch.is_synced:  # noqa: ASYNC110 - it is a poll
                await asyncio.sleep(0)
        await settle()
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def is_cached(cache: JobCache) -> bool:
    return bool(cache.find(Reference(namespace="team-a", text="nightly")))


async def test_diemjobs_that_exist_and_come_and_go_are_known() -> None:
    cluster, cache = FakeCluster(), JobCache()
    cluster.diemjobs.store(make_diemjob("existing"))
    watch = watch_diemjobs(cast("Any", cluster.diemjobs), cache, namespaces=())
    assert not watch.is_synced

    async with running(watch):
        assert len(cache) == 1
        cluster.diemjobs.store(make_diemjob())
        await settle()
        assert is_cached(cache)
        cluster.diemjobs.remove(NIGHTLY)
        await settle()
        assert not is_cached(cache)


async def test_diemjob_that_cannot_be_understood_is_forgotten() -> None:
    cluster, cache = FakeCluster(), JobCache()
    cluster.diemjobs.store(make_diemjob())

    async with running(watch_diemjobs(cast("Any", cluster.diemjobs), cache, namespaces=())):
        cluster.diemjobs.tell(
            Undecodable(type=EventType.MODIFIED, key=NIGHTLY, resource_version=999, problem="spec.state")
        )
        await settle()
        assert not is_cached(cache)


async def test_only_the_served_namespaces_are_watched() -> None:
    cluster, cache = FakeCluster(), JobCache()
    for namespace in ("team-a", "team-b", "team-c"):
        cluster.diemjobs.store(make_diemjob(namespace=namespace))

    async with running(watch_diemjobs(cast("Any", cluster.diemjobs), cache, namespaces=("team-a", "team-b"))):
        assert len(cache) == 2


async def test_keys_that_exist_and_come_and_go_are_known() -> None:
    cluster, registry = FakeCluster(), KeyRegistry(KeySettings())
    apikey = cluster.apikeys.store(make_apikey(TOKEN))

    async with running(watch_apikeys(cast("Any", cluster.apikeys), registry, namespaces=())):
        assert registry.find_claims(hash_token(TOKEN))
        cluster.apikeys.remove(apikey.key)
        await settle()
        assert not registry.find_claims(hash_token(TOKEN))
        cluster.apikeys.store(make_apikey(TOKEN))
        await settle()
        assert registry.find_claims(hash_token(TOKEN))


async def test_key_that_cannot_be_understood_opens_nothing() -> None:
    cluster, registry = FakeCluster(), KeyRegistry(KeySettings())
    apikey = cluster.apikeys.store(make_apikey(TOKEN))

    async with running(watch_apikeys(cast("Any", cluster.apikeys), registry, namespaces=())):
        cluster.apikeys.tell(
            Undecodable(type=EventType.MODIFIED, key=apikey.key, resource_version=999, problem="spec.actions")
        )
        await settle()
        assert not registry.find_claims(hash_token(TOKEN))


async def test_keys_of_several_namespaces_do_not_replace_each_other() -> None:
    cluster, registry = FakeCluster(), KeyRegistry(KeySettings())
    cluster.apikeys.store(make_apikey("a", namespace="team-a"))
    cluster.apikeys.store(make_apikey("b", namespace="team-b"))

    async with running(watch_apikeys(cast("Any", cluster.apikeys), registry, namespaces=("team-a", "team-b"))):
        assert len(registry) == 2


async def test_knowledge_is_confirmed_for_a_while() -> None:
    cluster = FakeCluster()
    watch = watch_apikeys(cast("Any", cluster.apikeys), KeyRegistry(KeySettings()), namespaces=())
    assert not watch.is_confirmed(within_seconds=60)

    async with running(watch):
        assert watch.is_confirmed(within_seconds=60)
        await asyncio.sleep(0.02)
        assert not watch.is_confirmed(within_seconds=0.01)
