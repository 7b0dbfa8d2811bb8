"""How many requests things cost, counted between our processes and the API server."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from tests.bench.arena import SHORT_PODS, Arena, name_all
from tests.bench.clients import Client, connect_api
from tests.bench.starts import start_over_http
from tests.reliability.callers import PATH
from tests.reliability.installation import Installation
from tests.reliability.oracle import TERMINAL
from tests.reliability.proxy import Call
from tests.reliability.scene import Scene

RUNS = 20
STATUSES = 100
IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Counts:
    """What was counted; the Lease is left out.

    Attributes:
        writes: of a run that HTTP started, from the call to its end, by kind.
        writes_until_running: of such a run, without Events, before the one that tells that a pod runs.
        idle_writes: of DiemJobs that do nothing, in some seconds.
        requests_per_status: to the API server, for the status of a job that runs.
    """

    writes: dict[str, float]
    writes_until_running: int
    idle_writes: int
    requests_per_status: float


async def count_requests(arena: Arena) -> Counts:
    """Start runs over HTTP and let them end, then let everything rest, then ask for statuses."""
    with arena.install(is_counted=True) as installation:
        scene = Scene(installation)
        names = name_all("counted", RUNS)
        await arena.make_diemjobs(installation.namespace, names, pod=SHORT_PODS)
        await arena.make_diemjobs(installation.namespace, ["long"])
        async with connect_api(installation.api.port, installation.token) as api:
            mark = len(installation.farm.journal)
            await start_over_http(api)("long")
            await asyncio.to_thread(scene.wait_until, "one runs", lambda: scene.status_of("long")["phase"] == "Running")
            until_running = list(takewhile(_tells_nothing_of_a_pod, _list_writes(installation, mark)))
            await _run_to_the_end(scene, api, names)  # a DiemJob's first run costs an annotation more
            mark = len(installation.farm.journal)
            await _run_to_the_end(scene, api, names)
            writes = Counter(call.what for call in _list_writes(installation, mark))
            mark = len(installation.farm.journal)
            await asyncio.sleep(IDLE_SECONDS)
            idle_writes = len(_list_writes(installation, mark))
            mark = len(installation.farm.journal)
            for _ in range(STATUSES):
                await api.send("POST", PATH, {"id": "long", "action": "status"})
            asked = [each for each in installation.farm.journal[mark:] if each.call.client.startswith("api")]
    return Counts(
        writes={what: count / RUNS for what, count in sorted(writes.items())},
        writes_until_running=sum(call.resource != "events" for call in until_running),
        idle_writes=idle_writes,
        requests_per_status=len(asked) / STATUSES,
    )


async def _run_to_the_end(scene: Scene, api: Client, names: Sequence[str]) -> None:
    run_ids = {name: (await start_over_http(api)(name))[0] for name in names}

    def is_over() -> bool:
        runs = (scene.status_of(name).get("run", {}) for name in names)
        return all(run.get("id") in run_ids.values() and run.get("phase") in TERMINAL for run in runs)

    await asyncio.to_thread(scene.wait_until, "all runs are over", is_over)
    await asyncio.sleep(1)  # Events are told last


def _list_writes(installation: Installation, mark: int) -> list[Call]:
    calls = [each.call for each in installation.farm.journal[mark:]]
    return [call for call in calls if call.is_write and call.resource != "leases"]


def _tells_nothing_of_a_pod(call: Call) -> bool:
    return b'"phase":"Running"' not in call.body
