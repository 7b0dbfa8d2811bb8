"""How the process writes its log: one handler and one format for our loggers, kopf's and all others.

Code logs with `extra={"namespace": …, "diemjob": …, "run": …}`: `name` itself belongs to logging. Whatever else is in
`extra` becomes a field of the line too. Secrets are kept out where they are handled; `redact` is the net below.
"""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import msgspec

LogFormat = Literal["auto", "text", "json"]

REDACTED: Final = "<redacted>"

# What kopf and logging themselves put on a record.
_NO_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime",
    "message",
    "k8s_ref",
    "k8s_skip",
    "settings",
    "taskName",
}

_SECRETS: Final = re.compile(
    r"""
    \beyJ[\w-]{8,}\.[\w-]+\.[\w-]*                                              # a JWT, wherever it stands
    | (?<=[Bb]earer[ ])[\w.~+/=-]{8,} | (?<=[Bb]asic[ ])[\w.~+/=-]{8,}          # credentials by their scheme
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|$)
    """,
    re.VERBOSE | re.DOTALL,
)
_HEADERS: Final = re.compile(
    r"""((?:x-api-key|authorization|cookie)['"]?\s*[:=,]\s*b?['"]?)(?!Bearer\ |Basic\ )[^\s'",;)}\]]+""", re.IGNORECASE
)

_NAME: Final = re.compile(r"[\w/-]*")
"""Text in which none of these patterns finds anything: each needs a dot, a space, or what follows a header's name."""

# Louder than they are useful: kopf reports each successful call of a handler at INFO, and each of its regular logins.
QUIET_LOGGERS: Final = ("kopf.objects", "kopf.activities", "kopf._core.engines.activities", "asyncio")

# How kopf tells that it will try a request again, without the query and the error's own words.
_ATTEMPT: Final = re.compile(r"Request attempt #\d+ failed; will retry: (\S+ [^\s?]+)\S* -> (\w+)")

RETRY_LINE_SECONDS: Final = 300.0
"""Between two lines about a request that kopf tries again and again."""


def redact(text: str) -> str:
    """Return the text without what looks like a token, a key or the value of an authenticating header."""
    if _NAME.fullmatch(text):  # most fields are names and ids, and the search costs fifty times as much
        return text
    return _HEADERS.sub(rf"\1{REDACTED}", _SECRETS.sub(REDACTED, text))


class TextFormatter(logging.Formatter):
    """For people: time, level, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with a traceback below it if there is one."""
        fields = "".join(f" {name}={value}" for name, value in _read_fields(record).items())
        line = f"{_format_time(record)} {record.levelname:<7} {record.getMessage()}{fields}"
        return redact("\n".join(filter(None, (line, _format_error(self, record)))))


class JsonFormatter(logging.Formatter):
    """For log collectors: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON; values that are no text, number or truth appear as text."""
        entry = {"timestamp": _format_time(record), "level": record.levelname.lower(), "logger": record.name}
        told = {"message": record.getMessage(), "error": _format_error(self, record)}
        fields = {name: value for name, value in _read_fields(record).items() if name not in entry | told}
        return msgspec.json.encode(
            entry | {name: _redact_value(value) for name, value in (told | fields).items() if value != ""}
        ).decode()


def configure_logging(*, log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Send everything that is logged to one stream, by default standard error.

    Args:
        log_format: auto is text on a terminal and JSON elsewhere.
        level: of everything but a few loggers that are louder than they are useful.
        stream: another place.
    """
    target = stream or sys.stderr
    is_text = log_format == "text" or (log_format == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    handler.addFilter(SomeRetries())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


class SomeRetries(logging.Filter):
    """Leaves out most of kopf's attempts at one request: there is no end of them where a namespace may not be read."""

    def __init__(self) -> None:
        super().__init__()
        self._told_at: dict[tuple[str, ...], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written."""
        attempt = _ATTEMPT.match(record.getMessage()) if record.name.startswith("kopf.") else None
        if attempt is None:
            return True
        told_at = self._told_at.get(attempt.groups())
        is_due = told_at is None or record.created - told_at >= RETRY_LINE_SECONDS
        if is_due:
            self._told_at[attempt.groups()] = record.created
        return is_due


def _read_fields(record: logging.LogRecord) -> dict[str, object]:
    fields = {name: value for name, value in vars(record).items() if name not in _NO_FIELDS}
    reference = getattr(record, "k8s_ref", None) or {}
    for ours, theirs in (("namespace", "namespace"), ("kind", "kind"), ("object", "name")):
        if reference.get(theirs):
            fields.setdefault(ours, reference[theirs])
    return fields


def _redact_value(value: object) -> str | float | bool | None:
    return value if isinstance(value, int | float | None) else redact(str(value))


def _format_time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _format_error(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""
