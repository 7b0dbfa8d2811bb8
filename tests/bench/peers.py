"""`python -m tests.bench.peers`: other controllers on the same control plane, triggered alike, in turns with ours.

From the acknowledged trigger to the first object that comes of it: the patch of a DiemJob's spec and its Job, the patch
that unsuspends a Job and its Pod, the creation of a Workflow and its Pod. While one is measured the other controllers
do not run, but for our processes, which have nothing to do then. Others as they are shipped and with their own limits
lifted; ours as it is shipped.

Another controller takes part with a `Trigger` and a `Contender` of its own in `list_contenders`; see `argo_workflows`.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import uvloop

from tests.bench.arena import Arena, describe_machine, open_arena
from tests.bench.argo_workflows import TUNED as TUNED_ARGO
from tests.bench.argo_workflows import ArgoWorkflows
from tests.bench.figures import Figure, Report, find_percentile, print_head
from tests.bench.starts import (
    Trigger,
    prepare_burst,
    rate_prepared,
    start_directly,
    time_each,
    trigger_diemjobs,
    trigger_suspended_jobs,
)
from tests.localcluster import building, programs
from tests.localcluster.reporting import to_stderr
from tests.reliability.installation import Installation

ROUNDS = 3
BURST = 500
THROTTLED_BURST = 100
"""For those who are held back by limits of their own: they make about ten a second, and are measured in one round."""

SETTLE_SECONDS = 2.0


@dataclass(kw_only=True)
class Contender:
    """A controller, and what was measured of it.

    Attributes:
        name: as people know it, and how it is set.
        trigger: has it start something.
        running: runs it.
        clear: removes what was started and what came of it; called while it runs.
        read_processor_seconds: tells what it has taken since it began to run.
        is_throttled: whether it is measured in one round, and with fewer starts.
        seconds: from each start to what came of it.
        rates: starts a second, of each burst.
        costs: its processor's seconds for a start, of each burst.
    """

    name: str
    trigger: Trigger
    running: Callable[[], AbstractContextManager[None]]
    clear: Callable[[], Awaitable[None]]
    read_processor_seconds: Callable[[], float]
    is_throttled: bool = False
    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)


FIGURES: Sequence[tuple[str, str, Callable[[Contender], float]]] = (
    ("p50", "ms", lambda contender: find_percentile(contender.seconds, 50) * 1e3),
    ("burst", "1/s", lambda contender: median(contender.rates)),
    ("CPU of a start", "ms", lambda contender: median(contender.costs) * 1e3),
)
"""What is reported of each, its unit, and how it comes of what was measured."""


async def compare(report: Report, directory: Path) -> None:
    """Measure all, and report them beside ours."""
    async with open_arena(directory) as arena:
        with arena.install() as installation, arena.without_controllers():
            argo = ArgoWorkflows(arena, installation.namespace)
            contenders = list_contenders(arena, installation, argo)
            for place in range(ROUNDS):
                for contender in contenders:
                    if place == 0 or not contender.is_throttled:
                        await arena.begin_anew(installation)
                        await measure(arena, contender)
    for contender in contenders:
        report_on(report, contender, contenders[0])


def list_contenders(arena: Arena, installation: Installation, argo: ArgoWorkflows) -> Sequence[Contender]:
    """Return all, ours first."""
    namespace = installation.namespace
    suspended = trigger_suspended_jobs(arena, namespace)
    clear_jobs = partial(remove_jobs, arena, namespace)
    ours = Contender(
        name="DiemJobs",
        trigger=trigger_diemjobs(arena, namespace, start_directly(arena.kube, namespace)),
        running=nullcontext,
        clear=clear_jobs,
        read_processor_seconds=lambda: installation.operator.read_usage()[1],
    )
    job_controllers = [
        Contender(
            name=f"Kubernetes' Job controller, {how}",
            trigger=suspended,
            running=partial(run_job_controller, arena, is_tuned=not is_throttled),
            clear=clear_jobs,
            read_processor_seconds=arena.read_controllers_seconds,
            is_throttled=is_throttled,
        )
        for how, is_throttled in (("tuned", False), ("as shipped", True))
    ]
    argos = [
        Contender(
            name=f"Argo Workflows, {how}",
            trigger=argo.trigger,
            running=partial(argo.running, *arguments),
            clear=argo.clear,
            read_processor_seconds=argo.read_processor_seconds,
            is_throttled=not arguments,
        )
        for how, arguments in (("tuned", TUNED_ARGO), ("as shipped", ()))
    ]
    return [ours, *job_controllers, *argos]


async def remove_jobs(arena: Arena, namespace: str) -> None:
    """Remove DiemJobs, Jobs and their Pods."""
    await arena.clear(namespace)
    await arena.wait_for_no_pods(namespace)


@contextmanager
def run_job_controller(arena: Arena, *, is_tuned: bool) -> Iterator[None]:
    """Run Kubernetes' own controllers while the block runs."""
    arena.start_controllers(is_tuned=is_tuned)
    try:
        yield
    finally:
        arena.stop_controllers()


async def measure(arena: Arena, contender: Contender) -> None:
    """Measure one: starts one after the other, which also let it get going, and a burst."""
    with contender.running():
        contender.seconds += await time_each(arena, contender.trigger)
        names = await prepare_burst(contender.trigger, count=THROTTLED_BURST if contender.is_throttled else BURST)
        await asyncio.sleep(SETTLE_SECONDS)
        before = contender.read_processor_seconds()
        contender.rates.append(await rate_prepared(arena, contender.trigger, names))
        contender.costs.append((contender.read_processor_seconds() - before) / len(names))
        await contender.clear()


def report_on(report: Report, contender: Contender, ours: Contender) -> None:
    """Report one beside ours."""
    for what, unit, read in FIGURES:
        mine, name = (None, "") if contender is ours else (read(ours), "of DiemJobs")
        report.add(Figure(f"{contender.name}: {what}", read(contender), unit, mine, name))


def main() -> None:
    """Measure, print the table and write it; the exit code says nothing of the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", default=Path(".local/bench-peers.json"))
    arguments = parser.parse_args()
    building.obtain([programs.ARGO_WORKFLOWS], to_stderr)
    report = Report(describe_machine())
    print_head(report.machine)
    with tempfile.TemporaryDirectory(prefix="diem-bench-") as directory:
        uvloop.run(compare(report, Path(directory)))
    report.write(arguments.json)


if __name__ == "__main__":
    main()
