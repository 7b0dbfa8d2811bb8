import signal
from collections.abc import Iterator

import pytest

from tests.localcluster.interruption import Terminated, turn_signals_into_exceptions


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_request_to_end_is_as_final_as_ctrl_c(handlers: None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    turn_signals_into_exceptions()

    with pytest.raises(KeyboardInterrupt) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert isinstance(caught.value, Terminated)
    assert caught.value.exit_code == 143


def test_handlers_of_others_stay(handlers: None) -> None:
    def own(*_: object) -> None: ...

    signal.signal(signal.SIGTERM, own)
    turn_signals_into_exceptions()

    assert signal.getsignal(signal.SIGTERM) is own
