"""How many statuses one API process answers, by a client in C (wrk), beside what the API server gives it; and how soon
beside starts, where a server that does nothing shows what the machine itself adds."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import msgspec

from hack.local.installation import API_ACCOUNT, SYSTEM_NAMESPACE
from tests.bench.arena import Arena, name_all
from tests.bench.clients import DIEMJOBS, BenchError
from tests.bench.starts import start_directly
from tests.reliability.callers import PATH
from tests.reliability.installation import Installation
from tests.reliability.processes import Program

CONNECTIONS = 16
STARTS_PER_SECOND = 200
BETWEEN_SECONDS = 0.002
WARM_UP_SECONDS = 0.5
SPAWN_SECONDS = 3.0
"""For a process that asks to be there; the starts end with its asking."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_SCRIPT = """
wrk.method = "POST"
wrk.headers["x-api-key"] = "{token}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{{"id": "{name}", "action": "status"}}'
"""


@dataclass(frozen=True)
class Throughput:
    """What a client in C got: requests per second, and the median in seconds."""

    per_second: float
    median_seconds: float


def has_wrk() -> bool:
    """Whether the client is there; Debian has it as the package wrk."""
    return shutil.which("wrk") is not None


def run_wrk(*arguments: str, seconds: int, connections: int = CONNECTIONS) -> Throughput:
    """Let it ask for some seconds, after two for warming up; every answer must be good."""
    command = ["wrk", "--threads=1", f"--connections={connections}", "--latency", *arguments]
    subprocess.run([*command, "--duration=2s"], check=True, capture_output=True)
    told = subprocess.run([*command, f"--duration={seconds}s"], check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in told, told
    rate, median = re.search(r"Requests/sec:\s+([\d.]+)", told), re.search(r"50%\s+([\d.]+)(us|ms|s)", told)
    assert rate is not None, told
    assert median is not None, told
    return Throughput(float(rate[1]), float(median[1]) * _UNITS[median[2]])


async def measure_api(
    installation: Installation, name: str, directory: Path, *, seconds: int, others: Sequence[Program] = ()
) -> Sequence[Throughput]:
    """Ask API processes for the status of one job, all at once and with as many connections together as one alone."""
    script = _write_script(directory / "status.lua", _SCRIPT.format(token=installation.token, name=name))
    programs = [installation.api, *others]
    connections = CONNECTIONS // len(programs)
    urls = [f"http://127.0.0.1:{program.port}{PATH}" for program in programs]
    return await asyncio.gather(
        *(
            asyncio.to_thread(run_wrk, f"--script={script}", url, seconds=seconds, connections=connections)
            for url in urls
        )
    )


async def measure_api_server(arena: Arena, namespace: str, name: str, directory: Path, *, seconds: int) -> Throughput:
    """Ask the API server for the same DiemJob, as the API's identity: a consistent read."""
    token = arena.cluster.kubectl("create", "token", API_ACCOUNT, f"--namespace={SYSTEM_NAMESPACE}").strip()
    script = _write_script(directory / "get.lua", f'wrk.headers["Authorization"] = "Bearer {token}"\n')
    url = f"{arena.cluster.server}{DIEMJOBS.format(namespace)}/{name}"
    return await asyncio.to_thread(run_wrk, f"--script={script}", url, seconds=seconds)


def _write_script(file: Path, text: str) -> Path:
    """Write what holds a token, for nobody else to read."""
    file.touch(mode=0o600)
    file.write_text(text)
    return file


@dataclass(frozen=True)
class Answers:
    """The seconds of each answer: of the API, and of a bare server that was asked in turns with it."""

    api: list[float]
    bare: list[float]


def time_statuses(ports: Sequence[int], token: str, name: str, seconds: float) -> list[list[float]]:
    """Ask servers one after the other, for some seconds; return the seconds of the answers of each."""
    body = msgspec.json.encode({"id": name, "action": "status"})
    headers = {"x-api-key": token, "Content-Type": "application/json"}
    asked: list[list[float]] = [[] for _ in ports]
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(HTTPConnection("127.0.0.1", port))) for port in ports]
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for connection, times in zip(connections, asked, strict=True):
                began = time.perf_counter()
                connection.request("POST", PATH, body, headers)
                answer = connection.getresponse()
                answer.read()
                times.append(time.perf_counter() - began)
                assert answer.status == HTTPStatus.OK, answer.status
                time.sleep(BETWEEN_SECONDS)
    return asked


async def time_statuses_elsewhere(installation: Installation, name: str, bare_port: int, *, seconds: float) -> Answers:
    """Ask from a process of its own, so that what else this one does is not measured with it."""
    ports = [installation.api.port, bare_port]
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as processes:
        ask = partial(time_statuses, ports, installation.token, name)
        await asyncio.get_running_loop().run_in_executor(processes, ask, WARM_UP_SECONDS)
        return Answers(*await asyncio.get_running_loop().run_in_executor(processes, ask, seconds))


async def time_statuses_beside_starts(
    arena: Arena, installation: Installation, name: str, bare_port: int, *, seconds: float
) -> Answers:
    """Ask while DiemJobs are started, so many a second.

    Raises:
        BenchError: there was nothing left to start before everything was asked.
    """
    duration = seconds + WARM_UP_SECONDS + SPAWN_SECONDS
    names = name_all(f"beside-{uuid4().hex[:6]}", int(duration * STARTS_PER_SECOND))
    await arena.make_diemjobs(installation.namespace, names)
    start = start_directly(arena.kube, installation.namespace)

    async def start_in_time() -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for place, each in enumerate(names):
                await asyncio.sleep(max(0.0, began + place / STARTS_PER_SECOND - time.perf_counter()))
                tasks.create_task(start(each))

    starting = asyncio.create_task(start_in_time())
    asked = await time_statuses_elsewhere(installation, name, bare_port, seconds=seconds)
    if starting.done():
        raise BenchError(
            f"{len(names)} starts were not enough: it took longer than {SPAWN_SECONDS} s until it was asked"
        )
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return asked
