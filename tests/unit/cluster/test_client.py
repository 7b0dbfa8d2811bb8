"""The session's promise: after a write it is known whether it was certainly not carried out, or perhaps."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.credentials import Credentials, TlsMaterial
from diem_operator.cluster.errors import (
    AlreadyExists,
    BadRequest,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    OtherRefusal,
    OutcomeUnknown,
    Refused,
    RequestNotSent,
    TooLarge,
    TooManyRequests,
    Unauthorized,
)
from diem_operator.cluster.tokens import FixedAuthorization, TokenFile
from tests.unit.cluster.scripted_server import (
    Play,
    ScriptedServer,
    answer,
    close,
    hang,
    raw,
    reset,
    run_scripted_server,
    stream,
    truncated,
)
from tests.unit.handshake import make_bare_server

WRITES = ["POST", "PUT", "PATCH", "DELETE"]
PATH = "/apis/batch/v1/namespaces/team-a/jobs"


async def write(session: ApiServer, method: str = "POST", timeout_seconds: float = 2.0) -> bytes:
    return await session.request(method, PATH, body={"kind": "Job"}, timeout_seconds=timeout_seconds)


async def warm_up(session: ApiServer, server: ScriptedServer) -> None:
    """Leave one open connection in the session's pool."""
    server.plays(answer(200, {}))
    await session.request("GET", "/version", timeout_seconds=2)
    server.requests.clear()


def status_body(code: int, reason: str = "", message: str = "no", causes: tuple[str, ...] = ()) -> dict[str, object]:
    details = {"causes": [{"reason": cause} for cause in causes]}
    return {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}


async def test_success_gives_the_body(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(answer(201, {"kind": "Job"}))
    assert await write(session) == b'{"kind": "Job"}'
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", PATH, b'{"kind":"Job"}')
    assert request.headers["content-type"] == "application/json"


async def test_query_is_encoded_and_the_content_type_is_the_callers(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(answer(200, {}))
    await session.request(
        "PATCH",
        PATH,
        query={"labelSelector": "a=b,c in (d)"},
        body=[],
        content_type="application/json-patch+json",
        timeout_seconds=2,
    )
    (request,) = server.requests
    assert request.target == f"{PATH}?labelSelector=a%3Db%2Cc+in+%28d%29"
    assert request.headers["content-type"] == "application/json-patch+json"


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("fault", [close, reset, truncated(b'{"kind":'), raw(b"SMTP ready\r\n\r\n")])
async def test_write_with_a_broken_answer_has_an_unknown_outcome_and_is_sent_once(
    server: ScriptedServer, session: ApiServer, method: str, fault: Play
) -> None:
    server.plays(fault)
    with pytest.raises(OutcomeUnknown):
        await write(session, method)
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("fault", [close, reset])
async def test_write_on_a_reused_connection_that_breaks_is_never_sent_again(
    server: ScriptedServer, session: ApiServer, method: str, fault: Play
) -> None:
    await warm_up(session, server)
    server.plays(fault, answer(409, status_body(409, "Conflict")))
    with pytest.raises(OutcomeUnknown):
        await write(session, method)
    assert [request.connection for request in server.requests] == [1]


async def test_read_on_a_reused_connection_that_breaks_is_sent_again(
    server: ScriptedServer, session: ApiServer
) -> None:
    await warm_up(session, server)
    server.plays(close, answer(200, {"items": []}))
    assert await session.request("GET", PATH, timeout_seconds=2) == b'{"items": []}'


async def test_write_without_an_answer_in_time_has_an_unknown_outcome(
    server: ScriptedServer, session: ApiServer
) -> None:
    server.plays(hang)
    with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.1 s") as caught:
        await write(session, timeout_seconds=0.1)
    assert caught.value.status is None


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 302])
async def test_write_answered_by_somebody_in_trouble_has_an_unknown_outcome(
    server: ScriptedServer, session: ApiServer, status: int
) -> None:
    server.plays(answer(status, status_body(status, "InternalError")))
    with pytest.raises(OutcomeUnknown) as caught:
        await write(session)
    assert caught.value.status == status


async def test_redirects_are_not_followed(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(answer(307, {}, Location="/elsewhere"), answer(201, {}))
    with pytest.raises(OutcomeUnknown):
        await write(session)
    assert [request.path for request in server.requests] == [PATH]


async def test_write_to_a_closed_port_was_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    session = ApiServer(Credentials(server=f"http://127.0.0.1:{port}"))
    with pytest.raises(RequestNotSent, match="cannot connect"):
        await write(session)
    await session.close()


async def test_write_to_a_name_that_does_not_resolve_was_not_sent() -> None:
    session = ApiServer(Credentials(server="https://no-such-host.invalid"))
    with pytest.raises(RequestNotSent, match="cannot connect"):
        await write(session)
    await session.close()


async def test_write_to_a_server_that_speaks_no_tls_was_not_sent(server: ScriptedServer) -> None:
    session = ApiServer(Credentials(server=f"https://127.0.0.1:{server.port}"))
    with pytest.raises(RequestNotSent):
        await write(session, timeout_seconds=5)
    await session.close()
    assert server.requests == []


async def test_write_that_gets_no_connection_in_time_was_not_sent(server: ScriptedServer) -> None:
    session = ApiServer(Credentials(server=server.url), connection_limit=1)
    first = asyncio.create_task(write(session, timeout_seconds=5))
    await server.wait_for_requests(1)
    with pytest.raises(RequestNotSent, match="no connection in time"):
        await write(session, timeout_seconds=0.2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await session.close()


async def test_request_after_close_was_not_sent(server: ScriptedServer, session: ApiServer) -> None:
    await session.close()
    with pytest.raises(RequestNotSent, match="closed"):
        await write(session)


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (400, "BadRequest", BadRequest),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Gone),
        (413, "RequestEntityTooLarge", TooLarge),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (405, "MethodNotAllowed", OtherRefusal),
        (418, "", OtherRefusal),
    ],
)
async def test_refusal_has_the_type_of_its_code(
    server: ScriptedServer, session: ApiServer, status: int, reason: str, error: type[Refused]
) -> None:
    server.plays(answer(status, status_body(status, reason, "the reason")))
    with pytest.raises(Refused) as caught:
        await write(session)
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason, caught.value.message) == (status, reason, "the reason")


async def test_refusal_names_its_causes(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(answer(403, status_body(403, "Forbidden", causes=("NamespaceTerminating",))))
    with pytest.raises(Forbidden) as caught:
        await write(session)
    assert caught.value.causes == ("NamespaceTerminating",)


@pytest.mark.parametrize(
    ("headers", "details", "expected"),
    [
        ({"Retry_After": "7"}, {"retryAfterSeconds": 3}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"Retry_After": "Wed, 21 Oct 2030 07:28:00 GMT"}, {}, 1.0),
    ],
    ids=["header", "body", "neither is a number"],
)
async def test_too_many_requests_tells_when_to_come_back(
    server: ScriptedServer,
    session: ApiServer,
    headers: dict[str, str],
    details: dict[str, object],
    expected: float,
) -> None:
    server.plays(answer(429, {"code": 429, "details": details}, **headers))
    with pytest.raises(TooManyRequests) as caught:
        await write(session)
    assert caught.value.retry_after_seconds == expected


@pytest.mark.parametrize("body", [b"", b"<html>Forbidden</html>", b"[]", b"\xff\xfe", b'{"code":"x"}', b"null"])
async def test_refusal_without_a_status_object_is_still_one(
    server: ScriptedServer, session: ApiServer, body: bytes
) -> None:
    server.plays(answer(403, body))
    with pytest.raises(Forbidden) as caught:
        await write(session)
    assert caught.value.message == ""
    assert "html" not in str(caught.value)


async def test_rotated_token_is_read_again_after_a_401(server: ScriptedServer, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("first\n")
    session = ApiServer(Credentials(server=server.url, authorization=TokenFile(token_file)))
    server.plays(answer(200, {}), answer(401, status_body(401)), answer(201, {"kind": "Job"}))
    await write(session)
    token_file.write_text("second\n")
    assert await write(session) == b'{"kind": "Job"}'
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer first", "Bearer first", "Bearer second"]
    await session.close()


async def test_401_with_an_unchanged_token_is_not_repeated(server: ScriptedServer, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("only")
    session = ApiServer(Credentials(server=server.url, authorization=TokenFile(token_file)))
    server.plays(answer(401, status_body(401)))
    with pytest.raises(Unauthorized):
        await write(session)
    assert len(server.requests) == 1
    await session.close()


async def test_missing_token_file_means_not_sent(server: ScriptedServer, tmp_path: Path) -> None:
    session = ApiServer(Credentials(server=server.url, authorization=TokenFile(tmp_path / "token")))
    with pytest.raises(RequestNotSent, match="No token in"):
        await write(session)
    assert server.requests == []


async def test_no_error_shows_a_credential_or_a_body(server: ScriptedServer) -> None:
    secret = "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"
    session = ApiServer(Credentials(server=server.url, authorization=FixedAuthorization(f"Bearer {secret}")))
    plays = [
        answer(403, status_body(403, "Forbidden", f"token {secret} is bad, Authorization: Bearer {secret}")),
        answer(500, f"<html>{secret}</html>".encode()),
        raw(f"HTTP/1.1 200 OK\r\nbad header {secret}\r\n\r\n".encode()),
        close,
    ]
    for play in plays:
        server.plays(play)
        with pytest.raises(ClusterError) as caught:
            await write(session)
        assert secret not in _everything_shown(caught.value)
    await session.close()


def _everything_shown(error: BaseException | None) -> str:
    """Return what a traceback or a careless log would show of an error and its causes."""
    shown = ""
    while error is not None:
        shown += f"{error} {error!r} {error.args!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return shown


async def test_stream_gives_bytes_as_they_come(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(stream(b'{"a":', b"1}\n", then_hang=True))
    received = b""
    async with session.stream(PATH, query={"watch": "true"}, inactivity_seconds=5) as chunks:
        async for chunk in chunks:
            received += chunk
            if received.endswith(b"\n"):
                break
    assert received == b'{"a":1}\n'


async def test_silent_stream_counts_as_lost(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(stream(b"{}\n", then_hang=True))
    async with session.stream(PATH, query={}, inactivity_seconds=0.5) as chunks:
        assert await anext(chunks) == b"{}\n"
        with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.5 s"):
            await anext(chunks)


async def test_stream_that_never_begins_counts_as_lost(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(hang)
    with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.5 s"):
        async with session.stream(PATH, query={}, inactivity_seconds=0.5):
            pytest.fail("no stream was opened")


async def test_refused_stream_raises_before_the_first_byte(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(answer(410, status_body(410, "Expired")))
    with pytest.raises(Gone):
        async with session.stream(PATH, query={}, inactivity_seconds=1):
            pytest.fail("no stream was opened")


async def test_stream_connection_is_not_reused(server: ScriptedServer, session: ApiServer) -> None:
    server.plays(stream(b"{}\n"), answer(201, {}))
    async with session.stream(PATH, query={}, inactivity_seconds=1) as chunks:
        assert [chunk async for chunk in chunks] == [b"{}\n"]
    await write(session)


async def test_stream_takes_a_rotated_token_at_the_next_try(server: ScriptedServer, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("first")
    session = ApiServer(Credentials(server=server.url, authorization=TokenFile(token_file)))
    server.plays(answer(200, {}), answer(401, status_body(401)), stream())
    await write(session)
    token_file.write_text("second")
    with pytest.raises(Unauthorized):
        async with session.stream(PATH, query={}, inactivity_seconds=1):
            pass
    async with session.stream(PATH, query={}, inactivity_seconds=1):
        pass
    assert server.requests[-1].headers["authorization"] == "Bearer second"
    await session.close()


async def test_sessions_may_be_made_before_the_loop_runs() -> None:
    session = await asyncio.to_thread(ApiServer, Credentials(server="http://127.0.0.1:1"))
    await session.close()


async def test_two_servers_at_once_do_not_share_connections() -> None:
    async with run_scripted_server() as one, run_scripted_server() as other:
        sessions = [ApiServer(Credentials(server=server.url)) for server in (one, other)]
        one.plays(answer(200, {"n": 1}))
        other.plays(answer(200, {"n": 2}))
        bodies = [await session.request("GET", "/", timeout_seconds=30) for session in sessions]
        assert bodies == [b'{"n": 1}', b'{"n": 2}']
        for session in sessions:
            await session.close()


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_server_is_expected_under_the_name_that_the_credentials_say(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    bare = make_bare_server(tmp_path, host="kubernetes")

    async def ask(name: str | None) -> bytes:
        async with run_scripted_server(tls=bare.context) as server:
            server.plays(answer(200, {}))
            session = ApiServer(Credentials(server=server.url, tls=TlsMaterial(ca=bare.ca, server_name=name)))
            try:
                return await session.request("GET", "/version", timeout_seconds=2)
            finally:
                await session.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(ask("kubernetes")) == b"{}"
        with pytest.raises(RequestNotSent):
            runner.run(ask(None))


class SilentServer:
    """Takes one connection over TLS, and from then on does not even notice its end: an API server that stands still."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(5)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def run_until_hung_up_on(self) -> bool:
        """Return whether the client closed the connection, within a while and without a word from here."""
        with self._listener:
            plain, _ = self._listener.accept()
        plain.settimeout(5)
        tls = self._context.wrap_socket(plain, server_side=True)
        with socket.socket(fileno=tls.detach()) as below:
            below.settimeout(5)
            try:
                while below.recv(65536):
                    pass
            except TimeoutError:
                return False
            return True


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connection_without_an_answer_is_closed_without_waiting_for_the_server(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    bare = make_bare_server(tmp_path, host="kubernetes")
    silent = SilentServer(bare.context)

    async def ask() -> bool:
        serving = asyncio.create_task(asyncio.to_thread(silent.run_until_hung_up_on))
        session = ApiServer(Credentials(server=silent.url, tls=TlsMaterial(ca=bare.ca, server_name="kubernetes")))
        with pytest.raises(OutcomeUnknown, match="no answer within"):
            await write(session, timeout_seconds=1)
        await session.close()
        return await serving

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(ask())
