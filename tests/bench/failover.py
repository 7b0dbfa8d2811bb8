"""How long nobody starts anything when the leader is lost, or ends in good order."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from tests.bench.arena import Arena, name_all
from tests.bench.clients import JOBS, Arrivals
from tests.bench.starts import find_run_id, start_directly
from tests.reliability.installation import Installation
from tests.reliability.processes import Program
from tests.reliability.waiting import eventually


@dataclass(frozen=True)
class Failovers:
    """Seconds from the leader's end to the Job of a start that is asked for then."""

    killed: Sequence[float]
    restarted: Sequence[float]


async def measure_failovers(arena: Arena, *, count: int) -> Failovers:
    """Kill leaders, then end them in good order; another replica stands by each time."""
    with arena.install(operators=2) as installation:
        times = {
            is_killed: [await _replace_leader(arena, installation, is_killed=is_killed) for _ in range(count)]
            for is_killed in (True, False)
        }
    return Failovers(killed=times[True], restarted=times[False])


async def _replace_leader(arena: Arena, installation: Installation, *, is_killed: bool) -> float:
    name = name_all(f"after-{uuid4().hex[:6]}", 1)[0]
    await arena.make_diemjobs(installation.namespace, [name])
    leader = await asyncio.to_thread(_find_leader, installation)
    await asyncio.sleep(1)
    async with Arrivals(find_run_id).watching(arena.kube, JOBS.format(installation.namespace)) as arrivals:
        began = time.perf_counter()
        stopping = asyncio.create_task(asyncio.to_thread(leader.stop, is_killed=is_killed))
        run_id, _ = await start_directly(arena.kube, installation.namespace)(name)
        seconds = await arrivals.wait([run_id]) - began
    await stopping
    leader.start()
    await asyncio.to_thread(leader.wait_ready)
    return seconds


def _find_leader(installation: Installation) -> Program:
    eventually("somebody leads", lambda: any(each.is_leader for each in installation.operators))
    return next(each for each in installation.operators if each.is_leader)
