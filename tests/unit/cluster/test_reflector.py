"""A reflector survives everything a watch can do, and says how old its knowledge is."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

import pytest

from diem_operator.cluster import reflector
from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.reflector import Reactions, Reflector, ReflectorTiming
from diem_operator.cluster.resources import Cluster
from diem_operator.cluster.watch import EventType
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import ObjectKey
from tests.unit.cluster.objects import bookmark, diemjob, event, failure, page, undecodable
from tests.unit.cluster.scripted_server import Play, ScriptedServer, SeenRequest, answer, close, hang, reset, stream

TIMING = ReflectorTiming(inactivity_seconds=0.5, first_pause_seconds=0.01, most_pause_seconds=0.02, settled_seconds=9)


@dataclass
class Heard:
    """What the reflector told, in order."""

    log: list[tuple[str, object, int]] = field(default_factory=list)

    def on_replace(self, items: tuple[DiemJob, ...], resource_version: int) -> None:
        self.log.append(("replace", tuple(item.metadata.name for item in items), resource_version))

    def on_event(self, event_type: EventType, item: DiemJob, resource_version: int) -> None:
        self.log.append((event_type.value, item.metadata.name, resource_version))

    def on_undecodable(self, key: ObjectKey, resource_version: int) -> None:
        self.log.append(("undecodable", str(key), resource_version))


@dataclass
class Running:
    reflector: Reflector[DiemJob]
    heard: Heard

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - a test polls what the code under test knows nothing of
                await asyncio.sleep(0.005)


@pytest.fixture
async def running(session: ApiServer, server: ScriptedServer) -> AsyncIterator[Running]:
    heard = Heard()
    reactions = Reactions(on_replace=heard.on_replace, on_event=heard.on_event, on_undecodable=heard.on_undecodable)
    reflector = Reflector(Cluster(session).diemjobs, reactions, timing=TIMING)
    task = asyncio.create_task(reflector.run())
    yield Running(reflector, heard)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def is_watch(request: SeenRequest) -> bool:
    return query(request).get("watch") == "true"


def query(request: SeenRequest) -> dict[str, str]:
    return dict(parse_qsl(request.target.partition("?")[2]))


def watched_from(server: ScriptedServer) -> list[str]:
    return [query(request)["resourceVersion"] for request in server.requests if is_watch(request)]


async def test_list_is_told_then_every_change_from_there(server: ScriptedServer, running: Running) -> None:
    before = (running.reflector.is_synced, running.reflector.resource_version, running.reflector.confirmed_at)
    assert before == (False, 0, None)
    server.plays(
        answer(200, page(diemjob("a"), version=100)),
        stream(event("ADDED", diemjob("b", version=101)), event("DELETED", diemjob("a", version=102)), then_hang=True),
    )
    await running.until(lambda: len(running.heard.log) == 3)
    assert running.heard.log == [("replace", ("a",), 100), ("ADDED", "b", 101), ("DELETED", "a", 102)]
    assert running.reflector.is_synced
    assert running.reflector.resource_version == 102
    watch = query(server.requests[1])
    assert (watch["resourceVersion"], watch["allowWatchBookmarks"]) == ("100", "true")


async def test_ended_watch_is_resumed_where_it_ended_without_a_list(server: ScriptedServer, running: Running) -> None:
    server.plays(
        answer(200, page(version=100)),
        stream(event("ADDED", diemjob("a", version=105))),
        stream(bookmark(150)),
        stream(event("ADDED", diemjob("b", version=151)), then_hang=True),
    )
    await running.until(lambda: running.reflector.resource_version == 151)
    assert watched_from(server) == ["100", "105", "150"]
    assert [kind for kind, _, _ in running.heard.log] == ["replace", "ADDED", "ADDED"]


@pytest.mark.parametrize(
    "faults",
    [(close, close), (reset, reset), (answer(503, {}),), (answer(403, failure(403, "Forbidden")),)],
    ids=["closed", "reset", "503", "403"],
)
async def test_failed_watch_leads_to_a_new_list(
    server: ScriptedServer, running: Running, faults: tuple[Play, ...]
) -> None:
    # A connection that was used before and is lost is tried once more by the HTTP client itself.
    server.plays(
        answer(200, page(version=100)),
        *faults,
        answer(200, page(diemjob("a"), version=110)),
        stream(event("ADDED", diemjob("b", version=111)), then_hang=True),
    )
    await running.until(lambda: running.reflector.resource_version == 111)
    assert list(dict.fromkeys(watched_from(server))) == ["100", "110"]
    assert running.heard.log == [("replace", (), 100), ("replace", ("a",), 110), ("ADDED", "b", 111)]


async def test_watch_that_an_overloaded_server_refuses_is_tried_again_without_a_list(
    server: ScriptedServer, running: Running
) -> None:
    busy = answer(429, failure(429, "TooManyRequests"))
    server.plays(answer(200, page(version=100)), busy, busy, stream(bookmark(101), then_hang=True))
    await running.until(lambda: running.reflector.resource_version == 101)
    assert watched_from(server) == ["100", "100", "100"]
    assert [kind for kind, _, _ in running.heard.log] == ["replace"]


@pytest.mark.parametrize(
    "earlier", [bookmark(101), event("MODIFIED", diemjob("a", version=101))], ids=["bookmark", "event"]
)
async def test_version_that_goes_back_is_not_told_and_leads_to_a_new_list(
    server: ScriptedServer, running: Running, earlier: bytes
) -> None:
    server.plays(
        answer(200, page(version=100)),
        stream(event("ADDED", diemjob("a", version=105)), earlier, then_hang=True),
        answer(200, page(version=102)),
        stream(then_hang=True),
    )
    await running.until(lambda: len(watched_from(server)) == 2)
    assert running.heard.log == [("replace", (), 100), ("ADDED", "a", 105), ("replace", (), 102)]
    assert watched_from(server) == ["100", "102"]


@pytest.mark.parametrize(
    "gone",
    [answer(410, failure(410, "Expired")), stream(event("ERROR", failure(410, "Expired")))],
    ids=["refused", "in the stream"],
)
async def test_too_old_version_leads_to_a_new_list(server: ScriptedServer, running: Running, gone: object) -> None:
    assert callable(gone)
    server.plays(
        answer(200, page(diemjob("a"), version=100)),
        gone,
        answer(200, page(diemjob("b"), version=900)),
        stream(then_hang=True),
    )
    await running.until(lambda: len(watched_from(server)) == 2)
    assert running.heard.log == [("replace", ("a",), 100), ("replace", ("b",), 900)]
    assert watched_from(server) == ["100", "900"]


async def test_silent_connection_is_left_for_a_new_list(server: ScriptedServer, running: Running) -> None:
    server.plays(
        answer(200, page(version=100)),
        stream(event("ADDED", diemjob("a", version=101)), then_hang=True),
        answer(200, page(diemjob("b"), version=102)),
    )
    await running.until(lambda: running.reflector.resource_version == 102)
    assert running.heard.log == [("replace", (), 100), ("ADDED", "a", 101), ("replace", ("b",), 102)]


async def test_line_that_is_cut_off_is_told_when_it_comes_whole(server: ScriptedServer, running: Running) -> None:
    server.plays(
        answer(200, page(version=100)),
        stream(event("ADDED", diemjob("a", version=101)), b'{"type":"ADDED","object":{"metada'),
        stream(event("ADDED", diemjob("b", version=102)), then_hang=True),
    )
    await running.until(lambda: running.reflector.resource_version == 102)
    assert running.heard.log[1:] == [("ADDED", "a", 101), ("ADDED", "b", 102)]


async def test_nonsense_in_the_stream_starts_it_anew(server: ScriptedServer, running: Running) -> None:
    server.plays(
        answer(200, page(version=100)),
        stream(event("ADDED", diemjob("a", version=101)), b"nonsense\n", event("ADDED", diemjob("x", version=102))),
        answer(200, page(diemjob("b"), version=103)),
    )
    await running.until(lambda: running.reflector.resource_version == 103)
    assert running.heard.log[1:] == [("ADDED", "a", 101), ("replace", ("b",), 103)]


async def test_undecodable_object_is_told_by_name_and_the_stream_goes_on(
    server: ScriptedServer, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.plays(
        answer(200, page(diemjob("a"), undecodable("c"), version=100)),
        stream(
            event("MODIFIED", undecodable("a", version=101)),
            event("ADDED", diemjob("b", version=102)),
            then_hang=True,
        ),
    )
    await running.until(lambda: running.reflector.resource_version == 102)
    assert running.heard.log == [
        ("undecodable", "team-a/c", 100),
        ("replace", ("a",), 100),
        ("undecodable", "team-a/a", 101),
        ("ADDED", "b", 102),
    ]
    assert {"team-a/a", "team-a/c"} <= set(caplog.text.split())
    assert "hunter2" not in caplog.text


async def test_knowledge_is_confirmed_by_lists_events_and_bookmarks_only(
    server: ScriptedServer, running: Running
) -> None:
    server.plays(answer(200, page(version=100)), stream(bookmark(101)), *[answer(403, failure(403, "Forbidden"))] * 500)
    await running.until(lambda: running.reflector.resource_version == 101)
    confirmed_at = running.reflector.confirmed_at
    await running.until(lambda: len(server.requests) > 8)
    assert running.reflector.confirmed_at == confirmed_at
    assert running.reflector.is_synced


async def test_list_is_repeated_when_it_is_due(server: ScriptedServer, session: ApiServer) -> None:
    """However often the watch has ended since, and although it says that nothing is missing."""
    heard = Heard()
    reactions = Reactions(on_replace=heard.on_replace, on_event=heard.on_event, on_undecodable=heard.on_undecodable)
    timing = replace(TIMING, inactivity_seconds=5, relist_seconds=0.2)
    server.plays(
        answer(200, page(diemjob("a"), version=100)),
        stream(bookmark(150)),
        stream(bookmark(151), then_hang=True),
        answer(200, page(version=151)),
        stream(then_hang=True),
    )
    running = Running(Reflector(Cluster(session).diemjobs, reactions, timing=timing), heard)
    task = asyncio.create_task(running.reflector.run())
    await running.until(lambda: len(watched_from(server)) == 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert heard.log == [("replace", ("a",), 100), ("replace", (), 151)]
    assert watched_from(server) == ["100", "150", "151"]


async def test_first_list_is_tried_until_it_is_allowed(server: ScriptedServer, running: Running) -> None:
    server.plays(
        answer(403, failure(403, "Forbidden")),
        answer(401, failure(401, "Unauthorized")),
        answer(429, failure(429, "TooManyRequests"), Retry_After="3600"),
        answer(200, page(version=100)),
    )
    async with asyncio.timeout(5):
        await running.reflector.wait_until_synced()
    assert running.heard.log == [("replace", (), 100)]


async def test_refusal_of_a_moment_is_none(server: ScriptedServer, running: Running) -> None:
    server.plays(*[answer(403, failure(403, "Forbidden"))] * 500)
    await running.until(lambda: len(server.requests) > 5)
    assert not running.reflector.is_refused


async def test_one_refusal_is_none_however_long_it_is_ago(
    server: ScriptedServer, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "REFUSED_SECONDS", 0.01)
    server.plays(answer(403, failure(403, "Forbidden")), *[answer(503, {})] * 500)
    await running.until(lambda: len(server.requests) > 10)
    assert not running.reflector.is_refused
    server.script.clear()
    server.plays(*[answer(403, failure(403, "Forbidden"))] * 500)
    await running.until(lambda: running.reflector.is_refused)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "REFUSED_SECONDS", 0.0)


@pytest.mark.usefixtures("impatience")
async def test_refusal_is_known_until_a_list_succeeds(server: ScriptedServer, running: Running) -> None:
    forbidden, busy = answer(403, failure(403, "Forbidden")), answer(503, {})
    server.plays(answer(200, page(version=100)), forbidden, busy, forbidden, *[busy] * 5, hang)
    await running.until(lambda: len(server.requests) == 10)
    assert running.reflector.is_refused
    assert running.reflector.is_synced


@pytest.mark.usefixtures("impatience")
async def test_list_that_succeeds_ends_a_refusal(server: ScriptedServer, running: Running) -> None:
    server.plays(answer(403, failure(403, "Forbidden")), answer(200, page(version=100)), stream(then_hang=True))
    await running.until(lambda: running.reflector.is_refused)
    await running.until(lambda: running.reflector.is_synced and not running.reflector.is_refused)


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("fault", [answer(404, failure(404, "NotFound")), answer(500, {}), close])
async def test_other_trouble_is_no_refusal(server: ScriptedServer, running: Running, fault: Play) -> None:
    server.plays(*[fault] * 500)
    await running.until(lambda: len(server.requests) > 5)
    assert not running.reflector.is_refused


@pytest.mark.usefixtures("impatience")
async def test_watch_that_is_refused_beside_lists_that_succeed_is_no_refusal_and_logged_once(
    server: ScriptedServer, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    states = []
    for version in range(100, 105):
        server.plays(answer(200, page(version=version)), answer(403, failure(403, "Forbidden")))
        await running.until(lambda version=version: running.reflector.resource_version == version)  # type: ignore[misc]
        await server.wait_for_requests(2 * (version - 99))
        states.append(running.reflector.is_refused)
    assert states == [False] * 5
    assert len([record for record in caplog.records if "Could not follow" in record.message]) == 1


async def test_refusal_is_logged_once_also_where_it_follows_other_trouble(
    server: ScriptedServer, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.plays(answer(503, {}), *[answer(403, failure(403, "Forbidden"))] * 500)
    await running.until(lambda: len(server.requests) > 5)
    assert [record.message.count("403") for record in caplog.records if "Could not follow" in record.message] == [0, 1]


async def test_trouble_is_logged_once_and_not_at_each_try(
    server: ScriptedServer, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.plays(*[answer(403, failure(403, "Forbidden"))] * 500)
    await running.until(lambda: len(server.requests) > 5)
    assert len([record for record in caplog.records if "Could not follow" in record.message]) == 1


async def test_bug_in_a_reaction_is_not_swallowed(server: ScriptedServer, session: ApiServer) -> None:
    def fail(items: tuple[DiemJob, ...], resource_version: int) -> None:
        raise LookupError

    heard = Heard()
    reactions = Reactions(on_replace=fail, on_event=heard.on_event, on_undecodable=heard.on_undecodable)
    server.plays(answer(200, page(version=100)))
    with pytest.raises(LookupError):
        await Reflector(Cluster(session).diemjobs, reactions).run()
