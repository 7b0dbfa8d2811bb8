"""The certificate that callers see, and its renewal without a restart.

The kubelet replaces the files of a Secret behind a running process. They are read again from time to time; a pair that
cannot be used, such as a key that does not belong to its certificate, leaves the last good one in place.
"""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final, NoReturn

logger = logging.getLogger(__name__)

REREAD_SECONDS: Final = 10.0


class CertificateError(Exception):
    """There is no usable certificate to begin with; the text says in which file."""


class ServerCertificate:
    """A certificate with its chain and the private key, in two PEM files.

    Args:
        certificate_file: the server's own certificate first, then those that signed it.
        key_file: the private key.

    Raises:
        CertificateError: they cannot be used.
    """

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        self._files = (certificate_file, key_file)
        try:
            self._content = self._read()
            self._current = self._load()
        except OSError as error:
            raise CertificateError(
                f"{certificate_file} and {key_file} are no usable certificate and key ({_describe(error)}); "
                "check what the Secret holds, and that it is mounted"
            ) from error

    def make_context(self) -> ssl.SSLContext:
        """Return a context whose every new connection gets the certificate that is current then."""
        context = self._current
        context.sni_callback = self._choose
        return context

    async def follow(self, *, every_seconds: float = REREAD_SECONDS) -> NoReturn:
        """Use what comes to be in the files, until cancelled."""
        is_troubled = False
        while True:
            await asyncio.sleep(every_seconds)
            try:
                self._renew()
            except OSError as error:
                level = logging.DEBUG if is_troubled else logging.ERROR
                logger.log(level, "Could not use the new certificate, keeping the old one: %s", _describe(error))
                is_troubled = True
            else:
                is_troubled = False

    def _renew(self) -> None:
        content = self._read()
        if content != self._content:
            self._current = self._load()
            self._content = content
            logger.info("Took up a new certificate from %s", self._files[0])

    def _read(self) -> tuple[bytes, ...]:
        return tuple(file.read_bytes() for file in self._files)

    def _load(self) -> ssl.SSLContext:
        """Return a context of its own: one that is in use would be left without a key by a pair that does not fit."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files)
        return context

    def _choose(self, connection: ssl.SSLObject, _server_name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def _describe(error: OSError) -> str:
    """Say what is wrong without a word from inside the files."""
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__
