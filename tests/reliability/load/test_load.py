"""Nothing is lost and nothing done twice under load, and no process is killed by its own probe; figures are printed."""

import pytest

from tests.reliability.load.figures import list_growths, print_table
from tests.reliability.load.play import play
from tests.reliability.load.sizes import read_sizes
from tests.reliability.playing import Theatre

MOST_GROWTH = 0.15
"""Of a process that has warmed up. It is asked of long loads only: a short one has not seen all there is to keep."""


def test_nothing_is_lost_under_load(theatre: Theatre, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = read_sizes()

    load = play(theatre.site, sizes)

    with capsys.disabled():
        print(f"\n{print_table(load)}")
    assert load.complaints == []
    assert len(load.fleet.runs) > sizes.live, "no run has followed another one"
    assert {"leader killed", "API killed", "leader frozen", "leader starved"} <= {
        recovery.after for recovery in load.disturbances.recoveries
    }
    assert load.crowd.told.stopped, "nothing was stopped"
    if sizes.is_long:
        growths = list_growths(load)
        assert len(growths) >= 3, "nobody lived long enough to tell"
        assert [growth for growth in growths if growth.share > MOST_GROWTH] == []
