"""Much of anything: headers, slow ones, connections that say nothing. A good client is served meanwhile."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.localcluster import LocalCluster
from tests.security.http.attacked import JOB, AttackedApi, Team, attacked_api, new_team
from tests.security.http.conftest import NO_FAILURE_LIMIT, check_log
from tests.security.http.wire import HEALTH, build_request, command, connected, converse, listen, read_answer

MAX_CONNECTIONS = 100
CROWD = 400
BODY_SECONDS = 10.0
MEMORY_MB = 64


@pytest.fixture(scope="module")
def small(
    cluster: LocalCluster, api_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AttackedApi]:
    """An API with room for few connections."""
    arguments = (f"--max-connections={MAX_CONNECTIONS}", NO_FAILURE_LIMIT)
    with attacked_api(cluster, api_kubeconfig, tmp_path_factory.mktemp("small"), *arguments) as api:
        yield api
        check_log(api)


@pytest.fixture(scope="module")
def crowded(small: AttackedApi) -> Iterator[Team]:
    with new_team(small) as team:
        yield team


def read_memory_mb(api: AttackedApi) -> float:
    status = Path(f"/proc/{api.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


@contextmanager
def crowd(api: AttackedApi, said: bytes, *, size: int = CROWD) -> Iterator[list[socket.socket]]:
    """Open many connections that say this and wait."""
    with ExitStack() as stack:
        connections = []
        for _ in range(size):
            connection = stack.enter_context(connected(api.port))
            with suppress(ConnectionError):
                connection.sendall(said)
            connections.append(connection)
        yield connections


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"h%d: x" % number for number in range(200)], id="200 headers"),
        pytest.param([b"h%d: x" % number for number in range(20_000)], id="20,000 headers"),
        pytest.param([b"h: x"] * 1000, id="the same header 1,000 times"),
        pytest.param([b"h: " + b"x" * 9000], id="a long header"),
        pytest.param([b"h: " + b"x" * 5_000_000], id="a header of 5 MB"),
        pytest.param([b"h" * 9000 + b": x"], id="a long name"),
        pytest.param([b"x-api-key: " + b"x" * 100_000], id="a key of 100 kB"),
        pytest.param([b"Cookie: " + b"a=b; " * 3000], id="many cookies"),
    ],
)
def test_too_many_or_too_large_headers_are_refused(api: AttackedApi, team: Team, lines: list[bytes]) -> None:
    conversation = converse(api.port, build_request(team.token, command("start", JOB), *lines))

    assert conversation.statuses in ([400], [431], [])  # none: reset, as there was more to come
    assert conversation.is_closed
    assert team.read_run() is None


def test_long_target_is_refused(api: AttackedApi, team: Team) -> None:
    start = b"POST /" + b"x" * 20_000 + b" HTTP/1.1"
    conversation = converse(api.port, build_request(team.token, b"", start=start))

    assert conversation.statuses in ([400], [])
    assert conversation.is_closed


def test_headers_that_never_end_are_cut_off_and_cost_no_memory(api: AttackedApi, team: Team) -> None:
    before = read_memory_mb(api)
    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(api.port)) for _ in range(100)]
        for connection in connections:
            connection.sendall(head)
        for number in range(63):
            for connection in connections:
                with suppress(ConnectionError):
                    connection.sendall(b"h%d: " % number + b"x" * 8000 + b"\r\n")
        assert read_memory_mb(api) - before < MEMORY_MB
        ends = [listen(connection) for connection in connections]

    assert {is_closed for _, is_closed in ends} == {True}
    assert team.ask("status").status == 200


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"P", id="a letter"),
        pytest.param(b"POST /etl-mgr/api/apijob HTTP/1.1\r\nHost: x\r\nx-api-key: ", id="half a head"),
        pytest.param(HEALTH, id="a request before"),
        pytest.param(b"\r\n" * 100, id="empty lines"),
    ],
)
def test_good_client_is_served_among_connections_that_do_nothing(
    small: AttackedApi, crowded: Team, said: bytes
) -> None:
    with connected(small.port) as steady, crowd(small, said, size=MAX_CONNECTIONS // 2):
        for _ in range(10):
            steady.sendall(build_request(crowded.token, command("status", JOB)))
            assert read_answer(steady).status == 200  # the same connection all along
            with crowd(small, said, size=MAX_CONNECTIONS // 4):
                assert crowded.ask("status").status == 200  # a new one

    with crowd(small, said):
        assert [crowded.ask("status").status for _ in range(10)] == [200] * 10
        assert small.read_metric("diem_api_connections") <= MAX_CONNECTIONS
    assert small.read_metric('diem_api_refusals_total{kind="connections"}') > 0


def test_bodies_that_do_not_come_end_their_connections(api: AttackedApi, team: Team) -> None:
    half = build_request(team.token, b"{", framing=b"Content-Length: 50")
    began = time.monotonic()
    with crowd(api, half, size=200) as connections:
        while time.monotonic() < began + BODY_SECONDS / 2:
            for connection in connections:
                connection.sendall(b" ")
            assert team.ask("status").status == 200
            time.sleep(0.5)

        answers = [read_answer(connection) for connection in connections]

    assert {answer.status for answer in answers} == {400}
    assert time.monotonic() < began + 3 * BODY_SECONDS
    assert team.read_run() is None


def test_body_of_somebody_without_a_key_is_not_waited_for(api: AttackedApi) -> None:
    half = build_request(None, b"{", framing=b"Content-Length: 60000")
    began = time.monotonic()
    with connected(api.port) as connection:
        connection.sendall(half)
        assert read_answer(connection).status == 401
        _, is_closed = listen(connection)

    assert is_closed
    assert time.monotonic() < began + BODY_SECONDS


def test_clients_that_leave_at_any_moment_leave_nothing_behind(api: AttackedApi, team: Team) -> None:
    request = build_request(team.token, command("status", JOB))
    before = api.read_metric("diem_api_connections")
    for position in range(0, len(request), 3):
        with connected(api.port) as connection:
            connection.sendall(request[:position])
    for _ in range(100):  # reset, not closed
        with connected(api.port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(request)

    assert team.ask("status").status == 200
    assert api.read_metric("diem_api_connections") <= before + 1


def test_one_whose_answers_pile_up_disturbs_nobody(api: AttackedApi, team: Team) -> None:
    before = read_memory_mb(api)
    with crowd(api, b"", size=20) as connections:
        for connection in connections:
            connection.settimeout(0.2)
            with suppress(TimeoutError):
                while True:
                    connection.sendall(HEALTH * 1000)
        assert [team.ask("status").status for _ in range(10)] == [200] * 10
        assert read_memory_mb(api) - before < MEMORY_MB
