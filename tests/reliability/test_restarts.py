"""The API server and etcd end and come back, in the middle of a write or after it, at once or after a while."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import pytest

from tests.localcluster import Component, LocalCluster
from tests.reliability.installation import Installation
from tests.reliability.matrix import IS_LONG, Point, Reaching
from tests.reliability.playing import Theatre
from tests.reliability.proxy import Call
from tests.reliability.proxy.faults import Notice
from tests.reliability.story import find_story

LONGER_THAN_A_LEASE_SECONDS = 5.0

OUTAGE_PATIENCE_SECONDS = 180.0
"""Kubernetes' own controllers come back with pauses of half a minute and more between their attempts."""

Outage = Callable[[LocalCluster], None]


def kill(component: Component) -> None:
    component.kill()
    component.start()


def kill_apiserver(cluster: LocalCluster) -> None:
    kill(cluster.apiserver)


def kill_etcd(cluster: LocalCluster) -> None:
    kill(cluster.etcd)


def kill_both(cluster: LocalCluster) -> None:
    cluster.apiserver.kill()
    kill(cluster.etcd)
    cluster.apiserver.start()


def take_away_for_a_while(cluster: LocalCluster) -> None:
    cluster.apiserver.stop()
    threading.Event().wait(LONGER_THAN_A_LEASE_SECONDS)
    cluster.apiserver.start()


def freeze(cluster: LocalCluster) -> None:
    cluster.apiserver.pause()
    threading.Event().wait(LONGER_THAN_A_LEASE_SECONDS)
    cluster.apiserver.resume()


OUTAGES: dict[str, Outage] = {
    "API server killed": kill_apiserver,
    "etcd killed": kill_etcd,
    "both killed": kill_both,
    "API server away": take_away_for_a_while,
    "API server frozen": freeze,
}
POINTS = [Point("create jobs", 1), Point("delete jobs", 1), Point("patch diemjobs/status", 3)]
SHORT_FORM = [
    ("API server killed", POINTS[0], False),
    ("both killed", POINTS[1], True),
    ("API server frozen", POINTS[0], True),
]


def list_cases() -> list[tuple[str, Point, bool]]:
    cases = [(name, point, is_after) for name in OUTAGES for point in POINTS for is_after in (False, True)]
    return cases if IS_LONG else SHORT_FORM


@pytest.mark.parametrize(("outage", "point", "is_after"), list_cases(), ids=str)
def test_control_plane_may_end_and_come_back(theatre: Theatre, outage: str, point: Point, is_after: bool) -> None:
    cluster = theatre.site.cluster
    disturbances: list[Future[None]] = []

    def arrange(installation: Installation) -> None:
        nonlocal disturbances
        disturbances = installation.disturbances

        def begin(_: Call) -> None:
            installation.disturb(partial(OUTAGES[outage], cluster))

        installation.operator.proxy.rules.add(Reaching(point), Notice(begin, is_after=is_after), times=1)

    story = find_story("run_is_stopped_and_started_again")
    theatre.check(story, arrange, patience_seconds=OUTAGE_PATIENCE_SECONDS)
    assert disturbances, "it never happened"
