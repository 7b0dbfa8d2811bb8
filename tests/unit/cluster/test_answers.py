"""What an answer means, and that nothing secret of it gets out."""

import pytest

from diem_operator.cluster.answers import MAX_MESSAGE_LENGTH, error_of, error_of_status, redact
from diem_operator.cluster.errors import Gone, Invalid, OutcomeUnknown

WHAT = "POST /api/v1/namespaces/team-a/jobs"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("quota exceeded", "quota exceeded", id="plain"),
        pytest.param("two\n  lines\tand tabs", "two lines and tabs", id="one line"),
        pytest.param("key eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln is bad", "key [redacted] is bad", id="JWT"),
        pytest.param("sent Bearer abc.def", "sent [redacted]", id="bearer"),
        pytest.param("a -----BEGIN X-----\nMIIB\n-----END X----- b", "a [redacted] b", id="PEM"),
        pytest.param("a -----BEGIN X-----\nMIIB", "a [redacted]", id="PEM cut off"),
    ],
)
def test_credentials_are_redacted(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_long_messages_are_cut() -> None:
    assert redact("x" * 5000) == "x" * (MAX_MESSAGE_LENGTH - 1) + "…"


def test_error_tells_request_code_reason_and_message() -> None:
    body = b'{"code":422,"reason":"Invalid","message":"spec.template: Required value"}'
    assert (
        str(error_of(WHAT, 422, body)) == f"{WHAT}: the API server answered 422 Invalid: spec.template: Required value"
    )


def test_nothing_the_server_says_about_secrets_is_repeated() -> None:
    body = b'{"code":422,"reason":"Invalid","message":"data.token: Invalid value: hunter2"}'
    error = error_of("POST /api/v1/namespaces/team-a/secrets", 422, body)
    assert isinstance(error, Invalid)
    assert "hunter2" not in f"{error}{error.message}"


def test_nothing_the_server_says_about_tokens_is_repeated() -> None:
    body = b'{"code":422,"reason":"Invalid","message":"hunter2"}'
    error = error_of("POST /api/v1/namespaces/team-a/serviceaccounts/api/token", 422, body)
    assert "hunter2" not in str(error)


def test_status_in_a_stream_means_what_its_code_says() -> None:
    assert isinstance(error_of_status("WATCH /x", b'{"code":410,"reason":"Expired"}'), Gone)
    assert isinstance(error_of_status("WATCH /x", b'{"code":500}'), OutcomeUnknown)
    assert isinstance(error_of_status("WATCH /x", b'{"metadata":{}}'), OutcomeUnknown)


def test_null_fields_of_a_status_are_as_good_as_none() -> None:
    error = error_of(WHAT, 403, b'{"reason":null,"message":null,"details":{"causes":null,"retryAfterSeconds":null}}')
    assert "403" in str(error)
