"""A list that several wait for is taken once, and is never older than any of them can do with."""

import asyncio

import pytest

from diem_operator.cluster.sharing import Sharing


class Questions:
    """Asks about nothing in particular, at seconds that a test sets, and is answered when a test says so."""

    def __init__(self) -> None:
        self.seconds = 10.0
        self.sharing: Sharing[str, int] = Sharing(lambda: self.seconds)
        self.asked: list[asyncio.Future[int]] = []

    def ask(self, key: str = "a") -> "asyncio.Task[int]":
        return asyncio.create_task(self.sharing.ask(key, self._wait))

    def join(self, key: str = "a", *, begun_since: float = 0) -> "asyncio.Task[int | None]":
        return asyncio.create_task(self.sharing.join(key, begun_since=begun_since))

    async def _wait(self) -> int:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


@pytest.fixture
def questions() -> Questions:
    return Questions()


async def let_others_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_being_asked_is_shared_by_all_who_join(questions: Questions) -> None:
    asking = questions.ask()
    joining = [questions.join(begun_since=10), questions.join(begun_since=9)]
    await let_others_run()
    assert len(questions.asked) == 1
    questions.asked[0].set_result(7)
    assert await asyncio.gather(asking, *joining) == [7, 7, 7]


async def test_what_began_too_early_is_not_joined(questions: Questions) -> None:
    asking = questions.ask()
    await let_others_run()
    assert await questions.join(begun_since=10.1) is None
    questions.asked[0].set_result(7)
    assert await asking == 7


async def test_nothing_is_kept_that_was_answered_or_went_wrong(questions: Questions) -> None:
    assert await questions.join() is None
    asking = questions.ask()
    await let_others_run()
    questions.asked[0].set_result(7)
    await asking
    assert await questions.join() is None
    failing = questions.ask()
    await let_others_run()
    questions.asked[1].set_exception(OSError("refused"))
    with pytest.raises(OSError, match="refused"):
        await failing
    assert await questions.join() is None


async def test_other_questions_are_not_joined(questions: Questions) -> None:
    asking = questions.ask("a")
    await let_others_run()
    assert await questions.join("b") is None
    questions.asked[0].set_result(7)
    await asking


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_what_goes_wrong_is_not_shared(questions: Questions, is_cancelled: bool) -> None:
    asking, joining = questions.ask(), questions.join()
    await let_others_run()
    if is_cancelled:
        asking.cancel()
    else:
        questions.asked[0].set_exception(OSError("refused"))
    assert await joining is None
    with pytest.raises(asyncio.CancelledError if is_cancelled else OSError):
        await asking


async def test_who_joined_may_give_up(questions: Questions) -> None:
    asking, joining = questions.ask(), questions.join()
    await let_others_run()
    joining.cancel()
    await let_others_run()
    assert joining.cancelled()
    questions.asked[0].set_result(7)
    assert await asking == 7


async def test_later_question_takes_the_place_of_the_earlier(questions: Questions) -> None:
    first = questions.ask()
    await let_others_run()
    questions.seconds = 20
    second = questions.ask()
    await let_others_run()
    questions.asked[0].set_result(1)
    assert await first == 1
    joining = questions.join(begun_since=20)
    await let_others_run()
    questions.asked[1].set_result(2)
    assert (await second, await joining) == (2, 2)
