"""Puts the HTTP API together: caches, watches, desk, endpoint, middlewares.

request ─► count ─► answer_problems ─► require_key ─► JobEndpoint ─► JobDesk ─► Settler ─► FairGate ─► DiemJobs
                                        │      │           │            │
                                   Limits KeyRegistry ◄┐  JobCache ◄────┴── live reads, own writes
                                                       └── watches ──► JobCache
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import uuid4

from aiohttp import web

from diem_operator.access.registry import KeyRegistry
from diem_operator.api.authentication import Authenticator, build_middleware
from diem_operator.api.cache import JobCache
from diem_operator.api.endpoint import PATH, JobEndpoint
from diem_operator.api.gate import FairGate
from diem_operator.api.jobs import JobDesk
from diem_operator.api.limits import build_limits
from diem_operator.api.live import LiveReader
from diem_operator.api.middlewares import add_headers, answer_expectation, answer_problems, build_counting
from diem_operator.api.settling import Settler
from diem_operator.api.watching import watch_apikeys, watch_diemjobs
from diem_operator.clock import now
from diem_operator.cluster.reflector import Watch
from diem_operator.cluster.resources import Cluster
from diem_operator.metrics import ApiMetrics
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.names import DIEMAPIKEY_PLURAL, DIEMJOB_PLURAL, RunId
from diem_operator.probes import Checks, add_probes
from diem_operator.settings import ApiSettings


@dataclass(kw_only=True)
class Knowledge:
    """What the process knows of the cluster, and whether it is about to end."""

    cache: JobCache
    registry: KeyRegistry
    gate: FairGate
    diemjobs: Watch[DiemJob]
    apikeys: Watch[DiemApiKey]
    is_ending: bool = False

    def end(self) -> None:
        """Stop being ready, and let everybody go who waits; requests are answered still."""
        self.is_ending = True
        self.cache.close()
        self.gate.close()


KNOWLEDGE: Final = web.AppKey("knowledge", Knowledge)
READY: Final = web.AppKey("ready", Checks)
"""What must hold for callers to be sent here."""
METRICS: Final = web.AppKey("metrics", ApiMetrics)
WATCHING: Final = web.AppKey("watching", asyncio.Task[None])
"""Runs for as long as the app does; when it ends, so should the process."""


def build_app(cluster: Cluster, settings: ApiSettings, *, metrics: ApiMetrics) -> web.Application:
    """Return the application; it watches the cluster from its start-up to its clean-up."""
    knowledge = _build_knowledge(cluster, settings, metrics)
    authenticator = Authenticator(
        registry=knowledge.registry,
        is_registry_confirmed=partial(knowledge.apikeys.is_confirmed, within_seconds=settings.max_unconfirmed_seconds),
        now=now,
        missing_key_status=settings.missing_key_status,
        metrics=metrics,
        limits=build_limits(settings, observe_refusal=metrics.observe_refusal),
    )
    endpoint = JobEndpoint(
        settings=settings,
        authenticator=authenticator,
        cache=knowledge.cache,
        is_cache_synced=lambda: knowledge.diemjobs.is_synced,
        may_cache_lack=knowledge.diemjobs.may_lack,
        desk=_build_desk(cluster, settings, knowledge),
    )
    app = web.Application(
        middlewares=[
            build_counting(metrics, path=PATH),
            answer_problems,
            build_middleware(authenticator, protected_paths={PATH}),
        ]
    )
    app[KNOWLEDGE] = knowledge
    app[METRICS] = metrics
    app.router.add_post(PATH, endpoint.handle, expect_handler=answer_expectation)
    app[READY] = _build_checks(knowledge, authenticator)
    add_probes(app, alive={}, ready=app[READY])  # here too: many load balancers look at the port they send callers to
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(_watch)
    _measure(knowledge, metrics)
    return app


def _build_knowledge(cluster: Cluster, settings: ApiSettings, metrics: ApiMetrics) -> Knowledge:
    cache = JobCache(excluded_namespaces=settings.excluded_namespaces)
    registry = KeyRegistry(settings.keys)
    return Knowledge(
        cache=cache,
        registry=registry,
        gate=_build_gate(settings, metrics),
        diemjobs=watch_diemjobs(cluster.diemjobs, cache, namespaces=settings.namespaces),
        apikeys=watch_apikeys(
            cluster.apikeys, registry, namespaces=settings.namespaces, relist_seconds=settings.resync_seconds
        ),
    )


def _build_desk(cluster: Cluster, settings: ApiSettings, knowledge: Knowledge) -> JobDesk:
    timeout_seconds = settings.cluster_timeout_seconds
    settler = Settler(
        diemjobs=cluster.diemjobs,
        cache=knowledge.cache,
        live=LiveReader(partial(cluster.diemjobs.get, timeout_seconds=timeout_seconds), knowledge.gate),
        gate=knowledge.gate,
        timeout_seconds=timeout_seconds,
    )
    return JobDesk(
        settler=settler,
        cache=knowledge.cache,
        is_watch_confirmed=partial(knowledge.diemjobs.is_confirmed, within_seconds=settings.max_unconfirmed_seconds),
        now=now,
        make_run_id=lambda: RunId(f"api-{uuid4().hex}"),
        max_waiting=settings.max_waiting_requests,
    )


def _build_gate(settings: ApiSettings, metrics: ApiMetrics) -> FairGate:
    gate = FairGate(
        max_in_flight=settings.max_operations,
        max_queued=settings.max_queued_operations,
        max_wait_seconds=settings.max_queue_seconds,
        observe_refusal=metrics.observe_refusal,
    )
    metrics.read_queued_operations_from(lambda: gate.queued_count)
    return gate


def _build_checks(knowledge: Knowledge, authenticator: Authenticator) -> Checks:
    return {
        "jobs": lambda: knowledge.diemjobs.is_synced,
        "keys": partial(authenticator.is_registry_confirmed, None),
        "serving": lambda: not knowledge.is_ending,
    }


def _measure(knowledge: Knowledge, metrics: ApiMetrics) -> None:
    metrics.read_cached_objects_from(lambda: len(knowledge.cache), resource=DIEMJOB_PLURAL)
    metrics.read_cached_objects_from(lambda: len(knowledge.registry), resource=DIEMAPIKEY_PLURAL)
    metrics.read_waiting_requests_from(lambda: knowledge.cache.waiting_count)


async def _watch(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(_run_watches(app[KNOWLEDGE]), name="watches")
    app[WATCHING] = task
    yield
    task.cancel()
    await asyncio.wait({task})


async def _run_watches(knowledge: Knowledge) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(knowledge.diemjobs.run())
        tasks.create_task(knowledge.apikeys.run())
