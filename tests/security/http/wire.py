"""Bytes to a server and answers from it, without a library that would correct the one or forgive the other."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from diem_operator.api.endpoint import PATH

ANSWER_SECONDS = 15.0
QUIET_SECONDS = 0.7
"""Without another byte for so long, a server that has given the expected answers has said what it had to say."""

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class WireAnswer:
    """One answer, as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def stable_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers without the one that tells the time."""
        return tuple(header for header in self.headers if header[0] != "Date")

    @property
    def problem(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What a server answered to some bytes, and whether it closed the connection then."""

    answers: tuple[WireAnswer, ...]
    rest: bytes
    is_closed: bool

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def build_request(
    token: str | None,
    body: bytes,
    *lines: bytes,
    start: bytes = f"POST {PATH} HTTP/1.1".encode(),
    framing: bytes | None = None,
) -> bytes:
    """Return a request; `framing` stands in place of the right Content-Length."""
    head = [start, b"Host: 127.0.0.1", b"Content-Type: application/json", *lines]
    if token is not None:
        head.append(b"x-api-key: " + token.encode())
    head.append(b"Content-Length: %d" % len(body) if framing is None else framing)
    return b"\r\n".join([*(line for line in head if line), b"", b""]) + body


def command(action: str, job_id: str) -> bytes:
    return json.dumps({"id": job_id, "action": action}).encode()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
        yield connection


def converse(port: int, data: bytes, *, count: int = 1) -> Conversation:
    """Send bytes on a new connection and listen until the server closes it or has nothing more to say.

    Args:
        port: the server's.
        data: whatever it is.
        count: how many answers are waited for, and not only for a moment.
    """
    with connected(port) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it had seen enough; its answer may have come before
            connection.sendall(data)
        received, is_closed = listen(connection, count=count)
    answers, rest = parse_answers(received)
    return Conversation(answers=answers, rest=rest, is_closed=is_closed)


def listen(connection: socket.socket, *, count: int = 1) -> tuple[bytes, bool]:
    """Return what comes, and whether the connection ended."""
    received = b""
    while True:
        is_complete = len(parse_answers(received)[0]) >= count
        connection.settimeout(QUIET_SECONDS if is_complete else ANSWER_SECONDS)
        try:
            piece = connection.recv(65536)
        except TimeoutError:
            return received, False
        except ConnectionResetError:
            return received, True
        if not piece:
            return received, True
        received += piece


def ask(port: int, request: bytes) -> WireAnswer:
    """Send one request and return its answer, which the server may take its time for."""
    with connected(port) as connection:
        connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> WireAnswer:
    """Return the next answer on a connection; there must be nothing behind it."""
    connection.settimeout(ANSWER_SECONDS)
    received = b""
    while True:
        piece = connection.recv(65536)
        received += piece
        answers, rest = parse_answers(received)
        if answers or not piece:
            assert len(answers) == 1, f"{len(answers)} answers"
            assert rest == b""
            return answers[0]


def parse_answers(received: bytes) -> tuple[tuple[WireAnswer, ...], bytes]:
    """Return the complete answers at the beginning, and what is left."""
    answers = []
    while received.startswith(b"HTTP/1."):
        head, separator, rest = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        length = int(dict(headers).get("Content-Length", "0"))
        if not separator or len(rest) < length:
            break
        status = int(status_line.split()[1])
        if status != 100:
            answers.append(WireAnswer(status=status, headers=headers, body=rest[:length]))
        received = rest[length:]
    return tuple(answers), received
