"""Keeps the API's two caches up to date, and knows how old their knowledge is."""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

from diem_operator.access.registry import KeyRegistry
from diem_operator.api.cache import JobCache
from diem_operator.cluster.reflector import Reactions, Reflector
from diem_operator.cluster.resources import DiemApiKeys, DiemJobs
from diem_operator.cluster.watch import EventType
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.diemjob import DiemJob

T = TypeVar("T")


class Watch(Generic[T]):
    """The reflectors of one kind of resource: one for the cluster, or one for each namespace that is served."""

    def __init__(self, reflectors: Sequence[Reflector[T]]) -> None:
        self._reflectors = tuple(reflectors)

    @property
    def is_synced(self) -> bool:
        """Whether everything has been listed once."""
        return all(reflector.is_synced for reflector in self._reflectors)

    def is_confirmed(self, *, within_seconds: float) -> bool:
        """Whether the API server has lately proved that nothing is missing."""
        earliest = asyncio.get_running_loop().time() - within_seconds
        confirmed = [reflector.confirmed_at for reflector in self._reflectors]
        return all(moment is not None and moment >= earliest for moment in confirmed)

    async def run(self) -> None:
        """Follow until cancelled; only an error ends it."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._reflectors:
                tasks.create_task(reflector.run())


def watch_diemjobs(diemjobs: DiemJobs, cache: JobCache, *, namespaces: Sequence[str]) -> Watch[DiemJob]:
    """Return the watch that feeds the cache of DiemJobs; no namespaces means all."""

    def reactions(namespace: str | None) -> Reactions[DiemJob]:
        def apply(event_type: EventType, diemjob: DiemJob, resource_version: int) -> None:
            if event_type is EventType.DELETED:
                cache.remove(diemjob.key, resource_version=resource_version)
            else:
                cache.apply(diemjob)

        return Reactions(
            before_list=lambda: cache.expect_list(namespace),
            on_replace=lambda items, version: cache.replace(items, resource_version=version, namespace=namespace),
            on_event=apply,
            on_undecodable=lambda key, version: cache.remove(key, resource_version=version),
        )

    return Watch([Reflector(diemjobs, reactions(each), namespace=each) for each in namespaces or (None,)])


def watch_apikeys(apikeys: DiemApiKeys, registry: KeyRegistry, *, namespaces: Sequence[str]) -> Watch[DiemApiKey]:
    """Return the watch that feeds the registry of keys; no namespaces means all."""

    def reactions(namespace: str | None) -> Reactions[DiemApiKey]:
        def apply(event_type: EventType, apikey: DiemApiKey, _resource_version: int) -> None:
            if event_type is EventType.DELETED:
                registry.discard(apikey.key)
            else:
                registry.put(apikey)

        return Reactions(
            on_replace=lambda items, _version: registry.replace(items, namespace=namespace),
            on_event=apply,
            on_undecodable=lambda key, _version: registry.discard(key),
        )

    return Watch([Reflector(apikeys, reactions(each), namespace=each) for each in namespaces or (None,)])
