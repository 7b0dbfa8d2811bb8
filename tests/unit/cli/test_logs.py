"""Log lines are readable for people and machines, and no secret gets into one."""

import io
import json
import logging
import secrets
import warnings

import jwt
import kopf
import pytest

from diem_operator.cli.logs import REDACTED, LogFormat, SomeRetries, configure_logging, redact


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configure(log_format: LogFormat = "json", level: str = "info", *, stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    configure_logging(log_format=log_format, level=level, stream=stream)
    return stream


def read_one(stream: io.StringIO) -> dict[str, object]:
    (line,) = stream.getvalue().splitlines()
    entry: dict[str, object] = json.loads(line)
    return entry


def test_fields_stand_beside_the_message() -> None:
    stream = configure()
    extra = {"namespace": "team-a", "diemjob": "load", "run": "r-1", "attempt": 3}
    logging.getLogger("diem_operator.reconciler").info("Started run %s", "r-1", extra=extra)
    entry = read_one(stream)
    assert str(entry.pop("timestamp")).endswith("Z")
    assert entry == {
        "level": "info",
        "logger": "diem_operator.reconciler",
        "message": "Started run r-1",
        "namespace": "team-a",
        "diemjob": "load",
        "run": "r-1",
        "attempt": 3,
    }


def test_text_has_the_same_on_one_line() -> None:
    stream = configure("text")
    logging.getLogger("diem_operator").warning("Gave up", extra={"namespace": "team-a"})
    assert stream.getvalue().endswith("Z WARNING Gave up namespace=team-a\n")


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        pytest.param("auto", Terminal(), False, id="terminal"),
        pytest.param("auto", io.StringIO(), True, id="pipe"),
        pytest.param("json", Terminal(), True, id="json on a terminal"),
        pytest.param("text", io.StringIO(), False, id="text in a pipe"),
    ],
)
def test_format_follows_the_stream_unless_told(log_format: LogFormat, stream: io.StringIO, is_json: bool) -> None:
    configure(log_format, stream=stream)
    logging.getLogger().info("Began")
    assert stream.getvalue().startswith("{") == is_json


def test_kopf_writes_in_the_same_format_and_names_its_object() -> None:
    stream = configure()
    reference = {"namespace": "team-a", "kind": "DiemJob", "name": "load"}
    extra = {"k8s_ref": reference, "k8s_skip": True, "settings": kopf.OperatorSettings()}
    logging.getLogger("kopf.objects").error("A handler failed", extra=extra)
    entry = read_one(stream)
    assert (entry["namespace"], entry["kind"], entry["object"]) == ("team-a", "DiemJob", "load")
    assert not {"k8s_ref", "k8s_skip", "settings"} & entry.keys()


def test_successful_handlers_are_not_worth_a_line() -> None:
    stream = configure()
    logging.getLogger("kopf.objects").info("Handler 'observe-diemapikeys' succeeded.")
    assert stream.getvalue() == ""


def test_request_that_kopf_tries_without_end_is_logged_once_in_a_while() -> None:
    retries = SomeRetries()

    def is_told(seconds: float, *, path: str = "/a", error: str = "Forbidden", logger: str = "kopf.clients") -> bool:
        message = (
            f"Request attempt #{seconds:.0f} failed; will retry: GET https://host{path}?at={seconds} -> {error}('')"
        )
        record = logging.LogRecord(logger, logging.ERROR, "", 0, message, None, None)
        record.created = 1000.0 + seconds
        return retries.filter(record)

    assert [is_told(seconds) for seconds in (1, 2, 299, 300, 301, 302, 601)] == [
        True,
        False,
        False,
        False,
        True,
        False,
        True,
    ]
    assert is_told(602, path="/b")
    assert is_told(603, error="ServerError")
    assert is_told(604, logger="diem_operator")
    assert not is_told(605)
    configure()
    assert any(isinstance(each, SomeRetries) for each in logging.getLogger().handlers[0].filters)


def test_level_is_respected() -> None:
    stream = configure(level="error")
    logging.getLogger("kopf.objects").warning("Slow")
    logging.getLogger("diem_operator").warning("Slow")
    assert stream.getvalue() == ""


def test_traceback_is_part_of_the_entry() -> None:
    stream = configure()
    logging.getLogger().error("Failed", exc_info=ValueError("wrong"))
    assert "ValueError: wrong" in str(read_one(stream)["error"])


def test_warnings_of_libraries_are_logged() -> None:
    stream = configure()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(capture=True)
        warnings.warn("old function", DeprecationWarning, stacklevel=1)
    assert "old function" in str(read_one(stream)["message"])


def make_secrets() -> list[tuple[str, str]]:
    """Return texts and the part of each that must not be seen."""
    opaque = secrets.token_urlsafe(32)
    token = jwt.encode({"email": "a@example.com"}, secrets.token_bytes(32), algorithm="HS256")
    key = f"-----BEGIN PRIVATE KEY-----\n{secrets.token_urlsafe(48)}\n-----END PRIVATE KEY-----"
    return [
        (f"token {token} was refused", token),
        (f"Authorization: Bearer {opaque}", opaque),
        (f"{{'Authorization': 'Bearer {opaque}'}}", opaque),
        (f"got header authorization={opaque} from", opaque),
        (f'{{"x-api-key": "{opaque}"}}', opaque),
        (f"X-API-Key: {token}", token),
        (f"(b'x-api-key', b'{opaque}')", opaque),
        (f"Cookie: session={opaque}", opaque),
        (f"loaded {key}", key.split("\n")[1]),
        (token, token),
        (f"x-api-key={opaque}", opaque),
        (f"authorization:{opaque}", opaque),
        (f"cookie,{opaque}", opaque),
    ]


@pytest.mark.parametrize("number", range(len(make_secrets())))
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_is_logged(number: int, log_format: LogFormat) -> None:
    text, secret = make_secrets()[number]
    stream = configure(log_format)
    extra = {"cause": text, "details": {"text": text}}
    logging.getLogger().error("Failed: %s", text, exc_info=RuntimeError(text), extra=extra)
    assert secret not in stream.getvalue()
    assert REDACTED in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "Forbidden: User cannot list resource diemapikeys in API group diem.io",
        "bearer of bad news",
        "Run is Completed reason=Completed",
        "https://10.96.0.1:443/apis/diem.io/v1/namespaces/team-a/diemjobs/load/status",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text
