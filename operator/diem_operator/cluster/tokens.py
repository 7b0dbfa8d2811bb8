"""Where the Authorization header comes from: nowhere, a fixed value, a rotated file, or a program (kubeconfig `exec`).

Values never appear in a repr, a log or an error.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from diem_operator.clock import steady_seconds
from diem_operator.cluster.errors import RequestNotSent

logger = logging.getLogger(__name__)

REREAD_SECONDS: Final = 60.0
"""The kubelet replaces a projected token well before it expires; this is how long the old one is used on."""

RERUN_SECONDS: Final = 10.0
"""A program is asked again at most this often, however many requests are refused."""


class Authorization(Protocol):
    """Gives the value of the Authorization header."""

    async def current(self) -> str | None:
        """Return the value to send, None for none.

        Raises:
            RequestNotSent: there should be one, but it cannot be had.
        """

    async def renew(self, refused: str | None) -> bool:
        """Look for another value than the one the server has just refused; whether there is one."""


class FixedAuthorization:
    """A value that never changes: a token or a password in a kubeconfig, or nothing (client certificates)."""

    def __init__(self, value: str | None = None) -> None:
        self._value = value

    async def current(self) -> str | None:
        """Return the value."""
        return self._value

    async def renew(self, refused: str | None) -> bool:
        """Return False unless the refused value was another one."""
        return refused != self._value


class TokenFile:
    """A bearer token in a file, read again after a while and after a refusal; the last good one outlives the file."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = steady_seconds) -> None:
        self._path = path
        self._clock = clock
        self._value: str | None = None
        self._read_at = 0.0
        self._is_troubled = False

    async def current(self) -> str | None:
        """Return the header for the token; reads the file when the last reading is old."""
        if self._value is None or self._clock() - self._read_at > REREAD_SECONDS:
            self._read()
        if self._value is None:
            raise RequestNotSent(f"No token in {self._path}; check that it is mounted and readable")
        return self._value

    async def renew(self, refused: str | None) -> bool:
        """Read the file unless that has happened since the refused value was read."""
        if refused == self._value:
            self._read()
        return self._value not in {None, refused}

    def _read(self) -> None:
        self._read_at = self._clock()
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            level = logging.DEBUG if self._is_troubled else logging.WARNING
            logger.log(level, "Could not read the token file %s: %s", self._path, type(error).__name__)
            self._is_troubled = True
            return
        self._is_troubled = False
        if token:
            self._value = f"Bearer {token}"


class TokenProgram:
    """A bearer token from a program; it runs in a thread, one at a time."""

    def __init__(self, run: Callable[[], str], *, clock: Callable[[], float] = steady_seconds) -> None:
        """`run` blocks, returns the token, and raises RequestNotSent when the program gives none."""
        self._run = run
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value: str | None = None
        self._ran_at: float | None = None

    async def current(self) -> str | None:
        """Return the header for the token; runs the program when there is none yet."""
        if self._value is None:
            await self.renew(None)
        return self._value

    async def renew(self, refused: str | None) -> bool:
        """Run the program, unless it ran a moment ago or another request has already done so."""
        async with self._lock:
            if refused == self._value and self._may_run():
                self._ran_at = self._clock()
                self._value = f"Bearer {await asyncio.to_thread(self._run)}"
        return self._value not in {None, refused}

    def _may_run(self) -> bool:
        return self._value is None or self._ran_at is None or self._clock() - self._ran_at >= RERUN_SECONDS
