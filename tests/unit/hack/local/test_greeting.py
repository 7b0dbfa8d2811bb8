"""What a newcomer is told."""

import dataclasses
from pathlib import Path

from hack.local.greeting import Welcome, build_welcome

WELCOME = Welcome(
    url="http://127.0.0.1:8080",
    token="the token",
    namespace="demo",
    env_file=Path("/checkout/.local/env"),
    kubectl=Path(".local/bin/kubectl"),
    is_simulated=False,
)


def test_newcomer_reads_where_it_is_the_key_and_lines_for_each_action() -> None:
    lines = [line.strip() for line in build_welcome(WELCOME).splitlines()]

    assert "URL  http://127.0.0.1:8080/etl-mgr/api/apijob" in lines
    assert "key  the token" in lines
    assert ". /checkout/.local/env" in lines
    asked = [line for line in lines if line.startswith("curl ")]
    assert [next(a for a in ("status", "start", "stop") if f'"{a}"' in line) for line in asked] == [
        "status",
        "start",
        "start",
        "stop",
    ]
    assert ".local/bin/kubectl -n demo get dj" in lines


def test_logs_are_offered_only_where_pods_have_some() -> None:
    logs = ".local/bin/kubectl -n demo logs -l diem.io/diemjob=hello --tail=-1"
    real, simulated = (
        build_welcome(dataclasses.replace(WELCOME, is_simulated=is_simulated)) for is_simulated in (False, True)
    )

    assert f"\n  {logs}\n" in real
    assert f"\n  {logs}\n" not in simulated
    assert "the node is simulated" in simulated


def test_key_is_not_in_what_a_traceback_would_show() -> None:
    assert "the token" not in repr(WELCOME)
