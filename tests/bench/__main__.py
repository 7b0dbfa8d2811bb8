"""`python -m tests.bench [--quick] [--json FILE]`: measure everything, print one table, write JSON."""

import argparse
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TypeVar

import uvloop

from tests.bench.arena import Arena, describe_machine, open_arena
from tests.bench.bare_server import serve_bare
from tests.bench.clients import Client, connect_api
from tests.bench.counts import count_requests
from tests.bench.failover import measure_failovers
from tests.bench.figures import Figure, Report, find_percentile, print_head
from tests.bench.scale import fill, finish_runs, measure_idling
from tests.bench.starts import (
    rate_bare_posts,
    rate_burst,
    rate_client,
    start_directly,
    start_over_http,
    time_bare_posts,
    time_each,
    trigger_diemjobs,
    trigger_suspended_jobs,
)
from tests.bench.statuses import (
    CONNECTIONS,
    has_wrk,
    measure_api,
    measure_api_server,
    time_statuses_beside_starts,
    time_statuses_elsewhere,
)
from tests.reliability.installation import Installation

T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: of starts one after the other.
        bursts: starts at once, and how often: the medians count.
        seconds: of asking for statuses.
        runs: from start to end.
        idle: DiemJobs that do nothing.
        finished: of them, with a run that is over.
        failovers: of each kind.
    """

    rounds: int
    bursts: Mapping[int, int]
    seconds: int
    runs: int
    idle: int
    finished: int
    failovers: int


FULL = Sizes(rounds=10, bursts={500: 3, 2000: 3}, seconds=10, runs=500, idle=10_000, finished=5_000, failovers=5)
QUICK = Sizes(rounds=2, bursts={200: 1}, seconds=2, runs=60, idle=500, finished=60, failovers=1)


async def measure(sizes: Sizes, report: Report, directory: Path) -> None:
    """Measure everything, each figure as soon as its baseline is there."""
    async with open_arena(directory) as arena:
        await measure_counts(arena, report)
        with arena.install() as installation:
            with arena.without_controllers():
                floor = await measure_starts(arena, installation, sizes, report)
                await measure_statuses(arena, installation, sizes, report, directory)
                await arena.begin_anew(installation)  # else hundreds of Jobs get their pods beside what comes next
            await measure_runs(arena, installation, sizes, report)
            await measure_scale(arena, installation, sizes, report, floor=floor)
        await measure_failing_over(arena, sizes, report)


async def measure_counts(arena: Arena, report: Report) -> None:
    """Count requests."""
    counts = await count_requests(arena)
    events = counts.writes.get("create events", 0) + counts.writes.get("patch events", 0)
    report.add(Figure("writes of a run over HTTP", sum(counts.writes.values()), "", goal=6))
    report.add(Figure("of them Events", events, ""))
    report.add(Figure("of a run whose Job runs, until then", counts.writes_until_running, "", goal=3))
    report.add(Figure("writes of idle DiemJobs", counts.idle_writes, "", goal=0))
    report.add(Figure("requests to the API server for a status", counts.requests_per_status, "", goal=0))


async def measure_starts(arena: Arena, installation: Installation, sizes: Sizes, report: Report) -> list[float]:
    """Measure starts, one by one and in bursts; return the direct ones that were measured one by one."""
    async with connect_api(installation.api.port, installation.token) as api:
        patched = await measure_each(arena, installation, api, report, rounds=sizes.rounds)
        ceiling = await rate_client(arena, count=max(sizes.bursts))
        for count, rounds in sizes.bursts.items():
            await measure_bursts(arena, installation, api, report, count=count, rounds=rounds, ceiling=ceiling)
    return patched


async def measure_each(
    arena: Arena, installation: Installation, api: Client, report: Report, *, rounds: int
) -> list[float]:
    """Measure starts one after the other, in each way and in turns; return the direct ones."""
    namespace = installation.namespace
    patching = trigger_diemjobs(arena, namespace, start_directly(arena.kube, namespace))
    calling = trigger_diemjobs(arena, namespace, start_over_http(api))
    measured = await measure_in_turns(
        arena,
        installation,
        partial(time_bare_posts, arena, namespace),
        partial(time_each, arena, patching),
        partial(time_each, arena, calling),
        rounds=rounds,
    )
    bare, patched, called = (list(chain.from_iterable(each)) for each in measured)
    for percent, goal in ((50, 3.0), (99, 5.0)):
        floor = find_percentile(bare, percent) * 1e3
        name = f"bare POST Job, p{percent}"
        value = find_percentile(called, percent) * 1e3
        report.add(Figure(f"HTTP start → Job, p{percent}", value, "ms", floor, name, goal))
        value = find_percentile(patched, percent) * 1e3
        report.add(Figure(f"spec patched → Job, p{percent}", value, "ms", floor, name, 1.2))
    return patched


async def measure_bursts(
    arena: Arena,
    installation: Installation,
    api: Client,
    report: Report,
    *,
    count: int,
    rounds: int,
    ceiling: float,
) -> None:
    """Measure so many starts at once, in each way and in turns, none of them beside what another one has left."""
    namespace = installation.namespace
    patching = trigger_diemjobs(arena, namespace, start_directly(arena.kube, namespace))
    calling = trigger_diemjobs(arena, namespace, start_over_http(api))
    measured = await measure_in_turns(
        arena,
        installation,
        partial(rate_bare_posts, arena, namespace, count=count),
        partial(rate_burst, arena, patching, count=count),
        partial(rate_burst, arena, calling, count=count),
        partial(rate_tuned_job_controller, arena, namespace, count=count),
        rounds=rounds,
    )
    bare, patched, called, peer = map(median, measured)
    name = "the client's own ceiling: GET /version"
    report.add(Figure(f"burst of {count} bare POSTs of a Job", bare, "jobs/s", ceiling, name))
    name = f"bare POST Job: {bare:.0f}/s"
    report.add(Figure(f"burst of {count}, spec patched", patched, "jobs/s", bare, name, 0.25, True))
    report.add(Figure(f"burst of {count} over HTTP", called, "jobs/s", patched, "the burst of patches", 0.8, True))
    name = "Kubernetes' Job controller, tuned: unsuspended → Pod"
    report.add(Figure(f"burst of {count}, spec patched", patched, "jobs/s", peer, name, 1.0, True))


async def measure_in_turns(
    arena: Arena, installation: Installation, *kinds: Callable[[], Awaitable[T]], rounds: int
) -> list[list[T]]:
    """Measure each kind so often, none beside what another one has left; return the results of each."""
    measured: list[list[T]] = [[] for _ in kinds]
    for _ in range(rounds):
        for results, measure_once in zip(measured, kinds, strict=True):
            await arena.begin_anew(installation)
            results.append(await measure_once())
    return measured


async def rate_tuned_job_controller(arena: Arena, namespace: str, *, count: int) -> float:
    """Return Pods per second of Kubernetes' own controller, which runs only until they are gone."""
    arena.start_controllers(is_tuned=True)
    rate = await rate_burst(arena, trigger_suspended_jobs(arena, namespace), count=count)
    await arena.clear(namespace)
    await arena.wait_for_no_pods(namespace)
    arena.stop_controllers()
    return rate


async def measure_statuses(
    arena: Arena, installation: Installation, sizes: Sizes, report: Report, directory: Path
) -> None:
    """Measure statuses of a job that runs, with nothing else going on and beside starts."""
    name = "asked"
    await arena.begin_anew(installation)
    await arena.make_diemjobs(installation.namespace, [name])
    await start_directly(arena.kube, installation.namespace)(name)
    if has_wrk():
        await measure_throughput(arena, installation, name, sizes, report, directory)
    with serve_bare() as bare_port:
        idle = await time_statuses_elsewhere(installation, name, bare_port, seconds=sizes.seconds / 5)
        beside = await time_statuses_beside_starts(arena, installation, name, bare_port, seconds=sizes.seconds)
    for who, alone, busy, goal in (
        ("status", idle.api, beside.api, 5.0),
        ("bare server", idle.bare, beside.bare, None),
    ):
        floor, value = find_percentile(alone, 50) * 1e3, find_percentile(busy, 99) * 1e3
        report.add(Figure(f"{who} p99 beside 200 starts/s", value, "ms", floor, "p50 with nothing else", goal))


async def measure_throughput(
    arena: Arena, installation: Installation, name: str, sizes: Sizes, report: Report, directory: Path
) -> None:
    """Measure how many statuses are answered, with nothing else going on."""
    (ours,) = await measure_api(installation, name, directory, seconds=sizes.seconds)
    theirs = await measure_api_server(arena, installation.namespace, name, directory, seconds=sizes.seconds)
    what = f"consistent GET from the API server, {CONNECTIONS} connections"
    rate = theirs.per_second
    report.add(Figure("status by wrk, one API process", ours.per_second, "req/s", rate, what, 2.0, True))
    half = theirs.median_seconds * 1e3
    report.add(Figure("status by wrk, p50", ours.median_seconds * 1e3, "ms", half, what, 1.0))
    with arena.add_api(installation) as other:
        both = await measure_api(installation, name, directory, seconds=sizes.seconds, others=[other])
    rate = sum(each.per_second for each in both)
    what = "one, on the same processors"
    report.add(Figure("status by wrk, two API processes", rate, "req/s", ours.per_second, what))


async def measure_runs(arena: Arena, installation: Installation, sizes: Sizes, report: Report) -> None:
    """Measure the operator's processor time for whole runs, and that of Kubernetes' own controllers for their Jobs."""
    arena.start_controllers(is_tuned=True)
    await fill(arena, installation.namespace, count=sizes.runs)
    await arena.wait_for_rest(installation)
    ours, theirs = installation.operator.read_usage()[1], arena.read_controllers_seconds()
    await finish_runs(arena, installation.namespace, count=sizes.runs)
    theirs = (arena.read_controllers_seconds() - theirs) / sizes.runs * 1e3
    await arena.wait_for_events(installation)
    ours = (installation.operator.read_usage()[1] - ours) / sizes.runs * 1e3
    report.add(Figure("CPU of the operator for a run, start to end", ours, "ms", goal=2.5))
    what = "all of kube-controller-manager, in Go"
    report.add(Figure("the same, beside Kubernetes' controllers", ours, "ms", theirs, what))


async def measure_scale(
    arena: Arena, installation: Installation, sizes: Sizes, report: Report, *, floor: list[float]
) -> None:
    """Measure what thousands of DiemJobs cost."""
    await arena.begin_anew(installation)
    await fill(arena, installation.namespace, count=sizes.idle)
    await arena.wait_for_rest(installation)
    idling = await measure_idling(arena, installation)
    many = f"{sizes.idle:,} idle DiemJobs: "
    report.add(Figure(f"{many}memory of the operator", idling.operator_megabytes, "MB", goal=150))
    report.add(Figure(f"{many}memory of the API", idling.api_megabytes, "MB", goal=150))
    bare = idling.bare_list_seconds
    name = "paged LIST and JSON in Python"
    report.add(Figure(f"{many}cold start of the operator", idling.operator_start_seconds, "s", bare, name, 3.0))
    report.add(Figure(f"{many}cold start of the API", idling.api_start_seconds, "s", bare, name, 3.0))
    await finish_runs(arena, installation.namespace, count=sizes.finished)
    with arena.without_controllers():
        await arena.wait_for_rest(installation)
        direct = start_directly(arena.kube, installation.namespace)
        patched = await time_each(arena, trigger_diemjobs(arena, installation.namespace, direct))
    value, empty = find_percentile(patched, 50) * 1e3, find_percentile(floor, 50) * 1e3
    name = f"{many}and {sizes.finished:,} finished Jobs: patched → Job, p50"
    report.add(Figure(name, value, "ms", empty, "in an empty cluster", 1.3))


async def measure_failing_over(arena: Arena, sizes: Sizes, report: Report) -> None:
    """Measure how long nobody starts anything."""
    failovers = await measure_failovers(arena, count=sizes.failovers)
    report.add(Figure("leader killed → next start's Job, worst", max(failovers.killed), "s", goal=8.0))
    report.add(Figure("leader restarted → next start's Job, worst", max(failovers.restarted), "s", goal=1.0))


def main() -> None:
    """Measure, print and write; the exit code says nothing of the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, under 3 minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", default=Path(".local/bench.json"))
    arguments = parser.parse_args()
    report = Report(describe_machine() + ("; --quick" if arguments.quick else ""))
    print_head(report.machine)
    if not has_wrk():
        print("wrk is not installed (Debian: apt-get install wrk): its lines are left out", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="diem-bench-") as directory:
        uvloop.run(measure(QUICK if arguments.quick else FULL, report, Path(directory)))
    report.write(arguments.json)


if __name__ == "__main__":
    main()
