"""How long a start takes, one at a time and in bursts; the floor is a bare POST of the same Job by the same client."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
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
"""Takes the name of what is started; gives the id of the run and the moment from which the time counts."""


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A way to have a controller start something.

    Attributes:
        prepare: makes what is to be started, by these names.
        start: starts one of them.
        children: the collection in which something appears then.
        find_id: tells the id of the run from that.
    """

    prepare: Callable[[Sequence[str]], Awaitable[None]]
    start: Start
    children: str
    find_id: Callable[[Object], str]


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


def trigger_diemjobs(arena: Arena, namespace: str, start: Start) -> Trigger:
    """Return the trigger of our own Jobs."""
    make = partial(arena.make_diemjobs, namespace)
    return Trigger(prepare=make, start=start, children=JOBS.format(namespace), find_id=find_run_id)


def trigger_suspended_jobs(arena: Arena, namespace: str) -> Trigger:
    """Return the trigger of Kubernetes' own Pods: the patch that unsuspends a Job."""
    path = JOBS.format(namespace)

    async def prepare(names: Sequence[str]) -> None:
        await run_all(arena.kube.send("POST", path, make_job(name, is_suspended=True)) for name in names)
        await asyncio.sleep(3)

    async def start(name: str) -> tuple[str, float]:
        await arena.kube.merge(f"{path}/{name}", {"spec": {"suspend": False}})
        return name, time.perf_counter()

    return Trigger(prepare=prepare, start=start, children=PODS.format(namespace), find_id=find_job_name)


async def time_each(arena: Arena, trigger: Trigger) -> list[float]:
    """Start some, one after the other; return the seconds from each start to what comes of it."""
    names = name_all(f"each-{uuid4().hex[:6]}", ROUND + WARM_UP)
    await trigger.prepare(names)
    seconds = []
    async with Arrivals(trigger.find_id).watching(arena.kube, trigger.children) as arrivals:
        for name in names:
            run_id, began = await trigger.start(name)
            seconds.append(max(0.0, await arrivals.wait([run_id]) - began))
            await asyncio.sleep(BETWEEN_SECONDS)
    return seconds[WARM_UP:]


async def rate_burst(arena: Arena, trigger: Trigger, *, count: int) -> float:
    """Start many at once; return how many a second, from the first start to the last of what comes of them."""
    return await rate_prepared(arena, trigger, await prepare_burst(trigger, count=count))


async def prepare_burst(trigger: Trigger, *, count: int) -> Sequence[str]:
    """Make so many that can be started; return their names."""
    names = name_all(f"burst-{uuid4().hex[:6]}", count)
    await trigger.prepare(names)
    return names


async def rate_prepared(arena: Arena, trigger: Trigger, names: Sequence[str]) -> float:
    """Start all that was prepared; return how many a second, as `rate_burst`."""
    run_ids: list[str] = []

    async def start_one(name: str) -> None:
        run_ids.append((await trigger.start(name))[0])

    async with Arrivals(trigger.find_id).watching(arena.kube, trigger.children) as arrivals:
        began = time.perf_counter()
        await run_all(start_one(name) for name in names)
        last = await arrivals.wait(run_ids)
    return len(names) / (last - began)


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
