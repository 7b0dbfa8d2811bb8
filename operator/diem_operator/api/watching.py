"""Keeps the API's two caches up to date."""

from collections.abc import Sequence

from diem_operator.access.registry import KeyRegistry
from diem_operator.api.cache import JobCache
from diem_operator.cluster.reflector import Reactions, Reflector, ReflectorTiming, Watch
from diem_operator.cluster.resources import DiemApiKeys, DiemJobs
from diem_operator.cluster.watch import EventType
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.diemjob import DiemJob
from diem_operator.settings import RESYNC_SECONDS


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


def watch_apikeys(
    apikeys: DiemApiKeys, registry: KeyRegistry, *, namespaces: Sequence[str], relist_seconds: float = RESYNC_SECONDS
) -> Watch[DiemApiKey]:
    """Return the watch that feeds the registry of keys; no namespaces means all.

    What is decided about a job rests on a read; only whether a key opens it rests on this watch, so that is compared
    with lists, too.
    """
    timing = ReflectorTiming(relist_seconds=relist_seconds)

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

    return Watch([Reflector(apikeys, reactions(each), namespace=each, timing=timing) for each in namespaces or (None,)])
