"""Runs kopf beside our own tasks, in our event loop.

Not with `kopf.operator()`: when that ends it takes every task younger than itself for one of its own, waits five
seconds for it and cancels it; a leader's writes and the release of its Lease would be among them. `kopf.spawn_tasks()`
makes the same tasks and leaves their end to us.

Nor may an error in a watch be the end of the process: kopf ends for each that it does not expect, such as a 500 within
a stream or a line cut short, and every replica watches; the kubelet would start all of them again, ever later. Where
the API server refuses a list or a watch, kopf asks again every few seconds, and goes on in all other namespaces.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, NoReturn

import kopf

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 2.0
FIRST_PAUSE_SECONDS: Final = 0.5
MOST_PAUSE_SECONDS: Final = 10.0
SETTLED_SECONDS: Final = 30.0

# kopf would derive one from the host's name, which may ask a DNS server, and from the user's, who may have none.
_IDENTITY: Final = "diem-operator"

# What kopf calls the tasks that list and watch one resource each.
_WATCHER_NAME: Final = "watcher for "


class EmbeddedKopf:
    """kopf's tasks from `start` to `stop`.

    Args:
        registry: the handlers.
        settings: kopf's.
        first_pause_seconds: before it begins anew; doubled with each end that follows soon.
    """

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        settings: kopf.OperatorSettings,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._first_pause_seconds = first_pause_seconds
        self._tasks: Collection[asyncio.Task[Any]] = ()

    @property
    def is_alive(self) -> bool:
        """Whether all of kopf's root tasks run; none of them ever ends on its own in good health."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def start(self, *, namespaces: Collection[str]) -> None:
        """Begin to list and watch; returns at once.

        It sets handlers for SIGINT and SIGTERM: set yours again right after it, before the next await.

        Args:
            namespaces: where to watch; everywhere if empty.
        """
        self._tasks = await kopf.spawn_tasks(
            registry=self._registry,
            settings=self._settings,
            identity=_IDENTITY,  # type: ignore[arg-type]  # a NewType of str that kopf does not export
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
        )

    async def keep(
        self,
        *,
        namespaces: Collection[str],
        before_start: Callable[[], Awaitable[None]],
        on_start: Callable[[], object],
    ) -> NoReturn:
        """Begin anew, after a growing pause, whenever kopf ends by itself; every object is then told once more.

        Args:
            namespaces: as for `start`, which has been called.
            before_start: returns when there is something to watch: kopf looks for that only when it starts.
            on_start: is called right after each further start.
        """
        failures = 0
        while True:
            started_at = _loop_seconds()
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            failures = 1 if _loop_seconds() - started_at >= SETTLED_SECONDS else failures + 1
            pause_seconds = min(self._first_pause_seconds * 2.0 ** min(failures - 1, 10), MOST_PAUSE_SECONDS)
            logger.warning("kopf's watches ended, and begin anew in %.1f s: %r", pause_seconds, _find_error(done))
            await self.stop()
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            await before_start()
            await self.start(namespaces=namespaces)
            on_start()

    async def stop(self) -> None:
        """End kopf's tasks; waits for their goodbyes, but not for long."""
        if not self._tasks:
            return
        late = await _end(self._tasks) | await _end(_find_orphans())
        if late:
            names = ", ".join(sorted(task.get_name() for task in late))
            logger.warning("Left tasks of kopf behind that did not end in %s s: %s", STOP_SECONDS, names)


async def _end(tasks: Collection[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Cancel the tasks and return those that did not end in time."""
    for task in tasks:
        task.cancel()
    if not tasks:
        return set()
    done, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
    if (error := _find_error(done)) is not None:
        logger.debug("A task of kopf ended with an error: %r", error)
    return late


def _find_orphans() -> list[asyncio.Task[Any]]:
    """Return watchers that kopf has left running: when one fails, it ends their parent but not the others.

    They must not be left to the loop's own end: it cancels everything at once, and a watcher whose helper is cancelled
    with it takes that for a pause and goes on for ever.
    """
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(_WATCHER_NAME)]


def _find_error(tasks: Collection[asyncio.Task[Any]]) -> BaseException | None:
    errors = (task.exception() for task in tasks if not task.cancelled())
    return next((error for error in errors if error is not None), None)


def _loop_seconds() -> float:
    return asyncio.get_running_loop().time()
