"""What kopf logs in with, and how often."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from diem_operator.cluster.credentials import Credentials, TlsMaterial
from diem_operator.cluster.tokens import FixedAuthorization, TokenFile
from diem_operator.handlers.login import LIFETIME, log_in
from tests.unit.handshake import make_bare_server, shake_hands

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


async def test_kopf_gets_a_fresh_token_at_each_login(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    credentials = Credentials(server="https://x", authorization=TokenFile(token), namespace="diem")
    first = await log_in(credentials, now=NOW)
    token.write_text("rotated")
    second = await log_in(credentials, now=NOW)
    assert first.as_http_headers() == {"Authorization": "Bearer first"}
    assert second.as_http_headers() == {"Authorization": "Bearer rotated"}
    assert second.default_namespace == "diem"


async def test_kopf_logs_in_again_with_what_a_passing_401_spoiled_but_not_in_a_loop() -> None:
    credentials = Credentials(server="https://x", authorization=FixedAuthorization("Bearer t"))

    spoiled = await log_in(credentials, now=NOW)
    assert await log_in(credentials, now=NOW + timedelta(seconds=5)) == spoiled
    assert await log_in(credentials, now=NOW + timedelta(minutes=1)) != spoiled


async def test_kopf_is_told_to_come_back_before_a_rotated_token_expires() -> None:
    connection = await log_in(Credentials(server="https://x"), now=NOW)
    assert connection.expiration is not None
    assert timedelta(minutes=5) < connection.expiration - NOW <= LIFETIME


async def test_kopf_gets_passwords_in_the_form_it_sends() -> None:
    credentials = Credentials(server="https://x", authorization=FixedAuthorization("Basic YTpi"))
    connection = await log_in(credentials, now=NOW)
    assert connection.as_http_headers() == {"Authorization": "Basic YTpi"}


async def test_kopf_connects_with_the_tls_of_our_own_client(tmp_path: Path) -> None:
    server = make_bare_server(tmp_path)
    tls = TlsMaterial(ca=server.ca, server_name="kubernetes")
    connection = await log_in(Credentials(server="https://x", tls=tls), now=NOW)
    shake_hands(connection.as_ssl_context(), server.context, "localhost")
