"""One call, as a line to copy and as it is sent; against a server on loopback that keeps what it gets."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hack.local.calls import Answer, Call, Caller
from hack.local.errors import StoryError
from hack.local.ports import find_free

CALL = Call(body={"id": "it's", "action": "start"}, headers={"Idempotency-Key": "demo-1"})


class Server(ThreadingHTTPServer):
    """Answers every POST with the same; `received` is the last one."""

    status = 200
    received: dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received = {"path": self.path, "body": json.loads(body), **self.headers}
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b'{"message": "told", "run": {"id": "one"}}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def caller(server: Server) -> Caller:
    return Caller(url=f"http://127.0.0.1:{server.server_port}", token="the token")


def test_line_to_copy_names_the_key_by_its_variable_and_is_quoted_for_a_shell() -> None:
    assert CALL.curl_line == (
        'curl -sS -X POST "$DIEM_URL/etl-mgr/api/apijob" -H "x-api-key: $DIEM_API_KEY"'
        " -H 'Content-Type: application/json' -H 'Idempotency-Key: demo-1'"
        """ -d '{"id": "it'"'"'s", "action": "start"}'"""
    )


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(
            Caller.ask_with_curl,
            id="curl",
            marks=pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
        ),
        pytest.param(Caller.ask_with_urllib, id="urllib"),
    ],
)
@pytest.mark.parametrize("status", [200, 401])
def test_both_ways_to_ask_send_and_return_the_same(
    server: Server, caller: Caller, way: Callable[[Caller, Call], Answer], status: int
) -> None:
    server.status = status

    answer = way(caller, CALL)

    assert (answer.status, answer.message, answer.run_id) == (status, "told", "one")
    received = {name.lower(): value for name, value in server.received.items()}
    assert received["path"] == "/etl-mgr/api/apijob"
    assert received["body"] == CALL.body
    assert received["x-api-key"] == "the token"
    assert received["content-type"] == "application/json"
    assert received["idempotency-key"] == "demo-1"


@pytest.mark.parametrize("curl", [pytest.param("/usr/bin/curl", id="there"), pytest.param(None, id="missing")])
def test_curl_is_used_where_it_is_installed(caller: Caller, monkeypatch: pytest.MonkeyPatch, curl: str | None) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: curl)

    assert caller.way_to_ask == (caller.ask_with_curl if curl else caller.ask_with_urllib)


def test_no_answer_is_an_error_that_names_the_place_and_not_the_key() -> None:
    url = f"http://127.0.0.1:{find_free()}"
    caller = Caller(url=url, token="the token")

    with pytest.raises(StoryError, match=url) as error:
        caller.ask_with_urllib(CALL)

    assert "the token" not in str(error.value) + repr(caller)
