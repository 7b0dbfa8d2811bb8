"""Recording an Event never blocks, never raises, and is posted once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from diem_operator.cluster.errors import AlreadyExists, Forbidden, OutcomeUnknown
from diem_operator.model.diemjob import Phase, RunStatus
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import RunId
from diem_operator.reconciler.events import MAX_QUEUED, EventRecorder, Pace
from tests.builders import NAMESPACE, NOW, make_diemjob

QUICK = Pace(pause_seconds=0, retry_seconds=(0, 0, 0))


class FakeWriter:
    """Answers each attempt with the next of `errors`, then with success."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.attempts: list[RawObject] = []
        self.stored: list[RawObject] = []

    async def create(self, namespace: str, manifest: RawObject, *, timeout_seconds: float) -> RawObject:
        assert namespace == NAMESPACE
        assert timeout_seconds > 0
        self.attempts.append(manifest)
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        self.stored.append(manifest)
        return manifest


class Recording:
    def __init__(self, writer: FakeWriter, pace: Pace = QUICK) -> None:
        self.outcomes: list[str] = []
        self.recorder = EventRecorder(
            writer, reporter="pod-1", now=lambda: NOW, observe=self.outcomes.append, pace=pace
        )

    def record(self, run: str = "run-1", *, message: str = "Run 1 started", is_warning: bool = False) -> None:
        status = RunStatus(number=1, id=RunId(run), phase=Phase.RUNNING)
        self.recorder.record(
            make_diemjob(),
            reason="RunStarted",
            message=message,
            run=status,
            type="Warning" if is_warning else "Normal",
        )


@asynccontextmanager
async def posting(writer: FakeWriter, pace: Pace = QUICK) -> AsyncIterator[Recording]:
    """Post what the block records; all of it is done at its end."""
    recording = Recording(writer, pace)
    task = asyncio.create_task(recording.recorder.run())
    yield recording
    async with asyncio.timeout(5):
        await recording.recorder.drain()
    assert not task.done()
    task.cancel()


async def test_event_is_posted() -> None:
    writer = FakeWriter()
    async with posting(writer) as recording:
        recording.record(is_warning=True)
    assert [(event["reason"], event["type"]) for event in writer.stored] == [("RunStarted", "Warning")]
    assert recording.outcomes == ["posted"]


async def test_recording_only_queues() -> None:
    writer = FakeWriter()
    Recording(writer).record()
    await asyncio.sleep(0)
    assert writer.attempts == []


async def test_same_thing_recorded_twice_is_posted_once() -> None:
    writer = FakeWriter()
    async with posting(writer) as recording:
        recording.record()
        recording.record(message="the same in other words")
        await recording.recorder.drain()
        recording.record()
    assert len(writer.attempts) == 1


async def test_event_left_by_a_crashed_process_is_not_doubled() -> None:
    before, after = FakeWriter(), FakeWriter(AlreadyExists("exists", status=409))
    async with posting(before) as recording:
        recording.record()
    async with posting(after) as recording:
        recording.record()
    assert before.stored[0]["metadata"]["name"] == after.attempts[0]["metadata"]["name"]
    assert recording.outcomes == ["repeated"]


async def test_unknown_outcome_is_tried_again_under_the_same_name() -> None:
    writer = FakeWriter(OutcomeUnknown("time-out"), OutcomeUnknown("reset"))
    async with posting(writer) as recording:
        recording.record()
    assert len({attempt["metadata"]["name"] for attempt in writer.attempts}) == 1
    assert len(writer.attempts) == 3
    assert recording.outcomes == ["posted"]


@pytest.mark.parametrize(
    ("errors", "attempts"),
    [
        pytest.param([OutcomeUnknown("time-out")] * 9, 4, id="after a few attempts"),
        pytest.param([Forbidden("quota", status=403)], 1, id="at once when refused"),
        pytest.param([RuntimeError("a bug")], 1, id="at once on a bug"),
    ],
)
async def test_failure_is_only_logged(errors: list[Exception], attempts: int, caplog: pytest.LogCaptureFixture) -> None:
    writer = FakeWriter(*errors)
    async with posting(writer) as recording:
        recording.record()
    assert len(writer.attempts) == attempts
    assert recording.outcomes == ["failed"]
    (record,) = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert record.getMessage() == f"Gave up the Event RunStarted: {errors[0]}"
    assert vars(record)["run"] == "run-1"


async def test_failure_does_not_hold_up_the_next() -> None:
    writer = FakeWriter(Forbidden("quota", status=403))
    async with posting(writer) as recording:
        recording.record("run-1")
        recording.record("run-2")
    assert recording.outcomes == ["failed", "posted"]


async def test_flood_is_combined() -> None:
    writer = FakeWriter()
    pace = Pace(pause_seconds=0, release_seconds=0.01, burst=3, refill_seconds=0.05)
    async with posting(writer, pace) as recording:
        for number in range(8):
            recording.record(f"run-{number}")
        await eventually(lambda: len(writer.stored) == 4)
    assert [event["count"] for event in writer.stored] == [1, 1, 1, 5]


async def test_queue_is_bounded_and_drops_the_oldest() -> None:
    writer = FakeWriter()
    async with posting(writer, Pace(pause_seconds=0, burst=2 * MAX_QUEUED)) as recording:
        for number in range(MAX_QUEUED + 2):
            recording.record(f"run-{number}")
    assert len(writer.stored) == MAX_QUEUED
    assert recording.outcomes.count("dropped") == 2
    assert writer.stored[0]["metadata"]["annotations"]["diem.io/run-id"] == "run-2"


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what holds is not ours to signal
            await asyncio.sleep(0.005)
