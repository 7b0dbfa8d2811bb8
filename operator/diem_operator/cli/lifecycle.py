"""How a process lives and ends: by a signal, which is success, or because a task of it ended, which is an error."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final

logger = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

GARBAGE_THRESHOLD: Final = 50_000
"""Python's own is 700 (2,000 in later versions)."""

LEFTOVER_SECONDS: Final = 1.0
"""How long tasks that should have been ended by now may take."""


class TaskEnded(Exception):  # noqa: N818 - it is what happened, whether or not through an error
    """A task that should run for as long as the process has ended."""


class StopSignal:
    """Cancels the task that made it at the first SIGINT or SIGTERM; the second one ends the process at once."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "made in a coroutine"
        self._task = task
        self._is_received = False

    def listen(self) -> None:
        """Take over the signals; call it again after anything that has taken them for itself."""
        if self._is_received:
            return
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._receive, number)

    def _receive(self, number: signal.Signals) -> None:
        logger.info("Received %s, stopping", number.name)
        self._is_received = True
        for each in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(each)
        self._task.cancel()

    @property
    def is_received(self) -> bool:
        """Whether the process is ending because it was told to."""
        return self._is_received


Work = Callable[[StopSignal], Coroutine[Any, Any, None]]


def run_process(work: Work) -> None:
    """Run the work of a process until a signal, and exit: with code 1, and the error in the log, if it failed."""
    _collect_garbage_less_often()
    with asyncio.Runner(loop_factory=_find_loop_factory()) as runner:
        code = _run(runner, work)
        if stubborn := runner.run(end_leftover_tasks()):
            # The loop's own end would wait for them for ever.
            logger.error("Exited although tasks would not end: %s", ", ".join(sorted(stubborn)))
            logging.shutdown()
            os._exit(code)
    sys.exit(code)


def _collect_garbage_less_often() -> None:
    """Leave out of collections what is there by now, mostly modules, and collect more at a time.

    Python looks for cycles of garbage each time 700 more objects are there than before. Thousands of DiemJobs that are
    decoded look like that, and to go through all of them again and again took longer than to decode them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def _run(runner: asyncio.Runner, work: Work) -> int:
    try:
        runner.run(run_until_signal(work))
    except Exception as error:
        logger.exception("Ended because of an error: %s", error)  # noqa: TRY401 - the last line must say why by itself
        return 1
    return 0


async def end_leftover_tasks(*, within_seconds: float = LEFTOVER_SECONDS) -> list[str]:
    """Cancel every other task; return the names of those that do not end in time."""
    leftover = asyncio.all_tasks() - {asyncio.current_task()}
    for task in leftover:
        task.cancel()
    if not leftover:
        return []
    _, stubborn = await asyncio.wait(leftover, timeout=within_seconds)
    return [task.get_name() for task in stubborn]


async def run_until_signal(work: Work) -> None:
    """Run the work of a process; a signal cancels it, and its clean-up is awaited.

    Raises:
        Exception: what the work raises.
    """
    stop = StopSignal()
    stop.listen()
    try:
        await work(stop)
    except asyncio.CancelledError:
        if not stop.is_received:
            raise


@asynccontextmanager
async def background(name: str, work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """Run a coroutine beside the block; at the block's end it is cancelled and its clean-up awaited."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if (error := _find_error(task)) is not None:
            logger.debug("The %s ended with an error: %r", name, error)


async def run_for_ever(*tasks: asyncio.Task[Any]) -> None:
    """Wait until one of the tasks ends, which none of them should.

    Raises:
        TaskEnded: always; the cause is the task's error, if it had one.
    """
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    task = done.pop()
    raise TaskEnded(f"The {task.get_name()} ended, so this process does too") from _find_error(task)


def _find_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's where it is installed, which is everywhere but on Windows."""
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def _find_error(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
