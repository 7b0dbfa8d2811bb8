"""Bodies that are no command: refused with a reason, read once, and gone; the same connection goes on."""

from collections.abc import Iterator

import pytest

from tests.security.http.attacked import JOB, AttackedApi, Team
from tests.security.http.wire import ask, build_request, command, converse

MAX_BYTES = 64 * 1024
GOOD = f'"id": "{JOB}", "action": "start"'.encode()


@pytest.fixture(autouse=True)
def nothing_changed(api: AttackedApi) -> Iterator[None]:
    before = api.mark_audit()
    yield
    assert [path for verb, path in api.read_requests(since=before) if verb != "get"] == []


def check_refused(team: Team, body: bytes, status: int, code: str) -> None:
    answers = converse(
        team.api.port, build_request(team.token, body) + build_request(team.token, command("status", JOB)), count=2
    )

    assert answers.statuses == [status, 200]
    assert answers.answers[0].problem["code"] == code
    assert len(answers.answers[0].body) < 1500  # nothing of what was sent comes back, but for an id


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 60_000, id="arrays, never closed"),
        pytest.param(b"[" * 30_000 + b"]" * 30_000, id="arrays, 30,000 deep"),
        pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, id="objects, 10,000 deep"),
        pytest.param(b'{"id":' + b"[" * 20_000 + b"]" * 20_000 + b"}", id="id, 20,000 deep"),
        pytest.param(b"{" + GOOD + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", id="unknown field, 20,000 deep"),
        pytest.param(b"{" + GOOD + b', "id": "other"}', id="id twice"),
        pytest.param(b"{" + GOOD + b', "action": "status"}', id="action twice"),
        pytest.param(b"{" + GOOD + b', "\\u0069d": "other"}', id="id twice, once escaped"),
        pytest.param(b"{" + GOOD + b', "x": {"y": 1, "y": 2}}', id="inner name twice"),
        pytest.param(b"{" + GOOD + b', "wait": NaN}', id="NaN"),
        pytest.param(b"{" + GOOD + b', "wait": Infinity}', id="Infinity"),
        pytest.param(b"{" + GOOD + b', "wait": -Infinity}', id="minus Infinity"),
        pytest.param(b"{" + GOOD + b', "x": NaN}', id="NaN in an unknown field"),
        pytest.param(b"{" + GOOD + b', "wait": 1e999}', id="number that overflows"),
        pytest.param(b"{" + GOOD + b', "wait": ' + b"9" * 5000 + b"}", id="wait of 5,000 digits"),
        pytest.param(b"{" + GOOD + b', "x": ' + b"9" * 60_000 + b"}", id="number of 60,000 digits"),
        pytest.param(b"{" + GOOD + b', "wait": -1}', id="negative wait"),
        pytest.param(b"{" + GOOD + b', "wait": true}', id="wait is true"),
        pytest.param(b"{" + GOOD + b', "x": "\xff\xfe"}', id="bytes that are no UTF-8"),
        pytest.param(b"{" + GOOD + b', "x": "\xed\xa0\x80"}', id="surrogate as bytes"),
        pytest.param(b"{" + GOOD + b', "x": "\xc0\x80"}', id="overlong NUL"),
        pytest.param(b"{" + GOOD + b', "x": "\\ud800"}', id="lone surrogate"),
        pytest.param(b'{"id": "\\udc00' + JOB.encode() + b'", "action": "start"}', id="lone surrogate in the id"),
        pytest.param(("{" + GOOD.decode() + "}").encode("utf-16"), id="UTF-16"),
        pytest.param(("{" + GOOD.decode() + "}").encode("utf-32"), id="UTF-32"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbf{" + GOOD + b"}", id="two byte order marks"),
        pytest.param(b"{" + GOOD + b"}\0", id="NUL behind"),
        pytest.param(b"\0{" + GOOD + b"}", id="NUL before"),
        pytest.param(b"{" + GOOD + b', "x": "a\0b"}', id="NUL in a text"),
        pytest.param(b"{" + GOOD + b', "x": "a\nb"}', id="line break in a text"),
        pytest.param(b"{" + GOOD + b"} {" + GOOD + b"}", id="two objects"),
        pytest.param(b"{" + GOOD + b",}", id="comma behind"),
        pytest.param(b"{" + GOOD + b"} // no", id="comment"),
        pytest.param(b"{'id': 'nightly-load'}", id="single quotes"),
        pytest.param(b"[{" + GOOD + b"}]", id="object in an array"),
        pytest.param(b'"start"', id="text"),
        pytest.param(b"null", id="null"),
        pytest.param(b"true", id="true"),
        pytest.param(b"1", id="number"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"   \r\n", id="blanks"),
        pytest.param(b"id=nightly-load&action=start", id="form"),
        pytest.param(
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', id="XML"
        ),
        pytest.param(b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x05posix\x94.", id="pickle"),
        pytest.param(b'!!python/object/apply:os.system ["true"]', id="YAML"),
    ],
)
def test_what_is_no_plain_json_object_is_refused(team: Team, body: bytes) -> None:
    check_refused(team, body, 400, "bad-request")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param('"action": "start"', id="no id"),
        *(
            pytest.param(f'"id": {value}, "action": "start"', id=f"id is {value[:12]}")
            for value in ("null", "1", "1.5", "true", "[]", "{}", '""', f'["{JOB}"]', f'{{"$ne": "{JOB}"}}')
        ),
        *(
            pytest.param(f'"id": "{JOB}", "action": {value}', id=f"action is {value[:12]}")
            for value in ("null", "1", "true", "[]", "{}", '""', '["start"]', '"START"', '"start "', '"st\\u0430rt"')
        ),
        *(
            pytest.param(f'"id": "{JOB}", "action": {value}', id=f"action is {value[:12]}")
            for value in ('"start\\u0000"', '"delete"', '"__class__"', '"start;stop"')
        ),
        pytest.param(f'"id": "{JOB * 50}", "action": "start"', id="id of 600 characters"),
        pytest.param(f'"id": "{"x" * 60_000}", "action": "start"', id="id of 60,000 characters"),
        pytest.param(f'"ID": "{JOB}", "Action": "start"', id="names in another case"),
        pytest.param(f'"id": "{JOB}", "action": "stop", "expectedRun": 1.5', id="half a run"),
    ],
)
def test_fields_of_wrong_types_and_sizes_are_refused(team: Team, fields: str) -> None:
    check_refused(team, f"{{{fields}}}".encode(), 400, "bad-request")


def fill(size: int) -> bytes:
    """Return a command of exactly so many bytes."""
    command_bytes = b'{"id": "nightly-load", "action": "status", "x": ""}'
    return command_bytes.replace(b'""', b'"' + b"x" * (size - len(command_bytes)) + b'"')


def test_largest_body_is_read(team: Team) -> None:
    body = fill(MAX_BYTES)

    assert len(body) == MAX_BYTES
    assert team.ask("status", body=body).status == 200


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 10 * MAX_BYTES])
def test_larger_body_is_refused(team: Team, size: int) -> None:
    answer = team.ask("status", body=fill(size))

    assert (answer.status, answer.problem["code"]) == (413, "body-too-large")


def test_announced_body_is_refused_before_it_comes(team: Team) -> None:
    request = build_request(team.token, b"{", framing=b"Content-Length: 1099511627776")

    assert ask(team.api.port, request).status == 413


@pytest.mark.parametrize("chunk_bytes", [1, 1000, 65536])
def test_body_of_unknown_size_is_read_no_further_than_the_limit(team: Team, chunk_bytes: int) -> None:
    body = fill(MAX_BYTES + 1)
    chunks = [body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes)]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    assert ask(team.api.port, build_request(team.token, chunked, framing=b"Transfer-Encoding: chunked")).status == 413


@pytest.mark.parametrize(
    "line", [b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: deflate, gzip"]
)
def test_body_that_would_grow_is_not_unpacked(team: Team, line: bytes) -> None:
    answer = team.ask("status", line, body=bytes.fromhex("1f8b0800000000000003") + b"\0" * 100)

    assert (answer.status, answer.problem["code"]) == (415, "unsupported-media-type")
