"""Signals that end a run: the first ends it, the others do not disturb its clean-up."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, subprocess, sys, time
from hack.local.endings import end_at_first_signal
from tests.localcluster.interruption import Terminated

end_at_first_signal()
try:
    print("ready", flush=True)
    signal.pause()
except Terminated as end:
    print("cleaning", flush=True)
    sys.stdin.readline()
    ignored = subprocess.run(["sh", "-c", "kill -TERM $$; echo survived"], capture_output=True).stdout
    print("child ignores signals" if ignored else "cleaned", flush=True)
    sys.exit(end.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("shell", [pytest.param("exec", id="in-front"), pytest.param("trap '' INT; exec", id="behind")])
def test_first_signal_ends_the_run_and_later_ones_do_not_disturb_its_clean_up(
    number: signal.Signals, shell: str
) -> None:
    command = ["sh", "-c", f'{shell} "$0" -c "$1"', sys.executable, PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "cleaning\n"
        for again in (signal.SIGTERM, signal.SIGINT, number):
            process.send_signal(again)
        output, _ = process.communicate("\n", timeout=10)

    assert output == "cleaned\n"
    assert process.returncode == 128 + number
