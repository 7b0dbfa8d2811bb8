"""Puts the operator together, and keeps its parts running in one event loop.

    probes ► tokens for the API ► CRDs there ► watches ► events ► elector ─ leading ─► controllers
                                                                            └─ standing by

The parts start from left to right and end from right to left: the controllers first, then the Lease is released, so
that another replica takes over while this one still says goodbye. Of the watches, those of DiemJobs and Jobs begin to
list only when the elector has had its first look.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from secrets import token_bytes
from typing import Any, Final

from diem_operator.cli.lifecycle import StopSignal, background, run_for_ever
from diem_operator.clock import now, steady_seconds
from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials
from diem_operator.cluster.discovery import find_missing_fields, find_missing_resources
from diem_operator.cluster.errors import ClusterError
from diem_operator.cluster.reflector import Watch
from diem_operator.cluster.resources import Cluster
from diem_operator.handlers.embedding import EmbeddedKopf
from diem_operator.handlers.login import log_in
from diem_operator.handlers.watches import build_registry, build_settings
from diem_operator.metrics import OperatorMetrics
from diem_operator.metrics import build_registry as build_metrics_registry
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.names import DIEMAPIKEY_PLURAL, DIEMJOB_PLURAL
from diem_operator.probes import build_app, once, serving
from diem_operator.reconciler.apikeys import ApiKeyController, KeyWorld
from diem_operator.reconciler.applier import Applier
from diem_operator.reconciler.controller import DiemJobController
from diem_operator.reconciler.events import EventRecorder
from diem_operator.reconciler.leader import LeaderElector, LeaseTiming, make_identity
from diem_operator.reconciler.leadership import NotLeader
from diem_operator.reconciler.memory import Memory
from diem_operator.reconciler.observer import Observer
from diem_operator.reconciler.reporting import Reporter
from diem_operator.reconciler.schema_gate import SchemaGate
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.signing_secret import obtain_signing_secret
from diem_operator.reconciler.store import Store
from diem_operator.reconciler.token_handover import TokenHandover
from diem_operator.reconciler.watching import watch_diemjobs, watch_jobs
from diem_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

MISSING_RESOURCES_SECONDS: Final = 1.0
"""Between two looks for the CRDs."""

RESTART_SECONDS: Final = 1.0
"""Before a controller whose first look at the cluster failed is started again."""

WATCHED_KINDS: Final = 2
"""What is watched over the session that writes, too: DiemJobs and Jobs."""

SPARE_CONNECTIONS: Final = 32
"""Beyond one for each worker and each watch of ours: the lease, Events and keys never wait for them."""

DRAIN_SECONDS: Final = 0.5
"""How long Events that are still queued may take at the end."""


class OperatorProcess:
    """The parts of one operator, made and not yet started."""

    def __init__(self, settings: OperatorSettings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._metrics = OperatorMetrics(build_metrics_registry())
        self._scope = Scope(namespaces=settings.namespaces, excluded=settings.excluded_namespaces)
        self._cluster = Cluster(
            ApiServer(
                credentials,
                connection_limit=settings.workers + WATCHED_KINDS * len(self._scope.listed) + SPARE_CONNECTIONS,
                on_request=self._metrics.requests.observe,
            )
        )
        self._gate = SchemaGate(partial(find_missing_fields, self._cluster.server), clock=steady_seconds)
        self._elector = self._build_elector()
        self._recorder = EventRecorder(
            self._cluster.events,
            reporter=socket.gethostname(),
            now=now,
            observe=self._metrics.observe_kubernetes_event,
        )
        self._store = Store()
        self._diemjobs = self._build_diemjob_controller()
        self._apikeys = self._build_apikey_controller()
        self._diemjob_watch = watch_diemjobs(
            self._cluster.diemjobs, self._diemjobs, scope=self._scope, count=self._metrics.observe_watch_event
        )
        self._job_watch = watch_jobs(
            self._cluster.jobs, self._diemjobs, scope=self._scope, count=self._metrics.observe_watch_event
        )
        self._kopf = self._build_kopf()
        self._measure()

    async def run(self, stop: StopSignal) -> None:
        """Run until cancelled.

        Raises:
            TaskEnded: a part ended by itself; only a new process is known to be whole again.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._cluster.close)
            await stack.enter_async_context(self._serve_probes())
            handing_over = await self._begin_handover(stack)
            await self._wait_for_resources()
            stack.push_async_callback(self._kopf.stop)
            await self._kopf.start(namespaces=self._settings.namespaces)
            stop.listen()
            recording = await stack.enter_async_context(background("event recorder", self._recorder.run()))
            stack.push_async_callback(self._drain_events)
            keeping = self._kopf.keep(
                namespaces=self._settings.namespaces, before_start=self._wait_for_resources, on_start=stop.listen
            )
            watching = await stack.enter_async_context(background("kopf's watches", keeping))
            following = [
                await stack.enter_async_context(background("watch of DiemJobs", self._follow(self._diemjob_watch))),
                await stack.enter_async_context(background("watch of Jobs", self._follow(self._job_watch))),
            ]
            await stack.enter_async_context(background("look at the schemas", self._look_at_schemas()))
            electing = await stack.enter_async_context(background("elector", self._elector.run(self._lead, _rest)))
            await run_for_ever(recording, watching, *following, electing, *handing_over)

    async def _follow(self, watch: Watch[Any]) -> None:
        """Watch once the first look at the lease is over: so the list that it begins with serves a new leader, too."""
        await self._elector.has_looked.wait()
        await watch.run()

    async def _begin_handover(self, stack: AsyncExitStack) -> tuple[asyncio.Task[None], ...]:
        """Keep the API beside this process in tokens, if it needs any; it does not wait for the CRDs either."""
        settings = self._settings.handover
        if settings is None:
            return ()
        account = ObjectKey(namespace=self._settings.operator_namespace, name=settings.service_account)
        handover = TokenHandover(self._cluster.service_accounts, account, settings=settings, now=now)
        return (await stack.enter_async_context(background("token handover", handover.run())),)

    def _build_elector(self) -> LeaderElector:
        lease = self._settings.lease
        return LeaderElector(
            self._cluster.leases,
            ObjectKey(namespace=self._settings.operator_namespace, name=lease.name),
            identity=make_identity(socket.gethostname()),
            timing=LeaseTiming(
                duration_seconds=lease.duration_seconds,
                renew_seconds=lease.renew_seconds,
                poll_seconds=lease.poll_seconds,
            ),
            may_lead=self._gate.may_lead,
        )

    def _build_diemjob_controller(self) -> DiemJobController:
        store, memory = self._store, Memory()
        return DiemJobController(
            store=store,
            observer=Observer(
                cluster=self._cluster,
                store=store,
                memory=memory,
                scope=self._scope,
                now=now,
                steady_seconds=steady_seconds,
            ),
            applier=Applier(
                cluster=self._cluster,
                fence=self._elector,
                store=store,
                memory=memory,
                reporter=Reporter(recorder=self._recorder, metrics=self._metrics),
                steady_seconds=steady_seconds,
            ),
            metrics=self._metrics.for_controller(DIEMJOB_PLURAL),
            workers=self._settings.workers,
            resync_seconds=self._settings.resync_seconds,
        )

    def _build_apikey_controller(self) -> ApiKeyController:
        signing_secret = ObjectKey(namespace=self._settings.operator_namespace, name=self._settings.signing_secret_name)
        world = KeyWorld(
            cluster=self._cluster,
            fence=self._elector,
            scope=self._scope,
            settings=self._settings.keys,
            obtain_signing_secret=partial(
                obtain_signing_secret, self._cluster.secrets, signing_secret, make_bytes=token_bytes
            ),
            now=now,
            metrics=self._metrics.for_controller(DIEMAPIKEY_PLURAL),
            resync_seconds=self._settings.resync_seconds,
        )
        return ApiKeyController(world)

    def _build_kopf(self) -> EmbeddedKopf:
        registry = build_registry(
            self._apikeys.observe_apikey,
            is_served=self._scope.serves,
            count=self._metrics.observe_watch_event,
            login=lambda: log_in(self._credentials, now=now()),
        )
        return EmbeddedKopf(registry, build_settings())

    def _measure(self) -> None:
        """Let metrics read what others count anyway."""
        store, metrics = self._store, self._metrics
        metrics.leader.set_function(lambda: float(self._elector.is_leader))
        metrics.live_runs.set_function(lambda: sum(map(_has_live_run, store.list_diemjobs())))
        diemjobs = metrics.for_controller(DIEMJOB_PLURAL)
        diemjobs.read_queue_depth_from(lambda: self._diemjobs.queue_depth)
        diemjobs.read_postponed_from(lambda: self._diemjobs.postponed_count)
        diemjobs.read_stored_objects_from(lambda: len(store.list_diemjobs()), resource=DIEMJOB_PLURAL)
        diemjobs.read_stored_objects_from(lambda: len(store.list_jobs()), resource="jobs")
        apikeys = metrics.for_controller(DIEMAPIKEY_PLURAL)
        apikeys.read_queue_depth_from(lambda: self._apikeys.queue_depth)
        apikeys.read_stored_objects_from(lambda: self._apikeys.stored_count, resource=DIEMAPIKEY_PLURAL)

    def _serve_probes(self) -> AbstractAsyncContextManager[None]:
        # Watches that have ended begin anew by themselves: what a new process would heal ends this one.
        app = build_app(
            alive={},
            ready={
                "watches": self._are_watches_running,
                "leader": lambda: self._elector.has_seen_leader,
                "schemas": lambda: self._gate.has_opened,
                "caches": once(self._are_caches_filled),
            },
            registry=self._metrics.registry,
        )
        return serving(app, host=self._settings.probe_host, port=self._settings.probe_port)

    def _are_watches_running(self) -> bool:
        """Whether all is watched. Ours begin anew by themselves, so that they have begun once is enough."""
        return self._kopf.is_alive and self._diemjob_watch.is_synced and self._job_watch.is_synced

    def _are_caches_filled(self) -> bool:
        """Whether it knows what it leads, or stands by; asked for until it first holds.

        A standby that takes over has to list everything again. Were it not ready meanwhile, the pod would leave the
        Service, and callers the API beside it, just when the other replica is gone.
        """
        return self._elector.has_seen_leader and (self._diemjobs.is_leading or not self._elector.is_leader)

    async def _look_at_schemas(self) -> None:
        """Ask until they are those of this release; a standby takes no lease and would never learn it.

        Begins late: whoever finds the lease free asks at once, and the schemas are a large document.
        """
        while not self._gate.has_opened:
            await asyncio.sleep(MISSING_RESOURCES_SECONDS)
            if not self._gate.has_opened:
                await self._gate.may_lead()

    async def _wait_for_resources(self) -> None:
        reported = ""
        while problem := await self._find_missing():
            if problem != reported:
                logger.warning("Waited for the cluster: %s", problem)
            reported = problem
            await asyncio.sleep(MISSING_RESOURCES_SECONDS)

    async def _find_missing(self) -> str:
        try:
            missing = await find_missing_resources(self._cluster.server)
        except ClusterError as error:
            return str(error)
        return f"{', '.join(missing)} missing; apply the crds/ of this release" if missing else ""

    async def _lead(self) -> None:
        """Run the controllers while this replica leads."""
        try:
            async with asyncio.TaskGroup() as tasks:
                reconcile = partial(self._diemjobs.run, led_since=self._elector.led_since)
                tasks.create_task(_keep_running(DIEMJOB_PLURAL, reconcile))
                tasks.create_task(_keep_running(DIEMAPIKEY_PLURAL, self._apikeys.run))
        except* NotLeader:
            logger.info("Stopped to reconcile: the lease is gone")

    async def _drain_events(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._recorder.drain()


def _has_live_run(diemjob: DiemJob) -> bool:
    run = diemjob.status.run
    return run is not None and run.is_live


async def _keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a controller; begin anew where the API server failed it outside a reconcile."""
    while True:
        try:
            return await run()
        except ClusterError as error:
            logger.warning("Could not run the controller of %s, beginning anew: %s", name, error)
            await asyncio.sleep(RESTART_SECONDS)


async def _rest() -> None:
    """Do nothing between two terms of leadership: the watches go on."""
