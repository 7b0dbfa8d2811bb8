"""The reconciler of DiemApiKeys: mints tokens, keeps the Ready condition true to the spec and to the clock.

    watch events ─► keys known ─► queue ─► worker: plan ─► create the Secret ─► write the status ─┐
                                             ▲                                                    │
                                             └──────── at expiry, or after a conflict ────────────┘

The API does not depend on it for anything but the first token: it judges keys by their specs itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from diem_operator.access.plan import KeyContext, KeyPlan, plan_key
from diem_operator.access.registry import KeyRegistry
from diem_operator.access.rules import find_claimed_hash
from diem_operator.access.secret import SecretDraft
from diem_operator.access.tokens import SigningSecret
from diem_operator.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound, find_retry_after_seconds
from diem_operator.cluster.resources import Cluster
from diem_operator.metrics import ControllerMetrics
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.metadata import ObjectKey, RawObject
from diem_operator.planning.merge_patch import build_merge_patch
from diem_operator.reconciler.leadership import Leadership, NotLeader
from diem_operator.reconciler.lists import ServedLists
from diem_operator.reconciler.queue import WorkQueue
from diem_operator.reconciler.scope import Scope
from diem_operator.reconciler.signing_secret import UnusableSigningSecret
from diem_operator.settings import RESYNC_SECONDS, KeySettings

WORKERS = 4
WRITE_TIMEOUT_SECONDS = 10.0
CONFLICT_SECONDS = 0.1
"""Until a plan that was overtaken is made again."""

UNUSABLE_SECRET_SECONDS = 10.0
"""Between two looks at a signing secret that a person must mend."""

LONGEST_DELAY_SECONDS = 24 * 3600.0
"""Loops do not keep timers for years; an early look does no harm."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KeyWorld:
    """What the controller works with.

    Attributes:
        fence: asked before each write.
        obtain_signing_secret: reads or makes it, once a term of leadership.
        now: reads the wall time.
        resync_seconds: between two comparisons with a LIST.
    """

    cluster: Cluster
    fence: Leadership
    scope: Scope
    settings: KeySettings
    obtain_signing_secret: Callable[[], Awaitable[SigningSecret]]
    now: Callable[[], datetime]
    metrics: ControllerMetrics
    resync_seconds: float = RESYNC_SECONDS


class ApiKeyController:
    """Reconciles every DiemApiKey it is told of, while this process leads."""

    def __init__(self, world: KeyWorld) -> None:
        self._world = world
        self._apikeys: dict[ObjectKey, DiemApiKey] = {}
        self._registry = KeyRegistry(world.settings)
        self._lists = ServedLists(world.scope.listed, what="lists of DiemApiKeys")
        self._queue: WorkQueue[ObjectKey] | None = None

    @property
    def queue_depth(self) -> int:
        """How many DiemApiKeys wait for a worker."""
        return 0 if self._queue is None else len(self._queue)

    @property
    def stored_count(self) -> int:
        """How many DiemApiKeys are known."""
        return len(self._apikeys)

    def observe_apikey(self, event_type: str | None, raw: RawObject) -> None:
        """Take a DiemApiKey as a watch told it; the type is None for one that was listed."""
        try:
            apikey = msgspec.convert(raw, DiemApiKey)
        except msgspec.ValidationError as error:
            logger.error("Ignored a DiemApiKey that does not fit its schema: %s", error)  # noqa: TRY400 - the traceback would add nothing
            return
        if event_type == "DELETED":
            self._remove(apikey.key, version=apikey.metadata.version)
        else:
            self._put(apikey)

    async def run(self) -> None:
        """Reconcile until cancelled, as the leader: first everything, then what changes."""
        signing_secret = await self._wait_for_signing_secret()
        context = KeyContext(settings=self._world.settings, signing_secret=signing_secret, registry=self._registry)
        self._queue = WorkQueue(on_wait=self._world.metrics.observe_queue_wait)
        try:
            await self._resync()
            for key in self._apikeys:
                self._queue.add(key)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._resync_for_ever())
                for _ in range(WORKERS):
                    tasks.create_task(self._work(self._queue, context))
        finally:
            self._queue = None

    async def _wait_for_signing_secret(self) -> SigningSecret:
        while True:
            try:
                return await self._world.obtain_signing_secret()
            except UnusableSigningSecret as error:
                logger.error("Could not sign tokens: %s", error)  # noqa: TRY400 - the traceback would add nothing
                await asyncio.sleep(UNUSABLE_SECRET_SECONDS)

    async def _resync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._world.resync_seconds)
            try:
                await self._resync()
            except ClusterError as error:
                logger.warning("Could not compare the known DiemApiKeys with the API server: %s", error)

    async def _resync(self) -> None:
        await self._lists.take(self._resync_namespace)

    async def _resync_namespace(self, namespace: str | None) -> None:
        listing = await self._world.cluster.apikeys.list(namespace)
        listed = {apikey.key for apikey in listing.items}
        for key in [key for key in self._apikeys if namespace in {None, key.namespace}]:
            if key not in listed:
                self._remove(key, version=int(listing.resource_version))
        for apikey in listing.items:
            self._put(apikey)

    async def _work(self, queue: WorkQueue[ObjectKey], context: KeyContext) -> None:
        while True:
            key = await queue.get()
            try:
                await self._reconcile_once(queue, key, context)
            finally:
                queue.done(key)

    async def _reconcile_once(self, queue: WorkQueue[ObjectKey], key: ObjectKey, context: KeyContext) -> None:
        """Reconcile one key; whatever fails is tried again later, without end."""
        started_at = asyncio.get_running_loop().time()
        outcome = "done"
        try:
            delay_seconds = await self.reconcile(key, context)
        except ClusterError as error:
            outcome = "retry"
            logger.warning("Could not reconcile, trying again: %s", error, extra=_fields(key))
            queue.add_rate_limited(key, at_least_seconds=find_retry_after_seconds(error))
        except NotLeader:
            raise
        except Exception:
            outcome = "error"
            logger.exception("Could not reconcile, trying again", extra=_fields(key))
            queue.add_rate_limited(key)
        else:
            queue.forget(key)
            if delay_seconds is not None:
                queue.add_after(key, min(delay_seconds, LONGEST_DELAY_SECONDS))
        self._world.metrics.observe_reconcile(outcome, asyncio.get_running_loop().time() - started_at)

    async def reconcile(self, key: ObjectKey, context: KeyContext) -> float | None:
        """Carry out the plan for one DiemApiKey; return in how many seconds to look again, None for not at all."""
        apikey = self._apikeys.get(key)
        if apikey is None:
            return None
        now = self._world.now()
        plan = plan_key(apikey, context, now=now)
        try:
            await self._apply(apikey, plan)
        except Conflict:
            self._put(await self._world.cluster.apikeys.get(key))
            return CONFLICT_SECONDS
        except NotFound:
            self._remove(key, version=apikey.metadata.version)
            return None
        return None if plan.check_again_at is None else (plan.check_again_at - now).total_seconds()

    async def _apply(self, apikey: DiemApiKey, plan: KeyPlan) -> None:
        if plan.secret is not None:
            await self._create_secret(plan.secret)
        patch = build_merge_patch(msgspec.to_builtins(apikey.status), msgspec.to_builtins(plan.status))
        if not patch:
            return
        guarded = {"metadata": {"resourceVersion": apikey.metadata.resource_version}, "status": patch}
        apikeys = self._world.cluster.apikeys
        self._put(await apikeys.patch_status(apikey.key, guarded, timeout_seconds=self._budget_seconds()))
        logger.info("Wrote the status of a DiemApiKey", extra=_fields(apikey.key) | _outcome(plan))

    async def _create_secret(self, draft: SecretDraft) -> None:
        try:
            await self._world.cluster.secrets.create(
                draft.namespace, draft.build_manifest(), timeout_seconds=self._budget_seconds()
            )
        except AlreadyExists:
            pass  # by an earlier try: the name follows from the token
        except NotFound as error:
            # The namespace, not the DiemApiKey: it is being torn down, and so will be the DiemApiKey.
            raise ClusterError(f"The namespace of Secret {draft.namespace}/{draft.name} is gone") from error

    def _budget_seconds(self) -> float:
        return min(self._world.fence.write_budget_seconds(), WRITE_TIMEOUT_SECONDS)

    def _put(self, apikey: DiemApiKey) -> None:
        known = self._apikeys.get(apikey.key)
        if not self._world.scope.serves(apikey.metadata.namespace):
            return
        if known is not None and known.metadata.version >= apikey.metadata.version:
            return
        self._apikeys[apikey.key] = apikey
        self._registry.put(apikey)
        self._enqueue(apikey)

    def _remove(self, key: ObjectKey, *, version: int) -> None:
        known = self._apikeys.get(key)
        if known is None or known.metadata.version > version:
            return
        del self._apikeys[key]
        self._registry.discard(key)
        self._enqueue(known)

    def _enqueue(self, apikey: DiemApiKey) -> None:
        """Have the DiemApiKey looked at, and its rivals: which of them the token opens may have changed."""
        if self._queue is None:
            return
        self._queue.add(apikey.key)
        for entry in self._registry.find_claims(find_claimed_hash(apikey) or ""):
            self._queue.add(entry.key)


def _fields(key: ObjectKey) -> dict[str, str]:
    return {"namespace": key.namespace, "apikey": key.name}


def _outcome(plan: KeyPlan) -> dict[str, str]:
    return {"reason": plan.status.conditions[0].reason if plan.status.conditions else ""}
