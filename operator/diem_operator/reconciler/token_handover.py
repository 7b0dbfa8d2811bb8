"""Hands the API, which runs beside the operator, tokens of its own ServiceAccount.

The pod has one ServiceAccount, the operator's. The process that faces the network must hold less power than that: it
gets no token from the kubelet, but finds a short-lived one of another account in a file that both containers see.
Every replica does this for the API beside it, whether it leads or not.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn, Protocol

from diem_operator.cluster.errors import ClusterError
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.secret import IssuedToken
from diem_operator.settings import HandoverSettings

logger = logging.getLogger(__name__)

REQUEST_SECONDS: Final = 10.0
FIRST_RETRY_SECONDS: Final = 0.5
MOST_RETRY_SECONDS: Final = 30.0
RENEWED_AFTER: Final = 0.5
"""Of a token's lifetime: the other half is for an API server that is away."""
SOONEST_RENEWAL_SECONDS: Final = 10.0


class TokenSource(Protocol):
    """The ServiceAccounts of a cluster (`Cluster.service_accounts`)."""

    async def create_token(self, key: ObjectKey, *, lifetime_seconds: int, timeout_seconds: float) -> IssuedToken:
        """Return a new token of a ServiceAccount."""


class TokenHandover:
    """Keeps a good token in a file.

    Args:
        accounts: issue the tokens.
        account: whose.
        settings: the file and the lifetime.
        now: reads the wall time.
    """

    def __init__(
        self, accounts: TokenSource, account: ObjectKey, *, settings: HandoverSettings, now: Callable[[], datetime]
    ) -> None:
        self._accounts = accounts
        self._account = account
        self._settings = settings
        self._now = now
        self._failures = 0

    async def run(self) -> NoReturn:
        """Renew the token long before it expires, until cancelled; trouble is told once and tried again for ever."""
        while True:
            pause_seconds = await self._hand_over()
            await asyncio.sleep(pause_seconds)

    async def _hand_over(self) -> float:
        """Put a new token into the file; return how long to wait before the next one."""
        lifetime_seconds = self._settings.lifetime_seconds
        try:
            issued = await self._accounts.create_token(
                self._account, lifetime_seconds=lifetime_seconds, timeout_seconds=REQUEST_SECONDS
            )
            replace_file(self._settings.file, issued.token)
        except (ClusterError, OSError) as error:
            return self._recover(error)
        logger.log(logging.INFO if self._failures else logging.DEBUG, "Renewed the token of %s", self._account)
        self._failures = 0
        # Clocks may differ: a token never counts as living longer than was asked for.
        remaining_seconds = min((issued.expires_at - self._now()).total_seconds(), lifetime_seconds)
        return max(remaining_seconds * RENEWED_AFTER, SOONEST_RENEWAL_SECONDS)

    def _recover(self, error: ClusterError | OSError) -> float:
        level = logging.WARNING if self._failures == 0 else logging.DEBUG
        what = f"{type(error).__name__} at {self._settings.file}" if isinstance(error, OSError) else error
        logger.log(level, "Could not renew the token of %s, trying again: %s", self._account, what)
        self._failures += 1
        return min(FIRST_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 16), MOST_RETRY_SECONDS)


def replace_file(path: Path, content: str) -> None:
    """Write a file that others see whole or not at all, and that its owner and group alone may read.

    Raises:
        OSError: it cannot be written there.
    """
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o640)
    unfinished.write_text(content, encoding="ascii")
    unfinished.replace(path)
