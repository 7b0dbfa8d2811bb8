"""A request byte by byte: HTTP libraries correct what an attacker would send, or refuse to send it."""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from diem_operator.api.endpoint import PATH
from tests.security.tokens.installation import JOB

TIMEOUT_SECONDS = 10.0
CHANGING = {"Date"}
BODY = json.dumps({"id": JOB, "action": "start"}).encode()
"""A start: whoever gets in leaves a mark."""


@dataclass(frozen=True, kw_only=True)
class WireAnswer:
    """What came back, without what differs between two equal answers."""

    status: int
    headers: tuple[str, ...]
    body: str


def ask_with(port: int, *header_lines: bytes, target: str = PATH, body: bytes = BODY) -> WireAnswer:
    """Send a command with these header lines, which may be anything, and return the answer."""
    return send(port, [*header_lines, f"Content-Length: {len(body)}".encode()], target=target, body=body)


def send(port: int, header_lines: Sequence[bytes], *, target: str, body: bytes) -> WireAnswer:
    """Send header lines and body as they are."""
    start = [f"POST {target} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Content-Type: application/json"]
    head = b"\r\n".join([*start, b"Connection: close", *header_lines, b"", b""])
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        received = b""
        try:
            connection.sendall(head + body)
            while piece := connection.recv(65536):
                received += piece
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server had seen enough, and its answer may have come before
    return parse_answer(received)


def parse_answer(received: bytes) -> WireAnswer:
    """Read the one answer on a connection that is closed."""
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = tuple(sorted(line for line in lines if line.partition(":")[0] not in CHANGING))
    return WireAnswer(status=int(status_line.split()[1]) if received else 0, headers=headers, body=body.decode())
