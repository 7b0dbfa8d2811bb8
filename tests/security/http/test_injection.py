"""What callers write is text: it never becomes part of a path, a patch, or a line of the log."""

import json
import unicodedata

import pytest

from tests.security.http.attacked import JOB, AttackedApi, Team
from tests.security.http.wire import build_request, command, converse

FRESH = "nightly-lo\u00e4d"
"""As an alias: has a composed and a decomposed form."""

TRAVERSALS = [
    "../nightly-load",
    "..",
    ".",
    "/",
    "//",
    "./nightly-load",
    "nightly-load/",
    "nightly-load/status",
    "nightly-load/..",
    "nightly-load/../../secrets",
    "../../../../api/v1/secrets",
    "../diemapikeys/caller",
    "%2e%2e/diemapikeys/caller",
    "..%2fdiemapikeys%2fcaller",
    "..%252fdiemapikeys",
    "..\\diemapikeys",
    "nightly-load?watch=true",
    "nightly-load#",
    "nightly-load;x",
    "nightly-load&x=y",
    "nightly-load ",
    " nightly-load",
    "\tnightly-load",
    "nightly-load\n",
    "nightly-load\r\nX-Injected: yes",
    "nightly-load\0",
    "nightly-load\0.json",
    "\0",
    "NIGHTLY-LOAD",
    "Nightly-Load",
    "*",
    "nightly-*",
    "nightly-loa?",
    "kube-system/nightly-load",
    "/apis/diem.io/v1/namespaces/default/diemjobs/nightly-load",
    "http://127.0.0.1/nightly-load",
    "nightly\u2010load",
    "nightly\u2011load",
    "nightly\uff0dload",
    "n\u0456ghtly-load",
    "\uff4eightly-load",
    "nightly-load\u200b",
    "\ufeffnightly-load",
    "\u202enightly-load",
    "nightly-\u0131oad",
    "nightly-lo\u0430d",
    "nightly-load\u0301",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "'; DROP TABLE jobs; --",
    "$(touch /tmp/x)",
    "`id`",
    "__proto__",
    "x" * 512,
    "\U0001f600" * 256,
]


def name_of(text: str) -> str:
    return ascii(text)[1:41]


@pytest.mark.parametrize("action", ["status", "start", "stop"])
@pytest.mark.parametrize("job_id", TRAVERSALS, ids=name_of)
def test_odd_id_reaches_no_object_and_no_path(api: AttackedApi, team: Team, job_id: str, action: str) -> None:
    before = api.mark_audit()

    answer = team.ask(action, job_id=job_id)

    assert (answer.status, answer.problem["code"]) == (404, "unknown-job")
    assert answer.problem["id"] == job_id
    assert api.read_requests(since=before) == []


def test_right_id_reaches_the_one_path(api: AttackedApi, team: Team) -> None:
    before = api.mark_audit()

    assert team.ask("status").status == 200

    assert api.read_requests(since=before) == [
        ("get", f"/apis/diem.io/v1/namespaces/{team.namespace}/diemjobs/{JOB}"),
    ]


ALIASES = [
    "../../../../api/v1/secrets",
    "..",
    "a/b/c",
    "%2e%2e%2fsecrets",
    "x?watch=true",
    "x\r\nX-Injected: yes",
    "\u202ex",
    unicodedata.normalize("NFC", FRESH),
]


def test_alias_is_a_name_for_callers_and_no_part_of_a_path(api: AttackedApi, team: Team) -> None:
    team.apply_job("oddly-called", aliases=ALIASES)
    before = api.mark_audit()

    answers = {alias: team.ask("status", job_id=f"{team.namespace}/{alias}").status for alias in ALIASES}

    assert answers == dict.fromkeys(ALIASES, 200)
    path = f"/apis/diem.io/v1/namespaces/{team.namespace}/diemjobs/oddly-called"
    assert set(api.read_requests(since=before)) == {("get", path)}


def test_other_forms_of_the_same_letters_are_other_names(team: Team) -> None:
    alias = unicodedata.normalize("NFC", f"the {FRESH}")
    team.apply_job("composed", aliases=[alias])
    assert team.ask("status", job_id=alias).status == 200

    for form in ("NFD", "NFKD"):
        other = unicodedata.normalize(form, alias)
        assert other != alias
        assert team.ask("status", job_id=other).status == 404


LINES = [
    "\n",
    '\n{"level":"error","message":"forged"}\n',
    "\r\n",
    "\r",
    "\x1b[2J\x1b[31mforged\x1b[0m",
    "\x1b]0;title\x07",
    "\x00",
    "\x08\x08\x08",
    "\u2028\u2029\u0085",
    "\u202e",
    '"}',
    "\\n",
    "%s %(levelname)s {0}",
]


@pytest.mark.parametrize("text", LINES, ids=name_of)
def test_nothing_that_is_written_begins_a_line_of_the_log(api: AttackedApi, team: Team, text: str) -> None:
    """The log is looked at after each test, line by line."""
    start = len(api.read_log())
    job = f"written-to-{LINES.index(text)}"
    team.apply_job(job, parameters=[{"name": "TEXT"}])
    bodies = [
        {"id": job, "action": "start", "parameters": {"TEXT": f"x{text}forged"}},
        {"id": job, "action": "start"},
        {"id": f"{job}{text}forged", "action": "start"},
        {"id": job, "action": f"start{text}forged"},
        {"id": job, "action": "start", "parameters": {f"X{text}forged": "y"}},
        {"id": job, "action": "stop", "expectedRun": f"{text}forged"},
        {"id": job, "action": "stop", f"{text}forged": f"{text}forged"},
        {"id": job, "action": "start", "wait": f"{text}forged"},
        {"id": job, "action": "stop"},
    ]
    for body in bodies:
        team.ask("", body=json.dumps(body).encode())

    lines = [json.loads(line) for line in api.read_log()[start:]]
    accepted = [line["message"] for line in lines if line["message"].startswith("Accepted a ")]
    assert accepted[-1] == "Accepted a stop"  # so that there was something to forge
    assert [line for line in lines if "forged" in json.dumps(line)] == []
    assert not any(character in "\n".join(api.read_log()[start:]) for character in "\x1b\x00\x08\x07\r\u2028\u202e")


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", id="path"),
        pytest.param(b"%s / HTTP/1.1\r\nHost: x\r\n\r\n", id="method"),
        pytest.param(b"GET / HTTP/%s\r\nHost: x\r\n\r\n", id="version"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n%s: y\r\n\r\n", id="header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n", id="host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\n\r\n", id="user agent"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n\r\n", id="key"),
        pytest.param(b"POST /etl-mgr/api/apijob HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n%s\r\n\r\n", id="whole line"),
    ],
)
@pytest.mark.parametrize(
    "text", [b"\x1b[31mforged", b'"}\n{"forged":"', b"\x00forged", b"\r\nforged: x", b"\xff\xfeforged", b"\x7fforged"]
)
def test_no_part_of_a_request_gets_into_the_log(api: AttackedApi, place: bytes, text: bytes) -> None:
    start = len(api.read_log())

    converse(api.port, place.replace(b"%s", text))

    assert "forged" not in "\n".join(api.read_log()[start:])


def test_idempotency_key_and_other_headers_stay_out_of_the_log(api: AttackedApi, team: Team) -> None:
    start = len(api.read_log())
    lines = (b"Idempotency-Key: forged \x1b", b"User-Agent: forged", b"X-Request-Id: forged", b"Cookie: forged=1")
    team.api.tokens.add("forged")

    converse(api.port, build_request(team.token, command("start", JOB), *lines))
    answer = team.ask("start", b"Idempotency-Key: forged")

    assert answer.status == 200
    assert "forged" not in "\n".join(api.read_log()[start:])
