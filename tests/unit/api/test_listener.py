"""What is no proper HTTP, and what takes too long: spoken over a bare socket."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from diem_operator.api.listener import LOGGED_AT_ONCE
from tests.unit.api.service import QUICK, Service, running_service

HIDDEN = "a-value-that-no-log-may-show"


async def talk(service: Service, request: bytes) -> bytes:
    """Send bytes and return all that comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def begin_request(service: Service) -> bytes:
    """Return a request whose body is never finished."""
    headers = f"Host: x\r\nx-api-key: {service.token}\r\nContent-Length: 9"
    return f"POST /etl-mgr/api/apijob HTTP/1.1\r\n{headers}\r\n\r\n{{".encode()


def problem_in(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return dict(json.loads(body))


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(
            f"POST / HTTP/1.1\r\nHost: x\r\nx-api-key: {HIDDEN}{'x' * 9000}\r\n\r\n".encode(), id="long header"
        ),
        pytest.param(
            f"POST / HTTP/1.1\r\nHost: x\r\n{''.join(f'h{n}: v' + chr(13) + chr(10) for n in range(70))}"
            f"x-api-key: {HIDDEN}\r\n\r\n".encode(),
            id="many headers",
        ),
        pytest.param(f"POST / HTTP/1.1\r\nHost: x\r\nx-api-key: {HIDDEN}\x00\r\n\r\n".encode(), id="NUL in a header"),
        pytest.param(f"{HIDDEN}\r\n\r\n".encode(), id="no HTTP"),
        pytest.param(f"POST /{'x' * 9000} HTTP/1.1\r\nHost: x\r\nx-api-key: {HIDDEN}\r\n\r\n".encode(), id="long path"),
    ],
)
async def test_what_cannot_be_read_is_answered_and_not_logged(
    service: Service, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    answer = await talk(service, request_bytes)

    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert problem_in(answer)["message"] == "this is no HTTP request, or its headers are too large"
    assert HIDDEN not in caplog.text
    assert HIDDEN.encode() not in answer
    assert b"Server: diem-operator" in answer


async def test_connection_that_says_nothing_is_closed() -> None:
    async with running_service(msgspec.structs.replace(QUICK, idle_timeout_seconds=0.05)) as service:
        assert await talk(service, b"") == b""


async def test_headers_that_trickle_in_for_ever_are_cut_off() -> None:
    async with running_service(msgspec.structs.replace(QUICK, idle_timeout_seconds=0.2)) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n")
        closing = asyncio.create_task(reader.read())
        async with asyncio.timeout(10):
            while not closing.done():
                writer.write(b"a: b\r\n")
                await asyncio.sleep(0.02)
        writer.close()

        assert await closing == b""


async def test_body_that_never_ends_is_a_bad_request_and_ends_the_connection() -> None:
    async with running_service(msgspec.structs.replace(QUICK, body_timeout_seconds=0.05)) as service:
        answer = await talk(service, begin_request(service))

        assert answer.startswith(b"HTTP/1.1 400")
        assert problem_in(answer)["message"] == "the body did not arrive within 0.05 seconds; send it again"


async def test_caller_that_leaves_in_the_middle_of_a_body_is_no_error(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(begin_request(service))
    await writer.drain()
    while not service.read_metric("diem_api_authentications_total", verdict="accepted"):  # noqa: ASYNC110 - it is a poll
        await asyncio.sleep(0.001)

    writer.close()

    assert await reader.read() == b""
    await service.send("GET", "/healthz")
    assert [record for record in caplog.records if record.name.startswith("diem_operator")] == []


async def test_connection_is_kept_for_the_next_request(service: Service) -> None:
    for _ in range(3):
        await service.send("GET", "/healthz")

    assert service.session.connector is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"ok\n")
    writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 404, id="chunks"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 404, id="upgrade"),
        pytest.param(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 404, id="tunnel"),
    ],
)
async def test_nothing_is_read_behind_what_could_be_read_in_two_ways(
    service: Service, request_bytes: bytes, status: int
) -> None:
    answer = await talk(service, request_bytes + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1") == 1
    assert b"\r\nConnection: close\r\n" in answer


async def test_log_is_not_flooded_by_what_cannot_be_read(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for _ in range(3 * LOGGED_AT_ONCE):
        await talk(service, b"nonsense\r\n\r\n")

    lines = [record for record in caplog.records if "cannot be read" in record.message]
    assert LOGGED_AT_ONCE <= len(lines) < 2 * LOGGED_AT_ONCE
    assert service.read_metric("diem_api_refusals_total", kind="unreadable") == 3 * LOGGED_AT_ONCE
