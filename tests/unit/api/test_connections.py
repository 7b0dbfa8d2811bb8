"""Connections cost memory: there are only so many, and each holds only so much."""

import asyncio
import resource
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest
from aiohttp import web

from diem_operator.api import connections
from diem_operator.api.connections import MAX_HEAD_BYTES, BoundedConnection, Connections, find_max_open
from diem_operator.metrics import Refusal
from diem_operator.model.diemjob import Phase
from tests.unit.api.objects import make_diemjob_in
from tests.unit.api.service import QUICK, Service, running_service

MAX_OPEN = 32
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def crowded() -> AsyncIterator[Service]:
    """A service with room for a few connections."""
    async with running_service(msgspec.structs.replace(QUICK, max_connections=MAX_OPEN)) as service:
        yield service


async def connect(service: Service, said: bytes = b"") -> Pipe:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(said)
    return reader, writer


async def is_healthy(pipe: Pipe) -> bool:
    reader, writer = pipe
    writer.write(HEALTH)
    try:
        return b"200 OK" in await asyncio.wait_for(reader.readuntil(b"ok\n"), 10)
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


async def wait_for_count(service: Service, count: int) -> None:
    async with asyncio.timeout(10):
        while service.read_metric("diem_api_connections") != count:  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.005)


async def close_all(*pipes: Pipe) -> None:
    for _, writer in pipes:
        writer.close()


@pytest.mark.parametrize("said", [b"", b"POST / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
async def test_connections_that_say_nothing_make_room(crowded: Service, said: bytes) -> None:
    pipes = [await connect(crowded, said) for _ in range(5 * MAX_OPEN)]

    newcomer = await connect(crowded)
    assert await is_healthy(newcomer)

    assert (crowded.read_metric("diem_api_connections") or 0) <= MAX_OPEN
    assert (crowded.read_metric("diem_api_refusals_total", kind="connections") or 0) >= 4 * MAX_OPEN
    await close_all(newcomer, *pipes)


async def test_longest_idle_goes_first_and_who_talks_stays(crowded: Service) -> None:
    talking = await connect(crowded)
    assert await is_healthy(talking)
    silent = [await connect(crowded) for _ in range(MAX_OPEN - 1)]
    await wait_for_count(crowded, MAX_OPEN)
    assert await is_healthy(talking)

    newcomer = await connect(crowded)
    assert await is_healthy(newcomer)

    assert await silent[0][0].read() == b""
    assert await is_healthy(talking)
    assert await is_healthy(silent[-1])
    await close_all(talking, newcomer, *silent)


async def test_connections_that_a_proxy_keeps_stay_before_those_that_said_nothing(crowded: Service) -> None:
    kept = [await connect(crowded) for _ in range(MAX_OPEN // 2)]
    assert all([await is_healthy(pipe) for pipe in kept])
    silent = [await connect(crowded) for _ in range(MAX_OPEN // 2)]
    await wait_for_count(crowded, MAX_OPEN)

    newcomers = [await connect(crowded, b"G") for _ in range(MAX_OPEN // 2)]
    newcomers.append(await connect(crowded))
    assert await is_healthy(newcomers[-1])

    assert all([await is_healthy(pipe) for pipe in kept])
    await close_all(*kept, *silent, *newcomers)


async def test_connections_with_a_request_under_way_are_left_alone(crowded: Service) -> None:
    crowded.cluster.diemjobs.store(make_diemjob_in(Phase.RUNNING))
    body = b'{"id": "nightly", "action": "status", "wait": 30}'
    head = f"POST /etl-mgr/api/apijob HTTP/1.1\r\nHost: x\r\nx-api-key: {crowded.token}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    busy = [await connect(crowded, request) for _ in range(MAX_OPEN)]
    async with asyncio.timeout(10):
        while crowded.read_metric("diem_api_waiting_requests") != MAX_OPEN:  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(0.005)

    refused = await connect(crowded)
    assert not await is_healthy(refused)

    assert not any(reader.at_eof() for reader, _ in busy)
    assert crowded.read_metric("diem_api_waiting_requests") == MAX_OPEN
    await close_all(refused, *busy)


async def test_closed_connections_count_no_more(crowded: Service) -> None:
    pipes = [await connect(crowded) for _ in range(5)]
    await wait_for_count(crowded, 5)

    await close_all(*pipes)

    await wait_for_count(crowded, 0)


async def test_head_that_grows_for_ever_is_cut_off(service: Service) -> None:
    _, writer = await connect(service, b"POST / HTTP/1.1\r\nHost: x\r\n")
    sent = 0
    try:
        for number in range(60):
            line = f"h{number}: {'x' * 8000}\r\n".encode()
            writer.write(line)
            await writer.drain()
            await asyncio.sleep(0.001)
            sent += len(line)
    except ConnectionError:
        pass

    assert sent < MAX_HEAD_BYTES + 100_000
    assert service.read_metric("diem_api_refusals_total", kind="unreadable") == 1
    writer.close()


async def test_heads_that_never_end_have_little_room_together(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_HEADS_BYTES", 10_000)
    half = b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 4000
    first, second, third = [await connect(service, half) for _ in range(3)]

    assert b" 431 " in await asyncio.wait_for(third[0].read(), 10)

    for reader, writer in (first, second):
        writer.write(b"\r\n\r\n")
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"ok\n"), 10)
    assert await is_healthy(first), "what is complete is counted no longer"
    await close_all(first, second, third)


async def test_head_of_usual_size_may_come_in_pieces(service: Service) -> None:
    reader, writer = await connect(service)
    for _ in range(3):
        for piece in (b"GET /healthz ", b"HTTP/1.1\r\nHost", b": x\r\nA: " + b"x" * 8000, b"\r\nB: " + b"x" * 8000):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        writer.write(b"\r\nC: d\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"ok\n")
    for _ in range(10):  # more in all than one head may have
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 8000)
        await writer.drain()
        await asyncio.sleep(0.005)
        writer.write(b"\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"ok\n")
    writer.close()


async def test_answers_that_nobody_reads_end_the_connection(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.2)
    reader, writer = await connect(service)
    reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - what the attacker does

    async def send_for_ever() -> None:
        while True:
            writer.write(HEALTH * 100)
            await writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_for_ever(), 30)

    assert service.read_metric("diem_api_refusals_total", kind="unread") == 1
    await wait_for_count(service, 0)
    writer.close()


class SlowCaller(asyncio.Transport):
    """The end of a connection whose buffers are full when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_aborted = False
        self.is_closed = False
        self.unread_bytes = 0

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes


@dataclass
class SlowService:
    """A connection with a slow caller, and what was refused."""

    caller: SlowCaller
    connection: BoundedConnection
    refused: list[Refusal]


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SlowService]:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.02)
    refused: list[Refusal] = []
    caller, bounds = SlowCaller(), Connections(max_open=1, observe_refusal=refused.append)
    connection = BoundedConnection(web.Server(answer), connections=bounds, loop=asyncio.get_running_loop())
    connection.connection_made(caller)
    yield SlowService(caller, connection, refused)
    connection.connection_lost(None)


@pytest.mark.parametrize("unread_bytes", [0, 1000])
async def test_caller_that_reads_late_is_not_given_up(slow: SlowService, unread_bytes: int) -> None:
    slow.connection.pause_writing()
    slow.caller.unread_bytes = unread_bytes
    slow.connection.resume_writing()
    await asyncio.sleep(0.05)
    assert (slow.caller.is_aborted, slow.refused) == (False, [])

    slow.caller.unread_bytes = 100_000
    slow.connection.pause_writing()
    await asyncio.sleep(0.05)
    assert (slow.caller.is_aborted, slow.refused) == (True, [Refusal.UNREAD])


async def test_rest_of_an_answer_that_nobody_reads_does_not_keep_a_closing_connection(slow: SlowService) -> None:
    slow.caller.unread_bytes = 1000
    slow.connection.pause_writing()
    slow.connection.resume_writing()
    slow.connection.force_close()
    assert slow.caller.is_closed

    await asyncio.sleep(0.05)

    assert slow.caller.is_aborted


async def answer(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


async def test_requests_sent_ahead_are_answered_in_order(service: Service) -> None:
    reader, writer = await connect(service, HEALTH * 200)

    for _ in range(200):
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"ok\n"), 10)
    writer.close()


def test_room_is_left_for_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert find_max_open(10_000) == 1024 - connections.SPARE_FILES
    assert find_max_open(100) == 100
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert find_max_open(10_000) == 10_000
