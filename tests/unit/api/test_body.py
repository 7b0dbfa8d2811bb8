import asyncio
from unittest import mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from diem_operator.api.body import check_media_type, parse_object, read_object
from diem_operator.api.errors import Problem, ProblemKind


def make_request(headers: dict[str, str] | None = None, *, payload: StreamReader | None = None) -> web.Request:
    stream = payload or make_payload()
    return make_mocked_request("POST", "/", headers=headers or {}, payload=stream)


def make_payload(*chunks: bytes, is_complete: bool = True) -> StreamReader:
    loop = asyncio.get_event_loop()
    stream = StreamReader(mock.create_autospec(BaseProtocol, instance=True), limit=2**16, loop=loop)
    for chunk in chunks:
        stream.feed_data(chunk)
    if is_complete:
        stream.feed_eof()
    return stream


async def refuse(request: web.Request, *, max_bytes: int = 100, timeout_seconds: float = 1.0) -> Problem:
    with pytest.raises(Problem) as refusal:
        await read_object(request, max_bytes=max_bytes, timeout_seconds=timeout_seconds)
    return refusal.value


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"id": "nightly", "action": "status"}', {"id": "nightly", "action": "status"}, id="plain"),
        pytest.param('{"id": "nächtlich"}'.encode(), {"id": "nächtlich"}, id="utf-8"),
        pytest.param(b'\xef\xbb\xbf{"id": "x"}', {"id": "x"}, id="with a byte order mark"),
        pytest.param(b' \r\n{"id":\t"x"} \n', {"id": "x"}, id="white space"),
        pytest.param(b'{"a": {"b": 1}, "c": {"b": 1}}', {"a": {"b": 1}, "c": {"b": 1}}, id="same name in two objects"),
    ],
)
def test_json_object_is_understood(body: bytes, expected: dict[str, object]) -> None:
    assert parse_object(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"", "the body is no JSON (at line 1, column 1); correct it", id="empty"),
        pytest.param(b"{'id': 'x'}", "the body is no JSON (at line 1, column 2); correct it", id="single quotes"),
        pytest.param(b'{"id": "x"', "the body is no JSON (at line 1, column 11); correct it", id="cut off"),
        pytest.param(b'{"id": "x"} {}', "the body is no JSON (at line 1, column 13); correct it", id="two values"),
        pytest.param(b'"nightly"', 'the body is no JSON object; send {"id": "…", "action": "…"}', id="text"),
        pytest.param(b"[]", 'the body is no JSON object; send {"id": "…", "action": "…"}', id="array"),
        pytest.param(b"null", 'the body is no JSON object; send {"id": "…", "action": "…"}', id="null"),
        pytest.param(
            b'{"action": "status", "action": "start"}',
            "the body is no clear JSON: a name occurs twice in one object; correct it",
            id="duplicate name",
        ),
        pytest.param(
            b'{"parameters": {"A": "1", "A": "2"}}',
            "the body is no clear JSON: a name occurs twice in one object; correct it",
            id="duplicate name within",
        ),
        pytest.param(b'{"wait": NaN}', "the body is no clear JSON: NaN is no JSON number; correct it", id="NaN"),
        pytest.param(
            b'{"wait": -Infinity}', "the body is no clear JSON: -Infinity is no JSON number; correct it", id="infinity"
        ),
        pytest.param(b'{"id": "\xff"}', "the body is not UTF-8 throughout; encode it as UTF-8", id="latin-1"),
        pytest.param(
            b'{"id": "\\ud800"}', "the body is not UTF-8 throughout; encode it as UTF-8", id="half a character"
        ),
        pytest.param(b"[" * 60000, "the body is nested too deeply; send a flat JSON object", id="deeply nested"),
        pytest.param(
            b'{"wait": ' + b"1" * 5000 + b"}",
            "the body has a number with too many digits; shorten it",
            id="number of 5000 digits",
        ),
    ],
)
def test_anything_else_is_refused(body: bytes, expected: str) -> None:
    with pytest.raises(Problem) as refusal:
        parse_object(body)

    assert refusal.value.kind is ProblemKind.BAD_REQUEST
    assert refusal.value.message == expected


@pytest.mark.parametrize(
    "declared",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "Application/JSON",
    ],
)
async def test_content_type_of_documented_clients_is_fine(declared: str | None) -> None:
    check_media_type(make_request({} if declared is None else {"Content-Type": declared}))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, id="form"),
        pytest.param({"Content-Type": "text/plain"}, id="text"),
        pytest.param({"Content-Type": "multipart/form-data; boundary=x"}, id="multipart"),
        pytest.param({"Content-Type": "application/problem+json"}, id="other JSON"),
        pytest.param({"Content-Type": "application/json; charset=utf-16"}, id="UTF-16"),
        pytest.param({"Content-Type": ""}, id="empty"),
        pytest.param({"Content-Encoding": "gzip"}, id="compressed"),
    ],
)
async def test_other_media_types_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Problem) as refusal:
        check_media_type(make_request(headers))

    assert refusal.value.kind is ProblemKind.UNSUPPORTED_MEDIA_TYPE


async def test_body_is_put_together_from_its_chunks() -> None:
    request = make_request(payload=make_payload(b'{"id"', b': "x"}'))

    assert await read_object(request, max_bytes=100, timeout_seconds=1.0) == {"id": "x"}


async def test_body_of_exactly_the_limit_is_read() -> None:
    request = make_request({"Content-Length": "2"}, payload=make_payload(b"{}"))

    assert await read_object(request, max_bytes=2, timeout_seconds=1.0) == {}


async def test_body_declared_too_large_is_not_read() -> None:
    problem = await refuse(make_request({"Content-Length": "101"}, payload=make_payload(is_complete=False)))

    assert problem.kind is ProblemKind.BODY_TOO_LARGE
    assert problem.message == "the body is larger than 100 bytes; send less"


async def test_body_that_grows_too_large_is_cut_off() -> None:
    problem = await refuse(make_request(payload=make_payload(b"x" * 60, b"x" * 60, is_complete=False)))

    assert problem.kind is ProblemKind.BODY_TOO_LARGE


async def test_body_that_came_at_once_is_bounded_too() -> None:
    problem = await refuse(make_request(payload=make_payload(b"x" * 101)))

    assert problem.kind is ProblemKind.BODY_TOO_LARGE


async def test_slow_body_is_given_up_as_a_bad_request_never_as_408() -> None:
    problem = await refuse(make_request(payload=make_payload(b"{", is_complete=False)), timeout_seconds=0.01)

    assert problem.kind is ProblemKind.BAD_REQUEST
    assert problem.message == "the body did not arrive within 0.01 seconds; send it again"


async def test_broken_chunked_encoding_is_a_bad_request() -> None:
    payload = make_payload(b"{", is_complete=False)
    payload.set_exception(web.RequestPayloadError("broken"))

    assert (await refuse(make_request(payload=payload))).kind is ProblemKind.BAD_REQUEST
