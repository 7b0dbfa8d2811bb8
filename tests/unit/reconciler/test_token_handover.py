"""The API beside the operator always finds a good token."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from diem_operator.cluster.errors import Forbidden, OutcomeUnknown
from diem_operator.model.metadata import ObjectKey
from diem_operator.model.secret import IssuedToken
from diem_operator.reconciler.token_handover import TokenHandover
from diem_operator.settings import HandoverSettings
from tests.unit.reconciler.virtual_time import in_virtual_time, seconds

ACCOUNT = ObjectKey(namespace="diem-system", name="diem-operator-api")
START = datetime(2030, 1, 1, tzinfo=UTC)


class Accounts:
    """Issues token-1, token-2, …, each for as long as `granted_seconds`."""

    def __init__(self, *, granted_seconds: float = 3600) -> None:
        self.granted_seconds = granted_seconds
        self.asked_at: list[float] = []
        self.failures: list[Exception] = []

    async def create_token(self, key: ObjectKey, *, lifetime_seconds: int, timeout_seconds: float) -> IssuedToken:
        assert key == ACCOUNT
        assert lifetime_seconds == 3600
        self.asked_at.append(seconds())
        if self.failures:
            raise self.failures.pop(0)
        expires_at = read_wall_clock() + timedelta(seconds=self.granted_seconds)
        return IssuedToken(token=f"token-{len(self.asked_at)}", expires_at=expires_at)

    @property
    def pauses(self) -> list[float]:
        return [later - sooner for sooner, later in zip(self.asked_at, self.asked_at[1:], strict=False)]


def read_wall_clock() -> datetime:
    return START + timedelta(seconds=seconds())


def read(token_file: Path) -> str:
    return token_file.read_text()


def put(token_file: Path, token: str) -> None:
    token_file.write_text(token)


def describe(token_file: Path) -> tuple[int, list[str]]:
    """Return the file's mode, and the names of all that lies beside it."""
    return token_file.stat().st_mode & 0o777, sorted(path.name for path in token_file.parent.iterdir())


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    return tmp_path / "token"


@asynccontextmanager
async def handing_over(accounts: Accounts, token_file: Path, *, skew_seconds: float = 0) -> AsyncIterator[None]:
    handover = TokenHandover(
        accounts,
        ACCOUNT,
        settings=HandoverSettings(service_account=ACCOUNT.name, file=token_file),
        now=lambda: read_wall_clock() + timedelta(seconds=skew_seconds),
    )
    task = asyncio.create_task(handover.run())
    yield
    assert not task.done()
    task.cancel()


async def hand_over_for(duration: float, accounts: Accounts, token_file: Path, *, skew_seconds: float = 0) -> None:
    async with handing_over(accounts, token_file, skew_seconds=skew_seconds):
        await asyncio.sleep(duration)


@in_virtual_time
async def test_token_lies_in_the_file_whole_and_for_owner_and_group_only(token_file: Path) -> None:
    await hand_over_for(1, Accounts(), token_file)

    assert read(token_file) == "token-1"
    assert describe(token_file) == (0o640, ["token"])


@in_virtual_time
async def test_token_is_renewed_after_half_of_its_life(token_file: Path) -> None:
    accounts = Accounts()

    await hand_over_for(4000, accounts, token_file)

    assert accounts.pauses == [pytest.approx(1800)] * 2
    assert read(token_file) == "token-3"


@pytest.mark.parametrize(
    ("granted_seconds", "skew_seconds", "pause_seconds"),
    [
        pytest.param(600, 0, 300, id="the server grants less"),
        pytest.param(86400, 0, 1800, id="the server grants more"),
        pytest.param(3600, -600, 1800, id="our clock is behind"),
        pytest.param(3600, 600, 1500, id="our clock is ahead"),
        pytest.param(600, 700, 10, id="our clock is past its end"),
    ],
)
@in_virtual_time
async def test_renewal_is_never_late(
    granted_seconds: float, skew_seconds: float, pause_seconds: float, token_file: Path
) -> None:
    accounts = Accounts(granted_seconds=granted_seconds)

    await hand_over_for(pause_seconds * 1.5, accounts, token_file, skew_seconds=skew_seconds)

    assert accounts.pauses == [pytest.approx(pause_seconds)]


@in_virtual_time
async def test_failure_keeps_the_old_token_and_is_told_once(token_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    accounts = Accounts()
    put(token_file, "old")
    accounts.failures = [OutcomeUnknown("time-out"), Forbidden("no"), Forbidden("no")]

    async with handing_over(accounts, token_file):
        await asyncio.sleep(1)
        assert read(token_file) == "old"
        await asyncio.sleep(10)

    assert read(token_file) == "token-4"
    assert accounts.pauses == [pytest.approx(0.5), pytest.approx(1), pytest.approx(2)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@in_virtual_time
async def test_pause_between_failures_is_bounded(token_file: Path) -> None:
    accounts = Accounts()
    accounts.failures = [Forbidden("no")] * 100

    await hand_over_for(300, accounts, token_file)

    assert max(accounts.pauses) == pytest.approx(30)


@in_virtual_time
async def test_place_that_cannot_be_written_is_told_without_the_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await hand_over_for(0.1, Accounts(), tmp_path / "missing" / "token")

    assert "FileNotFoundError" in caplog.text
    assert "token-1" not in caplog.text
