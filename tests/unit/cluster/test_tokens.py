"""When the Authorization header is read again."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from diem_operator.cluster.errors import RequestNotSent
from diem_operator.cluster.tokens import REREAD_SECONDS, RERUN_SECONDS, FixedAuthorization, TokenFile, TokenProgram


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def put(path: Path, content: str | None) -> None:
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


async def test_token_is_sent_without_the_line_end(token_file: Path) -> None:
    assert await TokenFile(token_file).current() == "Bearer first"


async def test_file_is_read_again_after_a_minute_and_not_before(token_file: Path, clock: Clock) -> None:
    source = TokenFile(token_file, clock=clock)
    await source.current()
    put(token_file, "second")
    clock.seconds += REREAD_SECONDS
    assert await source.current() == "Bearer first"
    clock.seconds += 1
    assert await source.current() == "Bearer second"


async def test_refused_token_is_read_again_at_once(token_file: Path, clock: Clock) -> None:
    source = TokenFile(token_file, clock=clock)
    refused = await source.current()
    put(token_file, "second")
    assert await source.renew(refused)
    assert await source.current() == "Bearer second"


async def test_refused_token_that_is_still_in_the_file_is_not_renewed(token_file: Path) -> None:
    source = TokenFile(token_file)
    assert not await source.renew(await source.current())


async def test_many_requests_refused_with_the_old_token_all_get_the_new_one(token_file: Path) -> None:
    source = TokenFile(token_file)
    refused = await source.current()
    put(token_file, "second")
    assert [await source.renew(refused) for _ in range(3)] == [True, True, True]


@pytest.mark.parametrize("content", [None, "", "\n", "caf\u00e9"], ids=["gone", "empty", "blank", "no token"])
async def test_last_good_token_outlives_the_file(
    token_file: Path, clock: Clock, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    source = TokenFile(token_file, clock=clock)
    await source.current()
    put(token_file, content)
    clock.seconds += REREAD_SECONDS + 1
    assert await source.current() == "Bearer first"
    assert "first" not in caplog.text


async def test_token_file_may_appear_later(tmp_path: Path) -> None:
    source = TokenFile(tmp_path / "token")
    with pytest.raises(RequestNotSent, match="check that it is mounted"):
        await source.current()
    put(tmp_path / "token", "late")
    assert await source.current() == "Bearer late"


async def test_fixed_value_cannot_be_renewed() -> None:
    source = FixedAuthorization("Basic abc")
    assert await source.current() == "Basic abc"
    assert not await source.renew("Basic abc")


def numbered_tokens() -> Iterator[str]:
    return (f"token-{number}" for number in range(1, 100))


async def test_program_runs_once_and_then_only_after_a_refusal(clock: Clock) -> None:
    tokens = numbered_tokens()
    source = TokenProgram(lambda: next(tokens), clock=clock)
    assert [await source.current() for _ in range(3)] == ["Bearer token-1"] * 3
    clock.seconds += RERUN_SECONDS
    assert await source.renew("Bearer token-1")
    assert await source.current() == "Bearer token-2"


async def test_program_does_not_run_for_each_of_many_refusals(clock: Clock) -> None:
    tokens = numbered_tokens()
    source = TokenProgram(lambda: next(tokens), clock=clock)
    await source.current()
    assert not await source.renew("Bearer token-1")
    clock.seconds += RERUN_SECONDS
    results = await asyncio.gather(*(source.renew("Bearer token-1") for _ in range(20)))
    assert all(results)
    assert await source.current() == "Bearer token-2"
