"""Who takes over has much to list; what the kubelet, and so callers of the API beside it, are told meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.reliability.matrix import long_form
from tests.reliability.playing import Theatre
from tests.reliability.processes import Program
from tests.reliability.proxy import Rule
from tests.reliability.proxy.faults import Hold
from tests.reliability.waiting import eventually

LONG_SECONDS = 3.0


@contextmanager
def lists_held(program: Program) -> Iterator[Rule]:
    """Let a program's LISTs of DiemJobs wait while the block runs."""
    hold = Hold()
    try:
        yield program.proxy.rules.add(lambda call: call.what == "list diemjobs", hold)
    finally:
        hold.release()


def test_first_leader_is_not_ready_before_it_knows_what_there_is(theatre: Theatre) -> None:
    with theatre.site.install() as installation:
        operator = installation.operator
        with lists_held(operator):
            operator.start()
            # Asked from the start on, as the kubelet does: what it was before it led must not count.
            eventually("it leads", lambda: operator.ask("/readyz")[0] == 503 and operator.is_leader)
            assert operator.ask("/readyz") == (503, "not yet or no longer: watches, caches\n")
        operator.wait_ready()


@long_form
def test_standby_stays_ready_while_it_takes_over(theatre: Theatre) -> None:
    with theatre.stage(operators=2) as stage:
        leader, standby = stage.installation.operators
        with lists_held(standby) as held:
            leader.stop(is_killed=True)
            eventually("the standby leads and lists", lambda: standby.is_leader and bool(held.met))
            deadline = time.monotonic() + LONG_SECONDS
            while time.monotonic() < deadline:
                assert standby.ask("/readyz") == (200, "ok\n")
                time.sleep(0.1)
