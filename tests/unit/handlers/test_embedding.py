"""kopf lives and dies as one of several tasks of our event loop."""

import asyncio
import time

import pytest

from diem_operator.handlers.embedding import EmbeddedKopf
from tests.unit.handlers.api_server import FakeApiServer, make_object
from tests.unit.handlers.conftest import Seen, eventually


async def test_kopf_is_alive_from_start_to_stop(fake_api: FakeApiServer, embedded: EmbeddedKopf) -> None:
    states = [embedded.is_alive]
    await embedded.start(namespaces=())
    await eventually(lambda: bool(fake_api.queries_of("diemapikeys")))
    states.append(embedded.is_alive)
    await embedded.stop()
    states.append(embedded.is_alive)
    assert states == [False, True, False]


async def test_stop_leaves_other_tasks_alone_and_is_quick(
    fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf
) -> None:
    fake_api.streams["diemapikeys"].listed.append(make_object("listed"))
    await embedded.start(namespaces=())
    younger = asyncio.create_task(asyncio.sleep(60))
    await eventually(lambda: bool(seen.counted))
    began = time.monotonic()
    await embedded.stop()
    assert time.monotonic() - began < 1
    assert not younger.done()
    younger.cancel()


@pytest.mark.parametrize("errors", [1, 3])
async def test_error_in_a_watch_lets_it_begin_anew(
    fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf, caplog: pytest.LogCaptureFixture, errors: int
) -> None:
    fake_api.streams["diemapikeys"].listed.append(make_object("listed"))
    starts: list[str] = []

    async def look() -> None:
        assert not embedded.is_alive
        starts.append("looked")

    await embedded.start(namespaces=())
    keeping = asyncio.create_task(
        embedded.keep(namespaces=(), before_start=look, on_start=lambda: starts.append("begun"))
    )
    for count in range(1, errors + 1):
        await eventually(lambda: embedded.is_alive)
        fake_api.send("diemapikeys", "ERROR", {"kind": "Status", "code": 500, "message": "storage is (re)initializing"})
        await eventually(lambda count=count: len(seen.objects) == count + 1)  # type: ignore[misc]
    fake_api.send("diemapikeys", "MODIFIED", make_object("listed"))
    await eventually(lambda: ("MODIFIED", "listed") in seen.objects)
    keeping.cancel()

    assert starts == ["looked", "begun"] * errors
    assert "storage is (re)initializing" in caplog.text


async def test_watches_that_kopf_leaves_running_are_ended_too(fake_api: FakeApiServer, embedded: EmbeddedKopf) -> None:
    before = asyncio.all_tasks()
    await embedded.start(namespaces=("team-a", "team-b"))
    await eventually(lambda: len(fake_api.queries_of("diemapikeys")) == 4)
    fake_api.send("diemapikeys", "ERROR", {"kind": "Status", "code": 500, "message": "storage is (re)initializing"})
    await eventually(lambda: not embedded.is_alive)
    await embedded.stop()
    assert {task.get_name() for task in asyncio.all_tasks() - before if "diem" in task.get_name()} == set()


async def test_refused_namespace_is_asked_for_again_and_spoils_no_other(
    fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf
) -> None:
    fake_api.streams["diemapikeys"].listed.append(make_object("listed"))
    fake_api.refused.add("team-b")
    await embedded.start(namespaces=("team-a", "team-b"))
    await eventually(lambda: len(fake_api.requests_for("team-b")) == 2)
    assert embedded.is_alive
    assert seen.objects == [(None, "listed")]

    fake_api.refused.clear()
    await eventually(lambda: len(seen.objects) == 2)
    assert embedded.is_alive


async def test_expired_watch_is_listed_again(fake_api: FakeApiServer, seen: Seen, embedded: EmbeddedKopf) -> None:
    fake_api.streams["diemapikeys"].listed.append(make_object("listed"))
    await embedded.start(namespaces=())
    fake_api.send("diemapikeys", "ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
    await eventually(lambda: len(seen.objects) == 2)
    assert seen.objects == [(None, "listed")] * 2
    assert embedded.is_alive


async def test_stop_before_start_does_nothing(embedded: EmbeddedKopf) -> None:
    await embedded.stop()
    assert not embedded.is_alive
