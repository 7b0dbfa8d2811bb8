"""What does not depend on how busy the machine is: how many requests a run, a status and doing nothing cost."""

from pathlib import Path

from tests.bench.arena import open_arena
from tests.bench.counts import count_requests


async def test_requests_are_as_few_as_promised(tmp_path: Path) -> None:
    async with open_arena(tmp_path) as arena:
        counts = await count_requests(arena)

    writes = dict(counts.writes)
    events = {what: writes.pop(what) for what in list(writes) if what.endswith(" events")}
    assert set(writes) == {"patch diemjobs", "create jobs", "patch diemjobs/status"}
    assert (writes["patch diemjobs"], writes["create jobs"]) == (1, 1)
    assert 2 <= writes["patch diemjobs/status"] <= 3
    assert sum(events.values()) <= 2
    assert 2 <= counts.writes_until_running <= 3
    assert counts.idle_writes == 0
    assert counts.requests_per_status == 0
