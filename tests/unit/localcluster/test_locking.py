import threading
from pathlib import Path

from tests.localcluster.locking import exclusive, try_exclusive


def test_second_taker_gets_nothing_until_the_first_lets_go(tmp_path: Path) -> None:
    first = try_exclusive(tmp_path / "lock")
    assert first is not None
    assert try_exclusive(tmp_path / "lock") is None
    first.close()
    second = try_exclusive(tmp_path / "lock")

    assert second is not None
    second.close()


def test_waiting_taker_goes_on_when_the_lock_is_free(tmp_path: Path) -> None:
    order: list[str] = []

    def _take() -> None:
        with exclusive(tmp_path / "lock"):
            order.append("second")

    waiting = threading.Thread(target=_take)
    with exclusive(tmp_path / "lock"):
        waiting.start()
        waiting.join(timeout=0.2)
        order.append("first")
    waiting.join()

    assert order == ["first", "second"]
