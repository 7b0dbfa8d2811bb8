"""How long a start takes, one at a time and in bursts; the floor is a bare POST of the same Job by the same client."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import uuid4

import msgspec

from tests.bench.arena import Arena, name_all
from tests.bench.clients import DIEMJOBS, JOBS, PODS, Arrivals, Client, Object, run_all
from tests.reliability.callers import PATH
from tests.reliability.history import RUN_ID
from tests.reliability.people import make_diemjob

ROUND = 30
WARM_UP = 10
"""Before each round. Both together take less than two seconds: later the operator begins to look for the runs' pods."""

BETWEEN_SECONDS = 0.02
"""So that one start is not measured with what is left to do for the one before."""

Start = Callable[[str], Coroutine[Any, Any, tuple[str, float]]]
"""Takes a DiemJob; gives the run's id and the moment from which the time counts."""


def find_run_id(found: Object) -> str:
    return found.metadata.annotations.get(RUN_ID, "")


def find_job_name(found: Object) -> str:
    return found.metadata.labels.get("batch.kubernetes.io/job-name", "")


def start_directly(kube: Client, namespace: str) -> Start:
    """Return what patches a DiemJob's spec; the time counts from the acknowledgement."""

    async def start(name: str) -> tuple[str, float]:
        run_id = uuid4().hex
        await kube.merge(f"{DIEMJOBS.format(namespace)}/{name}", {"spec": {"state": "running", "run": {"id": run_id}}})
        return run_id, time.perf_counter()

    return start


def start_over_http(api: Client) -> Start:
    """Return what calls the API; the time counts from the call."""

    async def start(name: str) -> tuple[str, float]:
        began = time.perf_counter()
        answer = await api.send("POST", PATH, {"id": name, "action": "start"})
        return msgspec.json.decode(answer)["run"]["id"], began

    return start


async def time_each(arena: Arena, namespace: str, start: Start) -> list[float]:
    """Start some DiemJobs one after the other; return the seconds from each start to its Job."""
    names = name_all(f"each-{uuid4().hex[:6]}", ROUND + WARM_UP)
    await arena.make_diemjobs(namespace, names)
    seconds = []
    async with Arrivals(find_run_id).watching(arena.kube, JOBS.format(namespace)) as arrivals:
        for name in names:
            run_id, began = await start(name)
            seconds.append(max(0.0, await arrivals.wait([run_id]) - began))
            await asyncio.sleep(BETWEEN_SECONDS)
    return seconds[WARM_UP:]


async def rate_burst(arena: Arena, namespace: str, start: Start, *, count: int) -> float:
    """Start many DiemJobs at once; return Jobs per second, from the first start to the last Job."""
    names = name_all(f"burst-{uuid4().hex[:6]}", count)
    await arena.make_diemjobs(namespace, names)
    run_ids: list[str] = []

    async def start_one(name: str) -> None:
        run_ids.append((await start(name))[0])

    async with Arrivals(find_run_id).watching(arena.kube, JOBS.format(namespace)) as arrivals:
        began = time.perf_counter()
        await run_all(start_one(name) for name in names)
        last = await arrivals.wait(run_ids)
    return count / (last - began)


def make_job(name: str, *, is_suspended: bool = False) -> dict[str, object]:
    """Return the Job that a DiemJob of the benchmark makes, without one."""
    template = make_diemjob(name)["spec"]["jobTemplate"]
    return {"metadata": {"name": name}, "spec": {**template["spec"], "suspend": is_suspended}}


async def time_bare_posts(arena: Arena, namespace: str) -> list[float]:
    """Create some Jobs one after the other; return the seconds of each."""
    seconds = []
    for name in name_all(f"bare-{uuid4().hex[:6]}", ROUND + WARM_UP):
        began = time.perf_counter()
        await arena.kube.send("POST", JOBS.format(namespace), make_job(name))
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(BETWEEN_SECONDS)
    return seconds[WARM_UP:]


async def rate_client(arena: Arena, *, count: int) -> float:
    """Ask for what costs the API server least; return requests per second: more does no figure of this client show."""
    began = time.perf_counter()
    await run_all(arena.kube.send("GET", "/version") for _ in range(count))
    return count / (time.perf_counter() - began)


async def rate_bare_posts(arena: Arena, namespace: str, *, count: int) -> float:
    """Create many Jobs at once; return Jobs per second."""
    path = JOBS.format(namespace)
    began = time.perf_counter()
    await run_all(arena.kube.send("POST", path, make_job(name)) for name in name_all(f"bare-{uuid4().hex[:6]}", count))
    return count / (time.perf_counter() - began)


async def rate_job_controller(arena: Arena, namespace: str, *, count: int) -> float:
    """Unsuspend many Jobs at once; return Pods per second, from the first patch to the last Pod."""
    names: Sequence[str] = name_all(f"peer-{uuid4().hex[:6]}", count)
    path = JOBS.format(namespace)
    await run_all(arena.kube.send("POST", path, make_job(name, is_suspended=True)) for name in names)
    await asyncio.sleep(3)
    async with Arrivals(find_job_name).watching(arena.kube, PODS.format(namespace)) as arrivals:
        began = time.perf_counter()
        await run_all(arena.kube.merge(f"{path}/{name}", {"spec": {"suspend": False}}) for name in names)
        last = await arrivals.wait(names)
    return count / (last - began)
