"""HTTPS with a certificate that is replaced while callers come and go."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from diem_operator.api.certificate import CertificateError, ServerCertificate
from diem_operator.settings import CertificateSettings
from tests.localcluster.pki import Authority
from tests.unit.api.service import QUICK, running_service

POLL_SECONDS = 0.01


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


class Files:
    """What the kubelet would mount from a Secret."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"
        self._authority = authority
        self._count = 0

    def issue(self) -> None:
        """Put a new pair there."""
        self._count += 1
        pair = self._authority.issue_server(f"api-{self._count}", ["localhost", "127.0.0.1"])
        self.certificate.write_bytes(pair.certificate.read_bytes())
        self.key.write_bytes(pair.key.read_bytes())


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Files:
    files = Files(tmp_path, authority)
    files.issue()
    return files


def name_of(certificate: object) -> str:
    assert isinstance(certificate, dict)
    return str(dict(pair[0] for pair in certificate["subject"])["commonName"])


@asynccontextmanager
async def listening(certificate: ServerCertificate) -> AsyncIterator[int]:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    following = asyncio.create_task(certificate.follow(every_seconds=POLL_SECONDS))
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=certificate.make_context())
    async with server:
        yield server.sockets[0].getsockname()[1]
    following.cancel()


async def read_name(port: int, authority: Authority, *, server_name: str = "localhost") -> str:
    """Connect and return the name in the certificate that is shown."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
    name = name_of(writer.get_extra_info("peercert"))
    writer.close()
    return name


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - it is a poll
            await asyncio.sleep(POLL_SECONDS)


@pytest.mark.parametrize("server_name", ["localhost", "127.0.0.1"])
async def test_new_certificate_is_shown_to_new_connections(
    files: Files, authority: Authority, server_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with listening(ServerCertificate(files.certificate, files.key)) as port:
        assert await read_name(port, authority, server_name=server_name) == "api-1"

        files.issue()
        await eventually(lambda: "Took up a new certificate" in caplog.text)

        assert await read_name(port, authority, server_name=server_name) == "api-2"


def put_other_certificate(files: Files) -> None:
    key = files.key.read_bytes()
    files.issue()
    files.key.write_bytes(key)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda files: files.key.write_text("no key"), id="no-key"),
        pytest.param(lambda files: files.certificate.write_text(""), id="empty-certificate"),
        pytest.param(lambda files: files.certificate.unlink(), id="missing-certificate"),
        pytest.param(put_other_certificate, id="key-of-another-certificate"),
    ],
)
async def test_unusable_pair_leaves_the_last_good_one_until_it_is_mended(
    files: Files, authority: Authority, spoil: Callable[[Files], object], caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(ServerCertificate(files.certificate, files.key)) as port:
        spoil(files)
        await eventually(lambda: "keeping the old one" in caplog.text)
        assert await read_name(port, authority) == "api-1"

        files.issue()
        async with asyncio.timeout(5):
            while await read_name(port, authority) == "api-1":  # noqa: ASYNC110 - it is a poll
                await asyncio.sleep(POLL_SECONDS)

    assert caplog.text.count("keeping the old one") == 1
    assert "PRIVATE KEY" not in caplog.text


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_process_does_not_begin_without_a_usable_pair(files: Files, content: str | None) -> None:
    files.certificate.unlink()
    if content is not None:
        files.certificate.write_text(content)

    with pytest.raises(CertificateError, match="are no usable certificate and key"):
        ServerCertificate(files.certificate, files.key)


async def test_api_is_served_over_https_and_not_over_http(files: Files, authority: Authority) -> None:
    certificate = CertificateSettings(certificate_file=files.certificate, key_file=files.key)
    async with running_service(msgspec.structs.replace(QUICK, certificate=certificate)) as service:
        tls = ssl.create_default_context(cafile=str(authority.ca_file))
        async with service.session.get(f"https://localhost:{service.port}/readyz", ssl=tls) as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        with pytest.raises(aiohttp.ClientError):
            await service.send("GET", "/readyz")


def test_old_tls_versions_are_refused(files: Files) -> None:
    context = ServerCertificate(files.certificate, files.key).make_context()

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
