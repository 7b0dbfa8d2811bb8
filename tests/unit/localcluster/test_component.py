import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.localcluster.component import Component
from tests.localcluster.errors import ComponentError
from tests.localcluster.processes import identify, is_alive

Make = Callable[..., Component]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Component] = []

    def _make(code: str, is_ready: Callable[[], bool] | None = None) -> Component:
        command = [sys.executable, "-u", "-c", code]
        made.append(Component("sleeper", command, log_file=tmp_path / f"{len(made)}.log", is_ready=is_ready))
        return made[-1]

    yield _make
    for component in made:
        component.kill()


def _said(component: Component, line: str) -> Callable[[], bool]:
    return lambda: line in component.log_tail().splitlines()


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


SLEEP = "import time; print('up'); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
PARENT = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid); time.sleep(60)"


def test_killed_component_starts_again(make: Make) -> None:
    component = make(SLEEP)
    component.start()
    first = component.pid
    component.kill()
    assert component.pid is None
    component.start()

    assert component.is_running
    assert component.pid != first


def test_second_start_of_a_running_component_does_nothing(make: Make) -> None:
    component = make(SLEEP)
    component.start()
    first = component.pid
    component.start()

    assert component.pid == first


def test_component_that_ignores_the_polite_signal_is_killed(make: Make) -> None:
    component = make(STUBBORN)
    component.start()
    _eventually(_said(component, "up"))
    component.stop(timeout_seconds=0.1)

    assert not component.is_running


def test_its_children_end_with_it(make: Make) -> None:
    component = make(PARENT)
    component.start()
    _eventually(lambda: component.log_file.read_text().strip().isdigit())
    child = identify(int(component.log_file.read_text()))
    assert child is not None
    component.kill()

    _eventually(lambda: not is_alive(child))


def test_frozen_component_can_be_stopped(make: Make) -> None:
    component = make(SLEEP)
    component.start()
    component.pause()
    component.stop()

    assert not component.is_running


def test_pause_freezes_and_resume_goes_on(make: Make) -> None:
    component = make("import time\nwhile True: print('tick'); time.sleep(0.01)")
    component.start()
    _eventually(_said(component, "tick"))
    component.pause()
    time.sleep(0.1)
    size = component.log_file.stat().st_size
    time.sleep(0.2)
    assert component.log_file.stat().st_size == size
    component.resume()

    _eventually(lambda: component.log_file.stat().st_size > size)


def test_start_fails_with_the_end_of_the_log_when_it_ends_early(make: Make) -> None:
    component = make("raise SystemExit('bad flag')", is_ready=lambda: False)

    with pytest.raises(ComponentError, match=r"(?s)sleeper ended before it was ready.*bad flag"):
        component.start()


def test_start_gives_up_when_it_never_serves(make: Make) -> None:
    component = make(SLEEP, is_ready=lambda: False)
    component.start(wait=False)

    with pytest.raises(ComponentError, match="not ready after 0 s"):
        component.wait_ready(timeout_seconds=0.1)


def test_every_change_of_the_process_is_told(make: Make) -> None:
    component = make(SLEEP)
    seen: list[int | None] = []
    component.on_change = lambda: seen.append(component.pid)
    component.start()
    pid = component.pid
    component.kill()

    assert seen == [pid, None]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_program_that_runs_through_another_is_ended_itself(tmp_path: Path) -> None:
    through = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"]
    component = Component("inner", ["sleep", "60"], log_file=tmp_path / "log", through=lambda: through)
    component.start()
    assert component.pid is not None
    time.sleep(0.5)
    component.signal(signal.SIGTERM)

    _eventually(lambda: not component.is_running)
    component.kill()


def test_identity_is_not_only_a_number() -> None:
    own = identify(os.getpid())

    assert own is not None
    assert is_alive(own)
    assert not is_alive(type(own)(own.pid, "another time"))
