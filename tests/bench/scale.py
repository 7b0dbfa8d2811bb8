"""What thousands of DiemJobs that do nothing cost, and what they and finished Jobs do to a start."""

import asyncio
import json
import time
from dataclasses import dataclass

from tests.bench.arena import SHORT_PODS, Arena, name_all
from tests.bench.clients import DIEMJOBS, run_all
from tests.bench.starts import start_directly
from tests.reliability.installation import Installation
from tests.reliability.processes import Program

PAGE = 500
SETTLE_SECONDS = 5.0
ANSWER_SECONDS = 600.0


@dataclass(frozen=True)
class Idling:
    """What DiemJobs that do nothing cost.

    Attributes:
        operator_megabytes, api_megabytes: resident, after a new start.
        operator_start_seconds: from exec to leading, with everything looked at.
        api_start_seconds: from exec to being ready.
        bare_list_seconds: for listing them page by page and parsing the JSON, in Python.
    """

    operator_megabytes: float
    api_megabytes: float
    operator_start_seconds: float
    api_start_seconds: float
    bare_list_seconds: float


async def fill(arena: Arena, namespace: str, *, count: int) -> None:
    """Make DiemJobs, and return when each has a status."""
    await arena.make_diemjobs(namespace, name_all("idle", count), pod=SHORT_PODS)


async def finish_runs(arena: Arena, namespace: str, *, count: int) -> None:
    """Let some of these DiemJobs have a run that is over, with its Job and pod."""
    start, names = start_directly(arena.kube, namespace), name_all("idle", count)
    await run_all(start(name) for name in names)
    await arena.wait_for_phase(namespace, "Completed", names)


async def measure_idling(arena: Arena, installation: Installation) -> Idling:
    """Start both processes anew among the DiemJobs that are there."""
    operator_seconds = await asyncio.to_thread(_time_start, installation.operator, has_to_lead=True)
    api_seconds = await asyncio.to_thread(_time_start, installation.api)
    await asyncio.sleep(SETTLE_SECONDS)
    began = time.perf_counter()
    await _list_all(arena, installation.namespace)
    return Idling(
        operator_megabytes=installation.operator.read_usage()[0] / 1e6,
        api_megabytes=installation.api.read_usage()[0] / 1e6,
        operator_start_seconds=operator_seconds,
        api_start_seconds=api_seconds,
        bare_list_seconds=time.perf_counter() - began,
    )


def _time_start(program: Program, *, has_to_lead: bool = False) -> float:
    program.stop()
    began = time.perf_counter()
    program.start()
    program.wait_ready(within_seconds=ANSWER_SECONDS)
    while has_to_lead and not program.is_leader:
        time.sleep(0.02)
    return time.perf_counter() - began


async def _list_all(arena: Arena, namespace: str) -> None:
    """List with the standard library's JSON, as a plain client would."""
    path, page = DIEMJOBS.format(namespace), ""
    while True:
        answer = json.loads(await arena.kube.send("GET", f"{path}?limit={PAGE}&continue={page}"))
        page = answer["metadata"].get("continue", "")
        if not page:
            return
