"""Where it is measured: a control plane of its own, our processes with the settings that they have by default."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.clients import DIEMJOBS, JOBS, PODS, Client, connect_kubernetes, run_all
from tests.localcluster import Component, LocalCluster
from tests.reliability.installation import Installation, Site, open_site
from tests.reliability.people import make_diemjob
from tests.reliability.processes import SOURCE_ROOT, Program, read_usage

TUNED = ("--kube-api-qps=5000", "--kube-api-burst=5000", "--concurrent-job-syncs=50", "--concurrent-gc-syncs=50")
"""What lets the Job controller of Kubernetes go as fast as it can."""

SHIPPED = ("--kube-api-qps=20", "--kube-api-burst=30")
"""What Kubernetes' own controllers have where nobody says otherwise, as the local cluster does."""

LEFT_OUT = ("cryptography", "kubernetes")
"""What libraries would load that the image does not have."""

POSTED_EVENTS = 'diem_operator_kubernetes_events_total{outcome="posted"}'
PATIENCE_SECONDS = 900.0
SETTLE_SECONDS = 1.0
REST_PROCESSOR_SHARE = 0.05
"""An operator that takes less of one processor has nothing left to do."""

POLL_PAUSE_RATIO = 5.0
SHORT_PODS = {"run-for": "1ms"}


class _Status(msgspec.Struct):
    phase: str = ""


class _Metadata(msgspec.Struct):
    name: str


class _Object(msgspec.Struct):
    metadata: _Metadata
    status: _Status = msgspec.field(default_factory=_Status)


class _Objects(msgspec.Struct):
    items: list[_Object]


@dataclass
class Arena:
    """A cluster with a simulated node, and an administrator's client."""

    cluster: LocalCluster
    site: Site
    kube: Client

    @contextmanager
    def install(self, *, operators: int = 1, is_counted: bool = False) -> Iterator[Installation]:
        """Give an installation that serves.

        Args:
            operators: how many replicas.
            is_counted: whether a proxy counts every call, which costs time.
        """
        with self.site.install(operators=operators, is_direct=not is_counted) as installation:
            for program in installation.programs:
                self._prepare(program)
                program.lease = ()
            installation.begin()
            yield installation

    @contextmanager
    def add_api(self, installation: Installation) -> Iterator[Program]:
        """Give another replica of the API, which is ready, while the block runs."""
        with self.site.add_api(installation, is_direct=True) as program:
            self._prepare(program)
            program.start()
            program.wait_ready()
            yield program

    def _prepare(self, program: Program) -> None:
        """Have it started as in the image: by itself, and without what the image leaves out."""
        program.source = SOURCE_ROOT
        program.shadows = (self.site.directory / "shadows",)
        program.shadows[0].mkdir(exist_ok=True)
        for module in LEFT_OUT:
            text = f'raise ModuleNotFoundError("the image leaves it out", name="{module}")\n'
            (program.shadows[0] / f"{module}.py").write_text(text)

    @contextmanager
    def without_controllers(self) -> Iterator[None]:
        """Keep Jobs from getting pods while the block runs: their creation is all that is measured."""
        parts = [part for part in (self.cluster.controller_manager, self.cluster.scheduler) if part is not None]
        for part in parts:
            part.stop()
        try:
            yield
        finally:
            for part in parts:
                part.start()

    def start_controllers(self, *, is_tuned: bool) -> None:
        """Start Kubernetes' own controllers anew: as fast as they go, or as they are shipped."""
        manager = self._controller_manager
        others = [argument for argument in manager.command if argument not in {*TUNED, *SHIPPED}]
        manager.command = (*others, *(TUNED if is_tuned else SHIPPED))
        manager.restart()

    def stop_controllers(self) -> None:
        """End them."""
        self._controller_manager.stop()

    @property
    def _controller_manager(self) -> Component:
        manager = self.cluster.controller_manager
        assert manager is not None, "every cluster of the benchmark has one"
        return manager

    def read_controllers_seconds(self) -> float:
        """Return the processor seconds of Kubernetes' own controllers since they were started."""
        pid = self._controller_manager.pid
        assert pid is not None
        return read_usage(pid)[1]

    async def wait_for_events(self, installation: Installation) -> None:
        """Return when the operator posts no more Events: it does so one by one, and goes on after the runs."""
        posted, read = None, installation.operator.read_metric
        async with asyncio.timeout(PATIENCE_SECONDS):
            while posted != (posted := read(POSTED_EVENTS)):  # noqa: ASYNC110 - a poll
                await asyncio.sleep(SETTLE_SECONDS)

    async def make_diemjobs(self, namespace: str, names: Iterable[str], **spec: Any) -> None:
        """Create DiemJobs, and return when the operator and the API have taken them up."""
        path, names = DIEMJOBS.format(namespace), list(names)
        await run_all(self.kube.send("POST", path, make_diemjob(name, **spec)) for name in names)
        await self.wait_for_phase(namespace, "Stopped", names)
        await asyncio.sleep(SETTLE_SECONDS)

    async def wait_for_phase(self, namespace: str, phase: str, names: Iterable[str]) -> None:
        """Return when all of these DiemJobs are in a phase; asks seldom, as each answer costs the API server much."""
        wanted, path = set(names), f"{DIEMJOBS.format(namespace)}?resourceVersion=0"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                began = time.perf_counter()
                found = msgspec.json.decode(await self.kube.send("GET", path), type=_Objects).items
                if wanted <= {each.metadata.name for each in found if each.status.phase == phase}:
                    return
                await asyncio.sleep(max(0.5, POLL_PAUSE_RATIO * (time.perf_counter() - began)))

    async def clear(self, namespace: str) -> None:
        """Remove all DiemJobs, then their Jobs, which nobody collects while Kubernetes' controllers stand still.

        One by one: to delete thousands in one request takes longer than the API server gives it.
        """
        for collection in (DIEMJOBS, JOBS):
            path = collection.format(namespace)
            found = msgspec.json.decode(await self.kube.send("GET", f"{path}?resourceVersion=0"), type=_Objects).items
            names = [each.metadata.name for each in found]
            await run_all(
                self.kube.send("DELETE", f"{path}/{name}", {"propagationPolicy": "Background"}, is_gone_fine=True)
                for name in names
            )

    async def wait_for_no_pods(self, namespace: str) -> None:
        """Return when Kubernetes has collected the pods of Jobs that are gone."""
        path = f"{PODS.format(namespace)}?limit=1"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while msgspec.json.decode(await self.kube.send("GET", path), type=_Objects).items:  # noqa: ASYNC110 - a poll
                await asyncio.sleep(SETTLE_SECONDS)

    async def begin_anew(self, installation: Installation) -> None:
        """Remove all, and return when nothing of it is left to do that what is measured next would have to wait for."""
        await self.clear(installation.namespace)
        await self.wait_for_rest(installation)

    async def wait_for_rest(self, installation: Installation) -> None:
        """Return when the operator has nothing left to do."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await _measure_use(installation.operator) > REST_PROCESSOR_SHARE:
                pass


@asynccontextmanager
async def open_arena(directory: Path) -> AsyncIterator[Arena]:
    """Start everything."""
    with open_site(directory) as site:
        async with connect_kubernetes(site.cluster) as kube:
            yield Arena(site.cluster, site, kube)


async def _measure_use(program: Program) -> float:
    """Return which part of one processor a process takes, over a second."""
    _, before = program.read_usage()
    await asyncio.sleep(SETTLE_SECONDS)
    _, after = program.read_usage()
    return (after - before) / SETTLE_SECONDS


def name_all(prefix: str, count: int) -> Sequence[str]:
    """Return names that nothing else has."""
    return [f"{prefix}-{place}" for place in range(count)]


def describe_machine() -> str:
    """Return what it was measured on."""
    processors = os.cpu_count()
    load = os.getloadavg()[0]
    day = time.strftime("%Y-%m-%d")
    return (
        f"{day}, {processors} processors for control plane, operator, API and clients together; load {load:.1f} before"
    )
