"""A token that was made, changed or sent by anybody but its holder gets the one answer, and opens nothing.

All of them ask for a start. That the same bytes with the good token do start is what the last test shows.
"""

import json

import jwt
import pytest

from diem_operator.access.tokens import hash_token
from diem_operator.api.endpoint import PATH
from tests.security.tokens.forging import Loot, encode_part, forge_all, join, sign
from tests.security.tokens.installation import JOB, Installation, Team
from tests.security.tokens.published import DESCRIBED_CLAIMS, PRINTED_WORDS, build_printed_tokens
from tests.security.tokens.wire import BODY, WireAnswer, ask_with, send

GUESSED_SECRETS = (b"", b"secret", b"changeme", b"your-256-bit-secret", b"diem")
LONGEST_LINE_BYTES = 8190

SAMPLE = Loot(
    token=jwt.encode({"id": "sample", "exp": 1}, "x" * 32, algorithm="HS256", headers={"kid": "sample"}),
    signing_secret=b"x" * 32,
)
"""The names of the forgeries do not depend on what they are made from."""


@pytest.fixture(scope="module")
def forgeries(loot: Loot) -> dict[str, str]:
    return dict(forge_all(loot))


def header(value: str | bytes) -> bytes:
    return b"x-api-key: " + (value.encode() if isinstance(value, str) else value)


def test_refusal_is_a_401_that_tells_nothing(refusal: WireAnswer, team: Team) -> None:
    assert refusal.status == 401
    assert json.loads(refusal.body)["code"] == "unauthorized"
    assert team.namespace not in refusal.body


@pytest.mark.parametrize("name", [name for name, _ in forge_all(SAMPLE)])
def test_forgery_gets_the_one_answer(
    installation: Installation, forgeries: dict[str, str], refusal: WireAnswer, loot: Loot, name: str
) -> None:
    assert forgeries[name] != loot.token

    assert ask_with(installation.api_port, header(forgeries[name])) == refusal


@pytest.mark.parametrize("secret", GUESSED_SECRETS, ids=lambda secret: secret.decode() or "empty")
def test_described_key_opens_nothing_however_it_is_signed(
    installation: Installation, refusal: WireAnswer, loot: Loot, secret: bytes
) -> None:
    for token in (sign(DESCRIBED_CLAIMS, secret), sign(DESCRIBED_CLAIMS, loot.signing_secret)):
        assert ask_with(installation.api_port, header(token)) == refusal


def test_printed_keys_open_nothing(installation: Installation, refusal: WireAnswer) -> None:
    for digest, printed in build_printed_tokens().items():
        claims = jwt.decode(printed, options={"verify_signature": False})

        assert hash_token(printed) == digest
        assert ask_with(installation.api_port, header(printed)) == refusal
        assert ask_with(installation.api_port, header(join({"alg": "none"}, claims, ""))) == refusal
    for word in PRINTED_WORDS:
        assert ask_with(installation.api_port, header(word)) == refusal


def test_what_the_key_discloses_is_no_key(installation: Installation, refusal: WireAnswer, team: Team) -> None:
    stored = team.read("diemapikey/caller")
    status, uid = stored["status"], stored["metadata"]["uid"]
    for text in (status["tokenSHA256"], status["keyId"], status["secretName"], uid, f"apikey/{uid}"):
        assert ask_with(installation.api_port, header(text)) == refusal


def test_tokens_of_kubernetes_are_no_keys(installation: Installation, refusal: WireAnswer) -> None:
    for account in ("diem-operator", "diem-operator-api"):
        token = installation.cluster.kubectl("create", "token", account, "--namespace=diem-system").strip()
        assert ask_with(installation.api_port, header(token)) == refusal


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((b"x-api-key: %s", b"x-api-key: %s"), id="twice-the-same"),
        pytest.param((b"x-api-key: %s", b"x-api-key: nonsense"), id="good-then-bad"),
        pytest.param((b"x-api-key: nonsense", b"X-Api-Key: %s"), id="bad-then-good"),
        pytest.param((b"x-api-key: ", b"x-api-key: %s"), id="empty-then-good"),
        pytest.param((b"x_api_key: %s",), id="underscores"),
        pytest.param((b"x-api-keys: %s",), id="another-header"),
        pytest.param((b"Authorization: Bearer %s",), id="authorization"),
        pytest.param((b"Authorization: %s",), id="authorization-bare"),
        pytest.param((b"Proxy-Authorization: ApiKey %s",), id="of-a-proxy"),
        pytest.param((b"Cookie: x-api-key=%s",), id="cookie"),
        pytest.param((b"X-Forwarded-X-Api-Key: %s", b"X-Forwarded-User: admin"), id="forwarded"),
        pytest.param((b"Connection: x-api-key", b"x-api-keyy: %s"), id="hop-by-hop"),
    ],
)
def test_token_in_another_place_or_more_than_once_is_none(
    installation: Installation, refusal: WireAnswer, loot: Loot, lines: tuple[bytes, ...]
) -> None:
    filled = [line.replace(b"%s", loot.token.encode()) for line in lines]

    assert ask_with(installation.api_port, *filled) == refusal


def test_token_in_the_query_or_the_body_is_none(installation: Installation, refusal: WireAnswer, loot: Loot) -> None:
    body = json.dumps(json.loads(BODY) | {"x-api-key": loot.token, "apiKey": loot.token}).encode()
    target = f"{PATH}?x-api-key={loot.token}&api_key={loot.token}"

    assert ask_with(installation.api_port, target=target, body=body) == refusal


def test_token_in_a_trailer_is_none(installation: Installation, refusal: WireAnswer, loot: Loot) -> None:
    chunked = b"%x\r\n%s\r\n0\r\nx-api-key: %s\r\n\r\n" % (len(BODY), BODY, loot.token.encode())
    lines = (b"Transfer-Encoding: chunked", b"Trailer: x-api-key")

    assert send(installation.api_port, lines, target=PATH, body=chunked) == refusal


@pytest.mark.parametrize("length", [LONGEST_LINE_BYTES - 200, LONGEST_LINE_BYTES])
def test_long_token_gets_the_one_answer(
    installation: Installation, refusal: WireAnswer, loot: Loot, length: int
) -> None:
    assert ask_with(installation.api_port, header(loot.token.ljust(length, "x"))) == refusal


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"%s" + b"x" * LONGEST_LINE_BYTES, id="longer-than-a-line-may-be"),
        pytest.param(b"%s" + b"x" * 1_000_000, id="a-megabyte"),
        pytest.param(b"%s\0", id="NUL-behind"),
        pytest.param(b"\0%s", id="NUL-before"),
        pytest.param(b"%s\rx", id="CR-within"),
    ],
)
def test_what_is_no_header_is_refused_unread(installation: Installation, loot: Loot, team: Team, value: bytes) -> None:
    answer = ask_with(installation.api_port, header(value.replace(b"%s", loot.token.encode())))

    assert answer.status == 400
    assert loot.token not in answer.body
    assert team.namespace not in answer.body


def test_lone_bytes_that_are_no_text_get_the_one_answer(
    installation: Installation, refusal: WireAnswer, loot: Loot
) -> None:
    for value in (b"\xff\xfe", loot.token.encode() + b"\xa0", b"\x85" + loot.token.encode(), b"\xed\xa0\x80"):
        assert ask_with(installation.api_port, header(value)) == refusal


def test_no_attack_left_a_token_in_the_log(installation: Installation, loot: Loot, forgeries: dict[str, str]) -> None:
    log = installation.api_log.read_text() + installation.operator.log_file.read_text()

    assert [name for name, forged in forgeries.items() if len(forged) > 8 and forged in log] == []
    assert loot.token not in log
    assert loot.parts[2] not in log
    assert encode_part(loot.signing_secret) not in log


def test_no_attack_asked_for_a_run(team: Team) -> None:
    spec = team.read(f"diemjob/{JOB}")["spec"]

    assert {"state", "run", "requests"} & spec.keys() == set()
    assert json.loads(team.kubectl("get", "jobs", "--output=json"))["items"] == []


def test_good_token_starts_by_the_very_same_bytes(installation: Installation, loot: Loot, team: Team) -> None:
    told = ask_with(installation.api_port, header(loot.token))

    assert (told.status, json.loads(told.body)["message"]) == (200, "job started")
    padded = ask_with(installation.api_port, header(f" \t{loot.token} "))  # HTTP does not count blanks at either end
    assert json.loads(padded.body)["message"] == "job already running"
    assert team.read(f"diemjob/{JOB}")["spec"]["run"]["requestedBy"].startswith("apikey/")
