"""`python -m tests.bench.peers`: other controllers on the same control plane, triggered alike, in turns with ours.

From the acknowledged trigger to the first object that comes of it: the patch of a DiemJob's spec and its Job, the patch
that unsuspends a Job and its Pod, the creation of a Workflow and its Pod. Each controller alone with the API server, as
it is shipped and with its own limits lifted; ours as it is shipped.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
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
from tests.bench.starts import Trigger, rate_burst, start_directly, time_each, trigger_diemjobs, trigger_suspended_jobs
from tests.localcluster import building, programs
from tests.localcluster.reporting import to_stderr
from tests.reliability.installation import Installation

ROUNDS = 3
BURST = 500
THROTTLED_BURST = 100
"""For those who are held back by limits of their own: they make less than ten a second."""


@dataclass(kw_only=True)
class Contender:
    """A controller, and what was measured of it.

    Attributes:
        name: as people know it, and how it is set.
        trigger: has it start something.
        running: runs it.
        read_processor_seconds: tells what it has taken since it began to run.
        is_throttled: whether it is measured in one round, and with fewer starts.
        seconds: from each start to what came of it.
        rates: starts a second, of each burst.
        costs: its processor's seconds for a start, of each burst.
    """

    name: str
    trigger: Trigger
    running: Callable[[], AbstractContextManager[None]]
    read_processor_seconds: Callable[[], float]
    is_throttled: bool = False
    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)


async def compare(report: Report, directory: Path) -> None:
    """Measure all, and report them beside ours."""
    async with open_arena(directory) as arena:
        with arena.install() as installation, arena.without_controllers():
            argo = ArgoWorkflows(arena, installation.namespace)
            ours, *others = contenders = list_contenders(arena, installation, argo)
            for place in range(ROUNDS):
                for contender in contenders:
                    if place == 0 or not contender.is_throttled:
                        await arena.begin_anew(installation)
                        await measure(arena, contender)
                        await argo.clear()
    for contender in [ours, *others]:
        report_on(report, contender, ours)


def list_contenders(arena: Arena, installation: Installation, argo: ArgoWorkflows) -> Sequence[Contender]:
    """Return all, ours first."""
    namespace = installation.namespace
    suspended = trigger_suspended_jobs(arena, namespace)
    ours = Contender(
        name="DiemJobs",
        trigger=trigger_diemjobs(arena, namespace, start_directly(arena.kube, namespace)),
        running=nullcontext,
        read_processor_seconds=lambda: installation.operator.read_usage()[1],
    )
    job_controllers = [
        Contender(
            name=f"Kubernetes' Job controller, {how}",
            trigger=suspended,
            running=partial(run_job_controller, arena, is_tuned=not is_throttled),
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
            read_processor_seconds=argo.read_processor_seconds,
            is_throttled=not arguments,
        )
        for how, arguments in (("tuned", TUNED_ARGO), ("as shipped", ()))
    ]
    return [ours, *job_controllers, *argos]


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
        count = THROTTLED_BURST if contender.is_throttled else BURST
        await asyncio.sleep(2)
        before = contender.read_processor_seconds()
        contender.rates.append(await rate_burst(arena, contender.trigger, count=count))
        contender.costs.append((contender.read_processor_seconds() - before) / count)


def report_on(report: Report, contender: Contender, ours: Contender) -> None:
    """Report one beside ours."""
    mine = (None, None, None) if contender is ours else (_find_p50(ours), median(ours.rates), median(ours.costs) * 1e3)
    name = "" if contender is ours else "ours"
    report.add(Figure(f"{contender.name}: p50", _find_p50(contender), "ms", mine[0], name))
    report.add(Figure(f"{contender.name}: burst", median(contender.rates), "1/s", mine[1], name))
    report.add(Figure(f"{contender.name}: CPU of a start", median(contender.costs) * 1e3, "ms", mine[2], name))


def _find_p50(contender: Contender) -> float:
    return find_percentile(contender.seconds, 50) * 1e3


def main() -> None:
    """Measure, and print the table."""
    building.obtain([programs.ARGO_WORKFLOWS], to_stderr)
    report = Report(describe_machine())
    print_head(report.machine)
    with tempfile.TemporaryDirectory(prefix="diem-bench-") as directory:
        uvloop.run(compare(report, Path(directory)))


if __name__ == "__main__":
    main()
