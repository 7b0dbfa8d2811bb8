"""The kubelet and Prometheus get short, honest answers."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from diem_operator.metrics import OperatorMetrics, build_registry
from diem_operator.probes import build_app, once


async def ask(path: str, *, alive: bool = True, ready: bool = True) -> tuple[int, str]:
    metrics = OperatorMetrics(build_registry())
    metrics.leader.set(1)
    app = build_app(alive={"watches": lambda: alive}, ready={"cache": lambda: ready}, registry=metrics.registry)
    async with TestClient(TestServer(app)) as client, client.get(path) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_all_is_well(path: str) -> None:
    assert await ask(path) == (200, "ok\n")


async def test_dead_watches_fail_the_liveness_probe() -> None:
    assert await ask("/healthz", alive=False) == (503, "not yet or no longer: watches\n")


async def test_process_that_has_not_synced_is_alive_but_not_ready() -> None:
    assert await ask("/healthz", ready=False) == (200, "ok\n")
    assert await ask("/readyz", ready=False) == (503, "not yet or no longer: cache\n")


async def test_metrics_are_exposed() -> None:
    status, text = await ask("/metrics")
    assert status == 200
    assert "diem_operator_leader 1.0" in text
    assert "process_cpu_seconds_total" in text


def test_check_that_has_held_once_goes_on_to_hold() -> None:
    answers = iter([False, True, False])
    check = once(lambda: next(answers))

    assert [check(), check(), check()] == [False, True, True]
