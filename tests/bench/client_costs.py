"""`python -m tests.bench.client_costs`: what a client of the API server costs, by library and by setting.

Each line of the table is a process of its own, since what it chooses holds for a whole process. It writes ConfigMaps
with `dryRun`, so the API server's part is small and always the same, and counts its own processor time.
"""

import argparse
import asyncio
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import msgspec
import uvloop

from diem_operator.cluster.client import ApiServer
from diem_operator.cluster.kubeconfig import from_kubeconfig
from diem_operator.model.job import Job
from tests.bench.clients import run_all
from tests.bench.starts import make_job
from tests.localcluster import LocalCluster, NodeKind

PATH = "/api/v1/namespaces/default/configmaps"
BODY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "measured"}, "data": {"text": "x" * 800}}
WARM_UP = 100
TIMEOUT_SECONDS = 30.0
ROUNDS = 3
HANDSHAKES = 200


@dataclass(frozen=True)
class Choice:
    """One way to send requests.

    Attributes:
        loop: `uvloop` or `asyncio`.
        connections: the most that are open.
        in_flight: requests at a time.
        is_ours: whether through `ApiServer`, and not aiohttp alone.
        is_kept: whether connections are used again; ours always are.
        environ: for the process.
    """

    loop: str = "uvloop"
    connections: int = 50
    in_flight: int = 20
    is_ours: bool = True
    is_kept: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)


CHOICES: Mapping[str, Choice] = {
    "as we do it: uvloop, C parsers, 50 connections": Choice(),
    "asyncio's own loop": Choice(loop="asyncio"),
    "aiohttp's parsers and writer in Python": Choice(environ={"AIOHTTP_NO_EXTENSIONS": "1"}),
    "aiohttp alone, without our errors and time-outs": Choice(is_ours=False),
    "aiohttp alone, a new connection for each": Choice(is_ours=False, is_kept=False),
    "2 connections": Choice(connections=2),
    "8 connections": Choice(connections=8),
    "one request at a time": Choice(in_flight=1),
}


def measure(choice: Choice, count: int) -> tuple[float, float]:
    """Return the processor milliseconds of each request, and requests per second; in this very process."""
    runner = uvloop.run if choice.loop == "uvloop" else asyncio.run
    return runner(_send_all(choice, count))


async def _send_all(choice: Choice, count: int) -> tuple[float, float]:
    credentials = from_kubeconfig()
    connector = aiohttp.TCPConnector(
        limit=choice.connections, ssl=credentials.tls.make_context(), force_close=not choice.is_kept
    )
    server = ApiServer(credentials, connection_limit=choice.connections)

    async with aiohttp.ClientSession(connector=connector) as session:

        async def send_ours() -> None:
            await server.request("POST", PATH, query={"dryRun": "All"}, body=BODY, timeout_seconds=TIMEOUT_SECONDS)

        async def send_plainly() -> None:
            headers = {"Content-Type": "application/json"}
            url = f"{credentials.server}{PATH}?dryRun=All"
            async with session.post(url, data=msgspec.json.encode(BODY), headers=headers) as answer:
                assert answer.status == HTTPStatus.CREATED
                await answer.read()

        send = send_ours if choice.is_ours else send_plainly
        await run_all((send() for _ in range(WARM_UP)), in_flight=choice.in_flight)
        worked, began = time.process_time(), time.perf_counter()
        await run_all((send() for _ in range(count)), in_flight=choice.in_flight)
        worked, took = time.process_time() - worked, time.perf_counter() - began
    await server.close()
    return worked / count * 1e3, count / took


def measure_handshakes(count: int) -> tuple[float, float]:
    """Return the processor milliseconds of a TLS connection with one request: made anew, and resumed."""
    credentials = from_kubeconfig()
    context = credentials.tls.make_context()
    host, _, port = credentials.server.removeprefix("https://").partition(":")

    def connect(session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with (
            socket.create_connection((host, int(port))) as plain,
            context.wrap_socket(plain, server_hostname=host, session=session) as secured,
        ):
            secured.sendall(f"GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            secured.recv(65_536)
            assert secured.session_reused is (session is not None)
            return secured.session

    def measure_each(session: ssl.SSLSession | None) -> float:
        worked = time.process_time()
        for _ in range(count):
            connect(session)
        return (time.process_time() - worked) / count * 1e3

    return measure_each(None), measure_each(connect(None))


def measure_decoding(text: bytes, count: int = 5_000) -> tuple[float, float]:
    """Return the microseconds to read a Job: by msgspec into our type, by Python's json into dictionaries."""
    typed = msgspec.json.Decoder(Job)

    def measure_each(decode: Callable[[bytes], object]) -> float:
        worked = time.process_time()
        for _ in range(count):
            decode(text)
        return (time.process_time() - worked) / count * 1e6

    return measure_each(typed.decode), measure_each(json.loads)


def measure_apart(cluster: LocalCluster, name: str, count: int) -> tuple[float, float]:
    """Measure a choice in a process of its own."""
    environ = {**os.environ, **CHOICES[name].environ, "KUBECONFIG": str(cluster.admin_kubeconfig)}
    command = [sys.executable, "-m", "tests.bench.client_costs", "--count", str(count), "--only", name]
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    milliseconds, rate = json.loads(done.stdout)
    return milliseconds, rate


def print_all(count: int) -> None:
    """Measure everything, in turns, and print the medians."""
    with LocalCluster.start(NodeKind.NONE, controllers=False) as cluster:
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):
            for name in CHOICES:
                found.setdefault(name, []).append(measure_apart(cluster, name, count))
        os.environ["KUBECONFIG"] = str(cluster.admin_kubeconfig)
        anew, resumed = measure_handshakes(HANDSHAKES)
        job = {"apiVersion": "batch/v1", "kind": "Job", **make_job("read")}
        stored = cluster.kubectl("create", "--output", "json", "--filename", "-", input=json.dumps(job)).encode()
    print(f"{'a request through':50} {'CPU ms':>7} {'ratio':>6} {'req/s':>7}")
    base = statistics.median(milliseconds for milliseconds, _ in found[next(iter(CHOICES))])
    for name, measured in found.items():
        milliseconds, rate = map(statistics.median, zip(*measured, strict=True))
        print(f"{name:50} {milliseconds:7.3f} {milliseconds / base:6.2f} {rate:7.0f}")
    print(f"\na TLS connection with a request: anew {anew:.2f} ms, its session resumed {resumed:.2f} ms")
    typed, plain = measure_decoding(stored)
    print(f"a Job read: by msgspec {typed:.1f} µs, by json {plain:.1f} µs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print everything, or measure one choice for the process that asked for it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client_costs", description=__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="requests of each kind and round")
    parser.add_argument("--only", choices=CHOICES, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.only:
        print(json.dumps(measure(CHOICES[given.only], given.count)))
    else:
        print_all(given.count)


if __name__ == "__main__":
    main()
