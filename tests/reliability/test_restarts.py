"""The API server and etcd end and come back, in the middle of a write or after it, at once or after a while."""

import threading
from collections.abc import Callable
from functools import partial

import pytest

from tests.localcluster import Component, LocalCluster
from tests.reliability.installation import Installation
from tests.reliability.matrix import IS_LONG, Point
from tests.reliability.playing import Theatre
from tests.reliability.points import interrupt
from tests.reliability.proxy import Rule
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
    ("API server killed", POINTS[2], False),
    ("both killed", POINTS[1], True),
    ("API server frozen", POINTS[0], True),
]


def list_cases() -> list[tuple[str, Point, bool]]:
    cases = [(name, point, is_after) for name in OUTAGES for point in POINTS for is_after in (False, True)]
    return cases if IS_LONG else SHORT_FORM


@pytest.mark.parametrize(("outage", "point", "is_after"), list_cases(), ids=str)
def test_control_plane_may_end_and_come_back(theatre: Theatre, outage: str, point: Point, is_after: bool) -> None:
    outage_here = partial(OUTAGES[outage], theatre.site.cluster)
    rules: list[Rule] = []

    def arrange(installation: Installation) -> None:
        rules.append(interrupt(installation, point, outage_here, is_after=is_after))

    story = find_story("run_is_stopped_and_started_again")
    theatre.check(story, arrange, patience_seconds=OUTAGE_PATIENCE_SECONDS)
    assert all(rule.met for rule in rules), "it never happened"
