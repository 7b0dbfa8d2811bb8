"""Kubernetes Events: tells people what became of runs, after the fact and on a best-effort basis.

`record` only queues; a background task posts, one at a time. Nothing waits for it, nothing depends on it: what cannot
be posted is logged and forgotten, because `status` has it all.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import msgspec

from diem_operator.cluster.errors import AlreadyExists, OutcomeUnknown, RequestNotSent, TooManyRequests
from diem_operator.model.diemjob import DiemJob, RunStatus
from diem_operator.model.metadata import RawObject
from diem_operator.reconciler.event_manifest import EventDraft, EventType, build_event
from diem_operator.reconciler.event_series import EventSeries

logger = logging.getLogger(__name__)

MAX_QUEUED: Final = 1000
MAX_REMEMBERED: Final = 4096
POST_TIMEOUT_SECONDS: Final = 10.0


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast Events are posted: they never take the API server's time from the writes that start and stop runs.

    Attributes:
        pause_seconds: between two posts.
        retry_seconds: before each further attempt to post one.
        release_seconds: between two looks at what was held back.
        burst: as many of one reason and DiemJob appear one by one.
        refill_seconds: after this long, one more may.
    """

    pause_seconds: float = 0.02
    retry_seconds: tuple[float, ...] = (1.0, 5.0, 15.0)
    release_seconds: float = 10.0
    burst: int = 10
    refill_seconds: float = 60.0


class EventWriter(Protocol):
    """The part of `cluster.events` that is used here."""

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> object:
        """Create an Event."""


class EventRecorder:
    """Queues Events and posts them in the background.

    Args:
        writer: creates Events.
        reporter: names this process in them.
        now: the wall time, for people to read.
        observe: is told what became of each Event: posted, repeated, held_back, dropped or failed.
        pace: how fast.
    """

    def __init__(
        self,
        writer: EventWriter,
        *,
        reporter: str,
        now: Callable[[], datetime],
        observe: Callable[[str], None] = lambda _outcome: None,
        pace: Pace = Pace(),  # noqa: B008 - immutable
    ) -> None:
        self._writer = writer
        self._reporter = reporter
        self._now = now
        self._observe = observe
        self._queued: OrderedDict[str, EventDraft] = OrderedDict()
        self._recorded: OrderedDict[str, None] = OrderedDict()
        self._pace = pace
        self._series = EventSeries(burst=pace.burst, refill_seconds=pace.refill_seconds)
        self._has_work = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def record(
        self,
        diemjob: DiemJob,
        *,
        reason: str,
        message: str,
        run: RunStatus,
        type: EventType = "Normal",  # noqa: A002 - named as the field of an Event
    ) -> None:
        """Queue an Event about a run; the same reason of the same run is told once."""
        draft = EventDraft(
            about=diemjob.metadata, run_id=run.id, reason=reason, message=message, type=type, at=self._now()
        )
        if not self._is_new(draft.name):
            return
        if self._series.admit(draft, now=asyncio.get_running_loop().time()):
            self._enqueue(draft)
        else:
            self._observe("held_back")
            self._has_work.set()

    async def run(self) -> None:
        """Post what is queued, until cancelled."""
        while True:
            await self._wait_for_work()
            for draft in self._series.release(now=asyncio.get_running_loop().time()):
                self._enqueue(draft)
            while self._queued:
                _, draft = self._queued.popitem(last=False)
                await self._post(draft)
                await asyncio.sleep(self._pace.pause_seconds)
            self._is_idle.set()

    async def drain(self) -> None:
        """Return when everything queued so far is posted or given up; `run` must be running."""
        await self._is_idle.wait()

    def _is_new(self, name: str) -> bool:
        if name in self._recorded:
            return False
        self._recorded[name] = None
        if len(self._recorded) > MAX_REMEMBERED:
            self._recorded.popitem(last=False)
        return True

    def _enqueue(self, draft: EventDraft) -> None:
        if len(self._queued) >= MAX_QUEUED:
            self._give_up(self._queued.popitem(last=False)[1], "dropped", f"more than {MAX_QUEUED} were waiting")
        self._queued[draft.name] = draft
        self._is_idle.clear()
        self._has_work.set()

    async def _wait_for_work(self) -> None:
        timeout = self._pace.release_seconds if self._series.holds_back else None
        try:
            async with asyncio.timeout(timeout):
                await self._has_work.wait()
        except TimeoutError:
            pass
        self._has_work.clear()

    async def _post(self, draft: EventDraft) -> None:
        for delay in (*self._pace.retry_seconds, None):
            error = await self._try_to_post(draft)
            if error is None:
                return
            if delay is None or not isinstance(error, OutcomeUnknown | RequestNotSent | TooManyRequests):
                self._give_up(draft, "failed", str(error))
                return
            await asyncio.sleep(delay)

    async def _try_to_post(self, draft: EventDraft) -> Exception | None:
        manifest = build_event(draft, reporter=self._reporter)
        try:
            await self._writer.create(draft.about.namespace, manifest, timeout_seconds=POST_TIMEOUT_SECONDS)
        except AlreadyExists:
            self._observe("repeated")
        except Exception as error:  # noqa: BLE001 - whatever it is, an Event is not worth the process
            return error
        else:
            self._observe("posted")
        return None

    def _give_up(self, draft: EventDraft, outcome: str, why: str) -> None:
        self._observe(outcome)
        logger.warning(
            "Gave up the Event %s: %s",
            draft.reason,
            why,
            extra={"namespace": draft.about.namespace, "diemjob": draft.about.name, "run": draft.run_id},
        )
