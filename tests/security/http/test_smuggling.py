"""What one program takes for one request, and another for two: the second is never answered, and never carried out.

Behind every attack stands a start with a good key. So whoever reads one byte too few or too many starts a job.
"""

from collections.abc import Iterator

import pytest

from diem_operator.api.endpoint import PATH
from tests.security.http.attacked import JOB, AttackedApi, Team
from tests.security.http.wire import HEALTH, build_request, command, connected, converse, listen, parse_answers

SMUGGLED = "smuggled"
TARGET = PATH.encode()
STATUS = command("status", JOB)
LENGTH = len(STATUS)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (LENGTH, STATUS)


@pytest.fixture(scope="module", autouse=True)
def smuggled_job(team: Team) -> None:
    team.apply_job(SMUGGLED)


@pytest.fixture
def smuggled(team: Team) -> bytes:
    return build_request(team.token, command("start", SMUGGLED))


@pytest.fixture(autouse=True)
def nothing_changed(api: AttackedApi, team: Team) -> Iterator[None]:
    before = api.mark_audit()
    yield
    writes = [path for verb, path in api.read_requests(since=before) if verb != "get"]
    assert writes == []


def param(value: bytes) -> object:
    return pytest.param(value, id=repr(value)[2:-1].replace("%", "n"))


def check_refused(api: AttackedApi, data: bytes) -> None:
    conversation = converse(api.port, data)

    assert conversation.statuses == [400]
    assert conversation.answers[0].problem["code"] == "bad-request"
    assert conversation.is_closed


def check_ended(api: AttackedApi, data: bytes, *statuses: int) -> None:
    """The first request is answered, and nothing after it is read."""
    conversation = converse(api.port, data)

    assert conversation.statuses == list(statuses)
    assert conversation.is_closed
    assert ("Connection", "close") in conversation.answers[-1].headers


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked", id="length, then chunked"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 5", id="chunked, then length"),
        pytest.param(b"Transfer-Encoding: CHUNKED\r\nContent-Length: 5", id="upper case"),
        pytest.param(b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 5", id="compressed"),
        pytest.param(b"Transfer-Encoding: identity\r\nContent-Length: 5", id="identity"),
    ],
)
def test_length_beside_an_encoding_is_refused(api: AttackedApi, team: Team, smuggled: bytes, framing: bytes) -> None:
    check_refused(api, build_request(team.token, b"0\r\n\r\n", framing=framing) + smuggled)


ENCODINGS = [
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: identity",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: chunked;x=y",
    b"Transfer-Encoding: chunked\0",
    b"Transfer-Encoding: chunke\xe4",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding : chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"X: x\nTransfer-Encoding: chunked",
    b"X: x\rTransfer-Encoding: chunked",
]


@pytest.mark.parametrize("has_length", [False, True], ids=["alone", "with length"])
@pytest.mark.parametrize("framing", [param(encoding) for encoding in ENCODINGS])
def test_odd_encoding_is_refused(
    api: AttackedApi, team: Team, smuggled: bytes, framing: bytes, *, has_length: bool
) -> None:
    length = b"\r\nContent-Length: %d" % len(CHUNKS) if has_length else b""
    check_refused(api, build_request(team.token, CHUNKS, framing=framing + length) + smuggled)


@pytest.mark.parametrize(
    "value",
    [
        param(value)
        for value in (
            *(b"+%d", b"-%d", b"0x%x", b"%d;", b"%d,%d", b"%d, %d", b"%d %d", b"%de0", b"%d.0", b"%d_0", b"%d\0", b""),
            *(b"\xef\xbc\x95", b'"%d"', b"99999999999999999999999", b"18446744073709551616", b"%d\r\n , 0"),
            *(b"%d\r\nContent-Length: %d", b"%d\r\nContent-Length: 0", b"0\r\nContent-Length: %d"),
            *(b"%d\r\ncontent-length: 1", b"%d\r\nContent-Length : 1", b"%d\nX: y"),
        )
    ],
)
def test_odd_length_is_refused(api: AttackedApi, team: Team, smuggled: bytes, value: bytes) -> None:
    filled = value % ((LENGTH,) * value.count(b"%"))
    check_refused(api, build_request(team.token, STATUS, framing=b"Content-Length: " + filled) + smuggled)


@pytest.mark.parametrize(
    "body",
    [
        param(body)
        for body in (
            *(b"-1\r\nBODY\r\n0\r\n\r\n", b"0xSIZE\r\nBODY\r\n0\r\n\r\n", b"+SIZE\r\nBODY\r\n0\r\n\r\n"),
            *(b"SIZE \r\nBODY\r\n0\r\n\r\n", b" SIZE\r\nBODY\r\n0\r\n\r\n", b"gSIZE\r\nBODY\r\n0\r\n\r\n"),
            *(b"fffffffffffffffffSIZE\r\nBODY\r\n0\r\n\r\n", b"SIZE_0\r\nBODY\r\n0\r\n\r\n", b"\r\nBODY\r\n0\r\n\r\n"),
            *(b"\r\nSIZE\r\nBODY\r\n0\r\n\r\n", b"SIZE\nBODY\n0\n\n", b"SIZE\rBODY\r0\r\r", b"SIZE\r\nBODY0\r\n\r\n"),
            *(b"SIZE\r\nBODYXX0\r\n\r\n", b"SIZE;\nBODY\r\n0\r\n\r\n", b"SIZE;a\rb\r\nBODY\r\n0\r\n\r\n"),
            *(b"SIZE\r\nBODY\r\n0\n\n", b"SIZE\r\nBODY\r\n0\r\nContent-Length: 999\r\n\r\n"),
            *(b"SIZE\r\nBODY\r\n0\r\nno trailer\r\n\r\n", b"SIZE\r\nBODY\r\n0\r\nTransfer-Encoding : x\r\n\r\n"),
        )
    ],
)
def test_odd_chunks_are_refused(api: AttackedApi, team: Team, smuggled: bytes, body: bytes) -> None:
    filled = body.replace(b"SIZE", b"%x" % LENGTH).replace(b"BODY", STATUS)
    check_refused(api, build_request(team.token, filled, framing=CHUNKED) + smuggled)


@pytest.mark.parametrize(
    "line",
    [
        param(line)
        for line in (
            *(b"X y: z", b"X : z", b": z", b"X", b" folded: y", b"X: y\r\n folded", b"X: y\r\n\tfolded", b"X: a\0b"),
            *(b"X: a\nY: b", b"X: a\rb", b"X\0: a", b"X\xff: a", b"(x): y", b"Content-Length\0: 0", b"Host: other"),
        )
    ],
)
def test_odd_header_line_is_refused(api: AttackedApi, team: Team, smuggled: bytes, line: bytes) -> None:
    check_refused(api, build_request(team.token, STATUS, line) + smuggled)


@pytest.mark.parametrize(
    "start",
    [
        param(start.replace(b"PATH", TARGET))
        for start in (
            *(b"POST * HTTP/1.1", b"POST\tPATH HTTP/1.1", b"POST PATH HTTP/1.1 HTTP/1.1", b"POST PATH HTTP/1.2"),
            *(b"POST PATH HTTP/2.0", b"POST PATH HTTP/3", b"POST PATH HTTP/0.9", b"POST PATH", b"post PATH HTTP/1.1"),
            *(b"PO ST PATH HTTP/1.1", b"POST PATH http/1.1", b"POST PATH\r\nX HTTP/1.1", b" POST PATH HTTP/1.1"),
            *(b"POST PATH\0 HTTP/1.1", b"POST PATH RTSP/1.0", b"POST evilPATH HTTP/1.1", b"POST PATH?x=\xff HTTP/1.1"),
            *(
                b"POST ?x HTTP/1.1",
                b"GET /",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
                b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
            ),
            b"\0\0\0\0\0\0\0\0",
        )
    ],
)
def test_odd_request_line_is_refused(api: AttackedApi, team: Team, smuggled: bytes, start: bytes) -> None:
    check_refused(api, build_request(team.token, STATUS, start=start) + smuggled)


def test_request_without_host_is_refused(api: AttackedApi, team: Team, smuggled: bytes) -> None:
    request = build_request(team.token, STATUS).replace(b"Host: 127.0.0.1\r\n", b"")
    check_refused(api, request + smuggled)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk", id="h2c"),
        pytest.param(b"Upgrade: websocket\r\nConnection: Upgrade", id="websocket"),
        pytest.param(b"Upgrade: tcp\r\nConnection: Upgrade", id="tcp"),
        pytest.param(b"Transfer-Encoding: ", id="empty encoding beside a length"),
    ],
)
def test_nothing_is_read_behind_what_may_change_the_protocol(
    api: AttackedApi, team: Team, smuggled: bytes, line: bytes
) -> None:
    check_ended(api, build_request(team.token, STATUS, line) + smuggled, 200)


def test_body_of_a_connect_is_no_request(api: AttackedApi, team: Team, smuggled: bytes) -> None:
    check_ended(api, build_request(team.token, smuggled, start=b"CONNECT 127.0.0.1:80 HTTP/1.1"), 404)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(CHUNKS, id="plain"),
        pytest.param(CHUNKS.replace(b"\r\n", b";a=b\r\n", 1), id="extension"),
        pytest.param(CHUNKS.replace(b"0\r\n\r\n", b"000000000000000000000000\r\n\r\n"), id="many zeros"),
        pytest.param(CHUNKS[:-2] + b"Idempotency-Key: of-another-caller\r\n\r\n", id="trailer"),
        pytest.param(CHUNKS[:-2] + b"x-api-key: of-another-caller\r\n\r\n", id="trailer with a key"),
    ],
)
def test_nothing_is_read_behind_chunks(api: AttackedApi, team: Team, smuggled: bytes, body: bytes) -> None:
    check_ended(api, build_request(team.token, body, framing=CHUNKED) + smuggled, 200)


@pytest.mark.parametrize(
    ("token", "status"), [pytest.param("nobody's", 401, id="bad key"), pytest.param(None, 401, id="no key")]
)
def test_body_that_nobody_reads_is_no_request(
    api: AttackedApi, smuggled: bytes, token: str | None, status: int
) -> None:
    conversation = converse(api.port, build_request(token, smuggled) + HEALTH, count=2)

    assert conversation.statuses == [status, 200]
    assert conversation.answers[1].body == b"ok\n"


@pytest.mark.parametrize(
    ("start", "status"),
    [
        pytest.param(b"POST http://other.example" + TARGET + b" HTTP/1.1", 200, id="absolute form"),
        pytest.param(b"POST  " + TARGET + b" HTTP/1.1", 200, id="two blanks"),
        pytest.param(b"\r\nPOST " + TARGET + b" HTTP/1.1", 200, id="empty line before"),
        pytest.param(b"POST " + TARGET + b"#fragment HTTP/1.1", 200, id="fragment"),
        pytest.param(b"POST /%2e%2e" + TARGET + b" HTTP/1.1", 404, id="dots, encoded"),
        pytest.param(b"POST /x/.." + TARGET + b" HTTP/1.1", 404, id="dots"),
        pytest.param(b"POST /" + TARGET + b" HTTP/1.1", 404, id="two slashes"),
        pytest.param(b"POST //other.example" + TARGET + b" HTTP/1.1", 404, id="other host"),
        pytest.param(b"POST " + TARGET + b"/ HTTP/1.1", 404, id="slash behind"),
        pytest.param(b"POST " + TARGET.replace(b"i/a", b"i%2fa") + b" HTTP/1.1", 404, id="slash, encoded"),
        pytest.param(b"POST " + TARGET.upper() + b" HTTP/1.1", 404, id="upper case"),
        pytest.param(b"OPTIONS * HTTP/1.1", 404, id="asterisk"),
        pytest.param(b"GET " + TARGET + b" HTTP/1.1", 405, id="GET with a body"),
        pytest.param(b"TRACE " + TARGET + b" HTTP/1.1", 405, id="TRACE"),
        pytest.param(b"DELETE " + TARGET + b" HTTP/1.1", 405, id="DELETE"),
        pytest.param(b"POST " + TARGET + b"?action=start&id=smuggled HTTP/1.1", 200, id="command in the query"),
    ],
)
def test_odd_target_is_answered_and_its_body_is_no_request(
    api: AttackedApi, team: Team, start: bytes, status: int
) -> None:
    conversation = converse(api.port, build_request(team.token, STATUS, start=start) + HEALTH, count=2)

    assert conversation.statuses == [status, 200]
    assert conversation.answers[1].body == b"ok\n"


def test_answer_to_head_has_no_body_that_could_be_taken_for_another(api: AttackedApi, team: Team) -> None:
    request = build_request(team.token, b"", start=b"HEAD " + TARGET + b" HTTP/1.1")
    with connected(api.port) as connection:
        connection.sendall(request + HEALTH * 9)
        received, _ = listen(connection)

    head, _, rest = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert [answer.body for answer in parse_answers(rest)[0]] == [b"ok\n"] * 9


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_old_and_plain_clients_are_served(api: AttackedApi, team: Team, version: bytes) -> None:
    start = b"POST " + TARGET + b" " + version
    conversation = converse(api.port, build_request(team.token, STATUS, b"Connection: close", start=start))

    assert conversation.statuses == [200]
    assert conversation.is_closed
