"""Reads a request's body: bounded in size and time, JSON and nothing else. Knows nothing of jobs."""

import asyncio
import json
from typing import Any, Final, NoReturn

from aiohttp import hdrs, web
from aiohttp.helpers import parse_mimetype

from diem_operator.api.errors import Problem, ProblemKind

_ACCEPTED_CHARSETS = {"", "utf-8", "utf8", "us-ascii"}


async def read_object(request: web.Request, *, max_bytes: int, timeout_seconds: float) -> dict[str, Any]:
    """Return the JSON object in the body.

    Raises:
        Problem: it is of another type, too large, too slow, or no JSON object.
    """
    check_media_type(request)
    return parse_object(await read_body(request, max_bytes=max_bytes, timeout_seconds=timeout_seconds))


def check_media_type(request: web.Request) -> None:
    """Refuse what says that it is no JSON; saying nothing is fine.

    Raises:
        Problem: another type, another charset, or a compressed body.
    """
    declared = request.headers.get(hdrs.CONTENT_TYPE)
    if declared is not None:
        media_type = parse_mimetype(declared)
        is_json = (media_type.type, media_type.subtype, media_type.suffix) == ("application", "json", "")
        charset = media_type.parameters.get("charset", "").lower()
        if not is_json or charset not in _ACCEPTED_CHARSETS:
            raise Problem(
                ProblemKind.UNSUPPORTED_MEDIA_TYPE, "send JSON in UTF-8, with Content-Type application/json or none"
            )
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise Problem(ProblemKind.UNSUPPORTED_MEDIA_TYPE, "send the body without a Content-Encoding")


async def read_body(request: web.Request, *, max_bytes: int, timeout_seconds: float) -> bytes:
    """Return the body's bytes.

    Raises:
        Problem: it is too large, or does not arrive in time.
    """
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        if request.content.is_eof():  # it came with the headers, as most do, and needs no timer
            body += request.content.read_nowait()
        else:
            async with asyncio.timeout(timeout_seconds):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > max_bytes:
                        break
    except TimeoutError:
        raise Problem(
            ProblemKind.BAD_REQUEST, f"the body did not arrive within {timeout_seconds:g} seconds; send it again"
        ) from None
    except web.RequestPayloadError:
        raise Problem(ProblemKind.BAD_REQUEST, "the body's transfer encoding is broken; send it again") from None
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object, strictly: RFC 8259 leaves open what a name that occurs twice means, and knows no NaN.

    Raises:
        Problem: it is no such thing.
    """
    try:
        text = body.decode("utf-8-sig")
        value = _DECODER.decode(text)
        if "\\u" in text:  # half a surrogate pair can only have been escaped
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise Problem(ProblemKind.BAD_REQUEST, "the body is nested too deeply; send a flat JSON object") from None
    except UnicodeError:
        raise Problem(ProblemKind.BAD_REQUEST, "the body is not UTF-8 throughout; encode it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise Problem(
            ProblemKind.BAD_REQUEST, f"the body is no JSON (at line {error.lineno}, column {error.colno}); correct it"
        ) from None
    except _Ambiguous as error:
        raise Problem(ProblemKind.BAD_REQUEST, f"the body is no clear JSON: {error}; correct it") from None
    except ValueError:
        raise Problem(ProblemKind.BAD_REQUEST, "the body has a number with too many digits; shorten it") from None
    if not isinstance(value, dict):
        raise Problem(ProblemKind.BAD_REQUEST, 'the body is no JSON object; send {"id": "…", "action": "…"}')
    return value


class _Ambiguous(Exception):  # noqa: N818 - private, and never an error of ours
    """JSON that programs read differently."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Ambiguous("a name occurs twice in one object")
    return value


def _refuse(constant: str) -> NoReturn:
    raise _Ambiguous(f"{constant} is no JSON number")


# Python's own, because msgspec keeps the last of several equal names without a word. Made once: to make it takes longer
# than to use it.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse)


def _too_large(max_bytes: int) -> Problem:
    return Problem(ProblemKind.BODY_TOO_LARGE, f"the body is larger than {max_bytes} bytes; send less")
